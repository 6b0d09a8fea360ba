"""A FHIR server that answers what a test says, and proofs of what of it reached the client."""

import json

MARK = "written-about-ben"  # in everything that is not ann's
FHIR_JSON = ("content-type", "application/fhir+json")
JSON_PATCH = ("content-type", "application/json-patch+json")
CHUNKED = ("transfer-encoding", "chunked")


# What a FHIR server holds.

def resource(kind, ident, patient="ann", **more):
    """A resource about a patient."""
    text = MARK if patient != "ann" else "Ann"
    return {"resourceType": kind, "id": ident, "code": {"text": text},
            "subject": {"reference": f"Patient/{patient}"}, **more}


def observation(ident, patient="ann", **more):
    return resource("Observation", ident, patient, **{"status": "final", **more})


OWN = observation("ann-1")
FOREIGN = observation("ben-1", "ben")
ANN = {"resourceType": "Patient", "id": "ann", "name": [{"family": "Testperson"}]}
BEN = {"resourceType": "Patient", "id": "ben", "name": [{"family": MARK}]}
OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "processing"}]}


def bundle(*entries, kind="searchset", **more):
    return {"resourceType": "Bundle", "type": kind, **more, "entry": list(entries)}


# How it answers.

def ok(document, *headers, status=200):
    """An answer in JSON."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return status, [FHIR_JSON, *headers], body


def chunked(document, *trailers, size=100):
    """The same in chunks, with trailers."""
    status, headers, body = ok(document, CHUNKED)
    parts = [body[at:at + size] for at in range(0, len(body), size)]
    parts = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts]
    return status, headers, [*parts, b"0\r\n", *trailers, b"\r\n"]


def answers(gateway, *reply):
    """From now on the FHIR server answers this."""
    gateway.upstream.reply = lambda _: reply


def holds(gateway, *resources, version="3", written=None):
    """From now on the FHIR server holds these resources in this version, finds all of them whatever is
    searched for, and answers what is written with `written`: with what was sent unless that is given."""
    known = {f"/fhir/{one['resourceType']}/{one['id']}": {**one, "meta": {"versionId": version}}
             for one in resources}

    def reply(request):
        if request.method == "GET" and "?" in request.target:
            return ok(bundle(*({"resource": one} for one in known.values())))
        if request.method == "GET":
            found = known.get(request.target)
            return ok(found) if found else ok(OUTCOME, status=404)
        return written or ok(request.body or OUTCOME)

    gateway.upstream.reply = reply


def found_by(criteria, place="Observation", narrowed="&patient=Patient%2Fann"):
    """The lookup of what these criteria of ann's find."""
    return f"{place}?{criteria}{narrowed}&_count=10"


# What the client got.

def passed(gateway, response, probes=(), status=200, **audit):
    """Proves that the answer was let through, and returns what the FHIR server got and the record."""
    got, record = gateway.allowed(response, probes=probes, status=status)
    assert not shows(response, MARK), response
    for name, value in audit.items():
        assert record.get(name) == value, record
    return got, record


def turned_back(gateway, response, status, code, audit=None, probes=()):
    """Proves that the answer was replaced by a refusal that shows nothing of it."""
    assert (response.status, response.reason) == (status, code), response
    assert not shows(response, MARK), response
    assert response.header("content-type") == "application/fhir+json", response
    assert response.header("cache-control") == "no-store"
    names = {name for name, _ in response.headers}
    assert not names & {"etag", "last-modified", "content-location", "location", "content-encoding"}
    return gateway.withheld(response, status, code, audit, probes)[1]


def shows(response, text):
    return text in f"{response.headers}{response.body.decode(errors='replace')}"
