"""Requests and their tokens, in files that the load tool reads."""

from lab import tokens

from .rows import ALGORITHMS, SIZES

BASE, ISSUER = "https://api.clinic.example/fhir", "https://auth.clinic.example"
SEARCH = "/fhir/Observation?code=8867-4"
TOKENS = 100  # that take turns
LIFETIME = 3000  # seconds


class Traffic:
    """Files of requests. All kinds but `new …` repeat: 100 tokens take turns."""

    def __init__(self, folder):
        self.folder = folder
        self.keys = {algorithm: tokens.Key(algorithm, algorithm.lower()) for algorithm in ALGORITHMS}
        patient = [self.patient() for _ in range(TOKENS)]
        self._tokens = {
            "system": [self.system() for _ in range(TOKENS)], "patient": patient, "foreign": patient,
            "garbage": [f"not-a-token-{number}" for number in range(TOKENS)],
            **{f"read {size}": patient for size in SIZES},
            **{f"system {algorithm}": [self.system(algorithm) for _ in range(TOKENS)]
               for algorithm in ALGORITHMS}}
        self._targets = {"foreign": f"{SEARCH}&patient=bob",
                         **{f"read {size}": f"/fhir/Observation/ann-{bytes_}-bytes"
                            for size, bytes_ in SIZES.items()}}

    def file(self, kind, count=0):
        """The file with requests of this kind; for `new …` with as many as `count`."""
        if kind.startswith("new "):
            made = [self.system(kind.removeprefix("new ")) for _ in range(count)]
        else:
            made = self._tokens[kind]
        return self.write(kind, made, self._targets.get(kind, SEARCH))

    def write(self, name, made, target=SEARCH):
        """A file with a GET of the target for each of these tokens."""
        file = self.folder / f"{name.replace(' ', '-')}.requests"
        file.write_text("".join(f"GET\t{target}\t{token}\t\n" for token in made))
        return file

    def system(self, algorithm="RS256", scope="system/*.rs"):
        """A backend's token."""
        return self._token(algorithm, scope=scope, sub="lab-feed", client_id="lab-feed")

    def patient(self):
        """A token of a patient's app."""
        return self._token("RS256", scope="launch/patient openid fhirUser offline_access patient/*.rs",
                           patient="ann", fhirUser="Patient/ann")

    def _token(self, algorithm, **claims):
        return self.keys[algorithm].sign(tokens.claims(ISSUER, BASE, lifetime=LIFETIME, **claims))
