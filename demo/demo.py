"""A day in the life of a clinic: about twenty requests through a real Envoy that runs phiward, before
a real FHIR server, with tokens from a real authorization server.

    make demo                          runs it
    PHIWARD_DEMO_PORT=28080 make demo  on other ports (five from there; 27080 otherwise)

Everything listens on 127.0.0.1 and ends with the demo. Exit status 1: an answer was not the expected
one, or something did not start.
"""

import os
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from demo import table  # noqa: E402
from lab import tokens  # noqa: E402
from lab.auth_server import CLINICIAN_APP, AuthServer  # noqa: E402
from lab.envoy import Envoy, configuration, wasm_path  # noqa: E402
from lab.fhir_server import FhirServer  # noqa: E402
from lab.http import Client, NoResponse  # noqa: E402
from lab.processes import ROOT, LabError, end_on_signals, require_free, stop_all  # noqa: E402
from lab.servers import Revocations  # noqa: E402


class Clinic:
    """Everything that runs, and a client before it."""

    def __init__(self, folder, first_port):
        gateway, auth, fhir, revocations, admin = ports(first_port)
        self.base = f"http://127.0.0.1:{gateway}/fhir"
        self.auth = AuthServer(folder, self.base, port=auth)
        self.fhir = FhirServer(folder, self.base, port=fhir)
        self.revocations = Revocations(port=revocations)
        self.auth.wait()
        self.fhir.wait()
        self.envoy = Envoy(folder / "envoy", {
            "fhir": fhir, "auth": auth, "revocations": revocations}, admin_port=admin)
        self.envoy.listen("fhir_api", port=gateway, configuration=configuration(
            self.base, self.auth.issuer, self.auth.jwks_url, self.revocations.list_url))
        self.client = Client(gateway)

    def ready(self, token):
        """Waits until the filter has its first keys and its first revocation list."""
        self.until(lambda: self.client.get("/fhir/Patient/ann", token).status != 503, 15)

    def until(self, condition, seconds):
        """Seconds until the condition held, or the time that was allowed."""
        started = time.monotonic()
        while not condition() and time.monotonic() - started < seconds:
            time.sleep(0.05)
        return time.monotonic() - started


def run(clinic):
    """Sends the requests; returns them as rows."""
    rows = table.Rows(clinic.client)
    ann = clinic.auth.log_in(
        "ann", "launch/patient patient/Patient.r patient/Observation.rs")
    grey = clinic.auth.log_in("dr-grey", "user/Patient.rs user/Observation.rs", CLINICIAN_APP)
    feed = clinic.auth.backend_token("system/Observation.rs")
    expired = clinic.auth.log_in("ann", "patient/Patient.r", lifetime=1)
    clinic.ready(ann)

    rows.title("Without a token")
    rows.get("anyone", "/fhir/metadata", 200)
    rows.get("anyone", "/fhir/Patient/ann", 401)

    rows.title("Ann in her app: patient/Patient.r patient/Observation.rs, patient ann")
    rows.get("Ann", "/fhir/Patient/ann", 200, ann)
    rows.get("Ann", "/fhir/Observation?code=8867-4", 200, ann, only_about="Patient/ann")
    rows.get("Ann", "/fhir/Observation?patient=ben", 403, ann)
    rows.get("Ann", "/fhir/Observation/ann-pulse-1", 200, ann)
    rows.get("Ann", "/fhir/Observation/ben-pulse-1", 403, ann)
    rows.get("Ann", "/fhir/Patient/ben", 403, ann)
    rows.get("Ann", "/fhir/Condition", 403, ann)

    rows.title("Dr Grey on her round: user/Patient.rs user/Observation.rs")
    rows.get("Dr Grey", "/fhir/Patient/ben", 200, grey)
    rows.get("Dr Grey", "/fhir/Observation?patient=ben", 200, grey)
    rows.send("Dr Grey", "DELETE", "/fhir/Observation/ben-pulse-1", 403, grey)

    rows.title("The laboratory's service: system/Observation.rs")
    rows.get("lab-feed", "/fhir/Observation/ben-pulse-1", 200, feed)
    rows.get("lab-feed", "/fhir/Patient/ben", 403, feed)

    rows.title("Tokens that are not what they should be")
    wrong_tokens(rows, clinic, ann, expired)

    rows.title("Paths that two programs could read differently")
    rows.get("Ann", "/fhir/Patient/ann/../ben", 403, ann)
    rows.get("anyone", "/fhir/metadata/%2e%2e/Patient/ben", 401)
    rows.get("Ann", "/fhir/Patient/ann%2f..%2fben", 400, ann)
    rows.get("Ann", "/fhir/Patient;v=1/ben", 400, ann)

    rows.title("A token is revoked")
    revocation(rows, clinic, grey)

    rows.title("The authorization server changes its key")
    rotation(rows, clinic, ann)
    return rows


def wrong_tokens(rows, clinic, ann, expired):
    other = clinic.auth.log_in("ann", "patient/Patient.r", audience="https://other.example/fhir")
    past_skew = tokens.peek(expired)["exp"] + 2
    time.sleep(max(0, past_skew - time.time()))
    rows.get("Ann, expired", "/fhir/Patient/ann", 401, expired)
    rows.get("Ann, for another API", "/fhir/Patient/ann", 401, other)
    rows.get("Ann, forged", "/fhir/Patient/ben", 401, tokens.with_claims(ann, patient="ben"))
    rows.get("Ann, alg none", "/fhir/Patient/ann", 401, tokens.unsigned(tokens.peek(ann)))
    rows.send("Ann, in the query", "GET", f"/fhir/Patient/ann?access_token={ann}", 400,
              shown="/fhir/Patient/ann?access_token=…")


def revocation(rows, clinic, grey):
    rows.get("Dr Grey", "/fhir/Patient/ann", 200, grey)
    clinic.revocations.revoke(jti=tokens.peek(grey)["jti"])
    waited = clinic.until(
        lambda: clinic.client.get("/fhir/Patient/ann", grey).status == 401, 10)
    rows.note(f"the list names her token; refused {waited:.1f} s later (asked every second)")
    rows.get("Dr Grey, revoked", "/fhir/Patient/ann", 401, grey)


def rotation(rows, clinic, ann):
    clinic.auth.rotate("ES384")
    fresh = clinic.auth.log_in("ann", "patient/Patient.r")
    waited = clinic.until(
        lambda: clinic.client.get("/fhir/Patient/ann", fresh).status == 200, 10)
    rows.note(f"a second key, ES384 beside RS256; trusted {waited:.1f} s later")
    rows.get("Ann, new key", "/fhir/Patient/ann", 200, fresh)
    rows.get("Ann, old key", "/fhir/Patient/ann", 200, ann)
    clinic.auth.rotate(drop=True)
    waited = clinic.until(
        lambda: clinic.client.get("/fhir/Patient/ann", ann).status == 401, 10)
    rows.note(f"both keys withdrawn; distrusted {waited:.1f} s later, cached tokens with them")
    rows.get("Ann, dropped key", "/fhir/Patient/ann", 401, ann)


def main():
    end_on_signals()
    started = time.monotonic()
    first_port = int(os.environ.get("PHIWARD_DEMO_PORT", "27080"))
    folder = ROOT / ".lab" / "demo"
    try:
        if not wasm_path().exists():
            raise LabError(f"{wasm_path()} is not there: run `make demo`, which builds it")
        names = ("Envoy", "authorization server", "FHIR server", "revocation list", "Envoy admin")
        require_free(dict(zip(names, ports(first_port))),
                     "give another first port: PHIWARD_DEMO_PORT=28080 make demo")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        print("Starting Envoy with phiward, a FHIR server and an authorization server …", flush=True)
        clinic = Clinic(folder, first_port)
        rows = run(clinic)
        rows.finish()
        table.audit_lines(clinic.envoy, rows)
        stop_all()
        table.whats_next(folder, time.monotonic() - started)
        return 1 if rows.unexpected else 0
    except (LabError, NoResponse) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: stopped", file=sys.stderr)
        return 130
    finally:
        stop_all()


def ports(first):
    return range(first, first + 5)


if __name__ == "__main__":
    sys.exit(main())
