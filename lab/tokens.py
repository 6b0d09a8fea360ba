"""Tokens made by hand: any algorithm, any header, any claims, also the ones no authorization server
would issue."""

import base64
import json
import time
import uuid

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


class Key:
    """A signing key for one algorithm, with its public half as a JWK.

    >>> key = Key("ES256", "k1")
    >>> key.sign(claims(issuer="https://auth.example", audience="https://api.example/fhir"))
    """

    def __init__(self, algorithm="RS256", kid="k1", bits=2048):
        self.algorithm, self.kid = algorithm, kid
        if algorithm[:2] in ("RS", "PS"):
            self._private = rsa.generate_private_key(65537, bits)
        elif algorithm in _CURVES:
            self._private = ec.generate_private_key(_CURVES[algorithm][0])
        elif algorithm == "EdDSA":
            self._private = ed25519.Ed25519PrivateKey.generate()
        else:
            raise ValueError(f"no key for `{algorithm}`")

    def jwk(self, **changes):
        """The public key; members given as `None` are left out."""
        members = {**self._public_members(), "kid": self.kid, "alg": self.algorithm, "use": "sig"}
        return _without_none({**members, **changes})

    def public(self):
        """The public key, of the library `cryptography`."""
        return self._private.public_key()

    def sign(self, payload, algorithm=None, **header):
        """A compact JWS over `payload` (claims, or bytes as they are). `algorithm` signs with another
        algorithm of the same kind of key; header members given as `None` are left out."""
        algorithm = algorithm or self.algorithm
        head = _without_none({"alg": algorithm, "typ": "at+jwt", "kid": self.kid, **header})
        text = signing_input(head, payload)
        token = f"{text}.{b64(self.signature(algorithm, text.encode()))}"
        signed.append(token)
        return token

    def signature(self, algorithm, text):
        """The raw signature over `text`; ECDSA as r and s (RFC 7518 section 3.4)."""
        if algorithm == "EdDSA":
            return self._private.sign(text)
        digest = _HASHES[algorithm[2:]]()
        if algorithm.startswith("RS"):
            return self._private.sign(text, padding.PKCS1v15(), digest)
        if algorithm.startswith("PS"):
            return self._private.sign(
                text, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        size = (self._private.key_size + 7) // 8
        r, s = decode_dss_signature(self._private.sign(text, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    def _public_members(self):
        public = self.public()
        if isinstance(public, rsa.RSAPublicKey):
            numbers = public.public_numbers()
            return {"kty": "RSA", "n": b64(_bytes(numbers.n)), "e": b64(_bytes(numbers.e))}
        if isinstance(public, ed25519.Ed25519PublicKey):
            return {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes_raw())}
        size, numbers = (public.key_size + 7) // 8, public.public_numbers()
        x, y = (b64(number.to_bytes(size, "big")) for number in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": _CURVES[self.algorithm][1], "x": x, "y": y}


def jwks(*keys):
    """A key set of keys, or of JWKs as they are."""
    return {"keys": [key.jwk() if isinstance(key, Key) else key for key in keys]}


def claims(issuer, audience, now=None, lifetime=300, **more):
    """Claims of an access token (RFC 9068) that is valid now; claims given as `None` are left out."""
    now = int(time.time()) if now is None else now
    return _without_none({
        "iss": issuer, "aud": audience, "sub": "user-1", "client_id": "app-1",
        "jti": str(uuid.uuid4()), "iat": now, "exp": now + lifetime, **more,
    })


def hs256(payload, secret, **header):
    """A token under a shared secret, as when a public key is used as one."""
    head = _without_none({"alg": "HS256", "typ": "at+jwt", **header})
    text = signing_input(head, payload)
    mac = hmac.HMAC(secret, hashes.SHA256())
    mac.update(text.encode())
    return f"{text}.{b64(mac.finalize())}"


def opaque():
    """A token that says nothing itself."""
    token = uuid.uuid4().hex + uuid.uuid4().hex
    signed.append(token)
    return token


def unsigned(payload, algorithm="none", **header):
    """A token with an empty signature."""
    head = _without_none({"alg": algorithm, "typ": "at+jwt", **header})
    return f"{signing_input(head, payload)}."


def with_claims(token, **changes):
    """The token with other claims and the old signature: a forgery."""
    head, payload, signature = token.split(".")
    changed = _without_none({**decode(payload), **changes})
    return ".".join([head, b64(json.dumps(changed).encode()), signature])


def peek(token):
    """The claims of a token, unverified."""
    return decode(token.split(".")[1])


def signing_input(header, payload):
    """Header and payload as they are signed; dicts become JSON, bytes stay as they are."""
    parts = (part if isinstance(part, bytes) else json.dumps(part).encode()
             for part in (header, payload))
    return ".".join(b64(part) for part in parts)


def b64(data):
    """base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(part):
    """The JSON of one part of a token."""
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


signed = []  # every token that a key here signed, and opaque ones: none of them may turn up in a log
sent = set()  # every token that a client here sent, whoever made it: nor may any of these
secrets = []  # nor any of these


def _bytes(number):
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _without_none(members):
    return {name: value for name, value in members.items() if value is not None}


_HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
_CURVES = {
    "ES256": (ec.SECP256R1(), "P-256"),
    "ES384": (ec.SECP384R1(), "P-384"),
    "ES512": (ec.SECP521R1(), "P-521"),
}
