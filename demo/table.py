"""How the demo shows what happened."""

import json
import os
import sys
from dataclasses import dataclass


@dataclass
class Row:
    """One request and its answer."""

    who: str
    request: str
    status: int
    reason: str
    request_id: str


class Rows:
    """Sends requests and prints one line for each as it comes back."""

    def __init__(self, client):
        self._client = client
        self.rows, self.unexpected = [], 0
        print(f"\n{'request':<47}{'who':<22}{'status':<8}{'reason':<30}{'µs':>6}")

    def get(self, who, target, expected, token=None, only_about=None):
        self.send(who, "GET", target, expected, token, only_about=only_about)

    def send(self, who, method, target, expected, token=None, only_about=None, shown=None):
        """Sends the request and compares its status, and that a search found records, all of them
        about `only_about`."""
        response = self._client.request(method, target, token=token)
        row = Row(who, f"{method} {shown or target}", response.status, _reason(response),
                  response.header("x-request-id"))
        self.rows.append(row)
        wrong = "" if response.status == expected else f"  expected {expected}"
        if only_about and not wrong:
            wrong = _records(response.json(), only_about)
        self.unexpected += bool(wrong)
        status = _coloured(f"{row.status:<8}", 32 if row.status < 400 else 33)
        micros = f"{response.seconds * 1e6:>6.0f}"
        print(f"{row.request:<47}{who:<22}{status}{row.reason:<30}{micros}{_coloured(wrong, 31)}",
              flush=True)

    def title(self, text):
        print(f"\n{_coloured(text, 1)}")

    def note(self, text):
        print(f"  … {text}")

    def finish(self):
        print("\nµs: as the client saw it, through Envoy and back; what is allowed includes the FHIR "
              "server.")
        if self.unexpected:
            print(_coloured(f"{self.unexpected} of {len(self.rows)} answers are not the expected "
                            "ones.", 31))
        else:
            print(f"All {len(self.rows)} answers are the expected ones.")

    def named(self, who, request):
        """The first row of that person and request."""
        return next(row for row in self.rows if (row.who, row.request) == (who, request))


def audit_lines(envoy, rows):
    """Three audit records, one member a line; in the log each is one line of JSON."""
    print(f"\n{_coloured('Three of the audit records, one for every request', 1)}")
    for who, request in (
        ("Ann", "GET /fhir/Observation?code=8867-4"),
        ("Ann, forged", "GET /fhir/Patient/ben"),
        ("Dr Grey, revoked", "GET /fhir/Patient/ann"),
    ):
        print(f"\n  {who}: {request}")
        record = envoy.audit(rows.named(who, request).request_id)
        for name, value in record.items():
            print(f"    {name:<12}{json.dumps(value, ensure_ascii=False)}")


def whats_next(folder, seconds):
    print(f"""
{_coloured('Where to go next', 1)}
  envoy/envoy.yaml   what just ran, with your own addresses in it; beside it, files for Docker and Istio
  README.md          what phiward decides and how it is configured
  make test          everything that is proven, also in a real Envoy
  {folder}/envoy/envoy.log   Envoy's log with every audit record of this run
Done in {seconds:.0f} s; everything is stopped.""")


def _reason(response):
    if response.status < 400:
        return "allowed"
    if response.header("x-envoy-upstream-service-time"):
        return "(the FHIR server's answer)"
    return response.reason or "(refused by Envoy itself)"


def _records(bundle, subject):
    """What is wrong with a search result that should hold records about one subject only."""
    entries = [entry["resource"] for entry in bundle.get("entry", [])]
    others = {entry["subject"]["reference"] for entry in entries} - {subject}
    if others:
        return f"  holds records about {', '.join(sorted(others))}"
    return "" if entries else "  found nothing"


def _coloured(text, code):
    return f"\x1b[{code}m{text}\x1b[0m" if text and _COLOUR else text


_COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ
