"""An issuer with a key for each algorithm, for tests about tokens."""

import json

import pytest

from gateway import Issuer
from lab.tokens import Key, b64, signing_input

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
SKEW, MAX_LIFETIME, MAX_TOKEN = 60, 600, 16 * 1024


class Clinic(Issuer):
    """Each key is named like its algorithm; one RSA key more is for all that RSA can do."""

    def __init__(self):
        super().__init__(*(Key(name, name.lower()) for name in ALGORITHMS), Key("RS256", "any-rsa"),
                         name="https://all.clinic.example")

    def key(self, name):
        return next(key for key in self.keys if key.kid == name.lower())

    def keys_as_configured(self):
        return [key.jwk(alg=None) if key.kid == "any-rsa" else key.jwk() for key in self.keys]

    def read(self, key=None, header=None, **claims):
        """A token that may read Patient/ann but for what is given."""
        claims = {"scope": "patient/*.rs", "patient": "ann", "fhirUser": "Patient/ann", **claims}
        return self.token(key=key, header=header, **claims)

    def raw(self, header=None, payload=None, key=None):
        """A token of these bytes, truly signed."""
        key = key or self.keys[0]
        header = header or {"alg": key.algorithm, "typ": "at+jwt", "kid": key.kid}
        text = signing_input(header, payload or self.claims_text())
        return f"{text}.{b64(key.signature(key.algorithm, text.encode()))}"

    def claims_text(self, *more):
        """Good claims as JSON, with more members behind them."""
        text = json.dumps(self.claims(scope="patient/*.rs", patient="ann"))
        return "".join([text[:-1], *(f",{member}" for member in more), "}"]).encode()


def by_name(table):
    """Parameter sets of `{code: {name: value, …}}`."""
    return [pytest.param(make, code, id=f"{code}: {name}")
            for code, makers in table.items() for name, make in makers.items()]
