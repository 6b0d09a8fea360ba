"""A bulk export from its kick-off to its files. The FHIR server here answers whatever a test says, and
a link leads only who was given it to what it was given for."""

import gzip
import json

import pytest

from gateway import INVALID_TOKEN, REALM
from hostile import CHUNKED, FHIR_JSON, MARK, OUTCOME, answers, ok, shows
from lab import http2
from test_operations import real  # noqa: F401 (a fixture)
from test_revocation import until

HOST = "https://api.clinic.example"
KICK_OFF, ASYNC = "/fhir/$export", [("prefer", "respond-async")]
STATUS, FILE = f"{HOST}/fhir/bulk-status/7", f"{HOST}/bulk-files/7/a.ndjson"
STATUS_TARGET, FILE_TARGET = "/fhir/bulk-status/7", "/bulk-files/7/a.ndjson"
JSON = ("content-type", "application/json")
NDJSON = ("content-type", "application/fhir+ndjson")
LINE = json.dumps({"resourceType": "Observation", "code": {"text": MARK}}).encode() + b"\n"


# What the FHIR server answers.

def accepted(*locations, status=202):
    return status, [*(("content-location", one) for one in locations), ("x-progress", "queued")], b""


def manifest(*output, **more):
    body = {"transactionTime": "2026-11-22T02:59:24.929Z", "request": f"http://inside:8080{KICK_OFF}",
            "requiresAccessToken": False, "output": list(output), "error": [], **more}
    return 200, [JSON, ("etag", f'"{MARK}"')], json.dumps(body).encode()


def file(kind="Observation", url=FILE):
    return {"type": kind, "url": url, "count": 1}


# What the client does.

def service(issuer, scope="system/*.rs", **claims):
    """A token of `Issuer.backend` but for these claims."""
    return issuer.token(scope, **{"sub": "lab-feed", "client_id": "lab-feed", **claims})


def kick_off(gateway, token, reply=accepted(STATUS), target=KICK_OFF, headers=(), **options):
    answers(gateway, *reply)
    return gateway.get(target, token, headers=[*ASYNC, *headers], **options)


def status_link(gateway, token):
    """The target of the link to the status."""
    location = kick_off(gateway, token).header("content-location")
    assert location.startswith(f"{STATUS}?_phiward=status."), location
    return location.removeprefix(HOST)


def file_link(gateway, token, kind="Observation", url=FILE):
    """The target of the link to a file."""
    link = status_link(gateway, token)
    answers(gateway, *manifest(file(kind, url)))
    (output,) = gateway.get(link, token).json()["output"]
    assert output["url"].startswith(f"{url}?_phiward={kind}."), output
    return output["url"].removeprefix(HOST)


@pytest.fixture(params=["gateway", "shipped", "HTTP/2"])
def anyway(request):
    """Each way in."""
    if request.param != "HTTP/2":
        return request.getfixturevalue(request.param)
    shipped = request.getfixturevalue("shipped")
    return shipped.over(http2.Client(shipped.client.port))


# The whole of it.

def test_an_export_is_followed_from_its_start_to_its_files(anyway, issuer):
    def proven(response, target, status=200, **what):
        got, record = anyway.allowed(response, status=status)
        assert got.target == target
        assert record["what"] == {"method": got.method, "interaction": "operation",
                                  "operation": "$export", **what}
        assert record["who"]["client"] == "lab-feed"
        return got, record

    token = issuer.backend("system/*.rs")
    response = kick_off(anyway, token)
    got, _ = proven(response, KICK_OFF, 202)
    assert got.header("prefer") == "respond-async"
    assert response.header("x-progress") == "queued"
    status = response.header("content-location").removeprefix(HOST)

    answers(anyway, 202, [("x-progress", "half"), ("retry-after", "1")], b"")
    response = anyway.get(status, token)
    got, _ = proven(response, STATUS_TARGET, 202)
    assert got.header("accept") == "application/json"
    assert (response.header("x-progress"), response.header("retry-after")) == ("half", "1")

    answers(anyway, *manifest(file(), file("Patient")))
    response = anyway.get(status, token)
    proven(response, STATUS_TARGET)
    document = response.json()
    assert document["requiresAccessToken"] is True
    assert [one["type"] for one in document["output"]] == ["Observation", "Patient"]
    assert response.header("content-length") in (None, str(len(response.body)))
    assert response.header("etag") is None

    for output in document["output"]:
        lines = LINE.replace(b"Observation", output["type"].encode()) * 3
        answers(anyway, 200, [NDJSON], lines)
        response = anyway.get(output["url"].removeprefix(HOST), token,
                              headers=[("accept", "application/fhir+ndjson"), ("accept-encoding", "gzip")])
        got, _ = proven(response, FILE_TARGET, type=output["type"])
        assert response.body == lines
        assert (got.header("accept"), got.header("accept-encoding")) == ("application/fhir+ndjson", None)

    answers(anyway, *ok(OUTCOME, status=202))
    response = anyway.send("DELETE", status, token)
    got, _ = proven(response, STATUS_TARGET, 202)
    assert got.method == "DELETE"


def test_every_worker_knows_the_links_of_the_others(gateway, issuer):
    token = issuer.backend("system/*.rs")
    link = file_link(gateway, token)
    answers(gateway, 200, [NDJSON], LINE)
    for response in gateway.on_every_worker(link, token):
        assert (response.status, response.body) == (200, LINE), response


def test_another_token_of_the_client_follows_its_links(gateway, issuer):
    link = file_link(gateway, issuer.backend("system/*.rs"))
    answers(gateway, 200, [NDJSON], LINE)
    gateway.allowed(gateway.get(link, issuer.backend("system/Observation.rs")))


# The kick-off.

@pytest.mark.parametrize("location", [
    STATUS, STATUS_TARGET, f"{HOST}:443/fhir/bulk-status/7", f"{HOST}/_operations/export/7",
    f"{HOST}/fhir/$export-poll-status?_jobId=7", "http://127.0.0.1:{port}/fhir/bulk-status/7"])
def test_the_status_comes_with_a_signature(gateway, issuer, location):
    location = location.format(port=gateway.client.port)
    token = issuer.backend("system/*.rs")
    response = kick_off(gateway, token, accepted(location))
    gateway.allowed(response, status=202)
    signed = response.header("content-location")
    joint = "&" if "?" in location else "?"
    assert signed.startswith(f"{location}{joint}_phiward=status."), signed
    target = location[location.index("/", 8):] if "://" in location else location
    answers(gateway, *accepted())
    got, _ = gateway.allowed(gateway.get(target + signed.removeprefix(location), token), status=202)
    assert got.target == target


@pytest.mark.parametrize("location", [
    "https://other.example/bulk/7", f"{HOST}.evil.example/7", f"{HOST}@evil.example/7", f"{HOST}:8443/7"])
def test_the_status_of_another_host_stays_as_it_is(gateway, issuer, location):
    response = kick_off(gateway, issuer.backend("system/*.rs"), accepted(location))
    gateway.allowed(response, status=202)
    assert response.header("content-location") == location


DATA = [FHIR_JSON, ("content-location", STATUS)]


@pytest.mark.parametrize("reply, code", [
    (accepted("bulk-status/7"), "export_location"),
    (accepted("//api.clinic.example/fhir/bulk-status/7"), "export_location"),
    (accepted(f"{STATUS}#x"), "export_location"),
    (accepted(""), "export_location"),
    (accepted(f"{HOST}/fhir/bulk status/7"), "export_location"),
    (accepted(f"{HOST}/fhir/b\xfcrste/7"), "export_location"),
    (accepted(f"{HOST}/{'x' * 8200}"), "export_location"),
    (accepted(f"{HOST}/fhir/Observation?x=/fhir/bulk-status/7"), "export_location"),
    (accepted(f"{HOST}/fhir/Observation/ben-1"), "export_location"),
    (accepted(STATUS, STATUS), "export_location"),
    (accepted(), "export_kickoff"),
    (accepted(STATUS, status=200), "export_kickoff"),
    ((200, DATA, LINE), "export_kickoff"),
    ((201, DATA, LINE), "export_kickoff"),
    ((206, DATA, LINE), "export_kickoff"),
    ((204, DATA, b""), "export_kickoff"),
    ((303, [("location", f"{HOST}/{MARK}")], LINE), "export_kickoff"),
    ((307, [("location", f"{HOST}/{MARK}")], LINE), "export_kickoff"),
    ((200, [FHIR_JSON, CHUNKED], [b"5\r\n%s\r\n" % MARK[:5].encode(), b"0\r\n\r\n"]), "export_kickoff"),
], ids=str)
def test_what_is_no_answer_to_a_kick_off_does_not_pass(gateway, issuer, reply, code):
    response = kick_off(gateway, issuer.backend("system/*.rs"), reply)
    gateway.withheld(response, 502, code)
    assert not shows(response, MARK) and response.header("content-location") is None


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_the_server_may_refuse_a_kick_off(gateway, issuer, status):
    response = kick_off(gateway, issuer.backend("system/*.rs"), ok(OUTCOME, status=status))
    gateway.allowed(response, status=status)
    assert response.json() == OUTCOME


def test_a_kick_off_by_post_is_judged_by_its_body(gateway, issuer):
    token = issuer.backend("system/Observation.rs")

    def post(*types):
        body = {"resourceType": "Parameters", "parameter": [
            {"name": "_type", "valueString": kind} for kind in types]}
        answers(gateway, *accepted(STATUS))
        return gateway.send("POST", KICK_OFF, token, [*ASYNC, FHIR_JSON], json.dumps(body).encode())

    response = post("Observation")
    got, _ = gateway.allowed(response, status=202)
    assert json.loads(got.body)["parameter"] == [{"name": "_type", "valueString": "Observation"}]
    assert "_phiward=status." in response.header("content-location")
    for types in (["Observation", "Condition"], []):
        response = post(*types)
        assert (response.status, response.reason) == (403, "scope_insufficient"), response


@pytest.mark.parametrize("claims, code", [
    ({"client_id": None}, "export_client_missing"),
    ({"scope": "user/*.rs", "fhirUser": "Practitioner/dr-grey"}, "export_system_only"),
    ({"scope": "patient/*.rs", "patient": "ann"}, "export_system_only"),
])
def test_who_could_not_come_back_starts_nothing(gateway, issuer, claims, code):
    response = kick_off(gateway, service(issuer, **claims))
    assert (response.status, response.reason) == (403, code), response
    assert gateway.upstream.requests == []


# The manifest.

def test_links_of_other_hosts_are_judged_and_not_changed(gateway, issuer):
    token = issuer.backend("system/Observation.rs")
    link = status_link_of(gateway, token)
    stored = "https://store.example/b.ndjson?X-Amz-Signature=x"
    answers(gateway, *manifest(file(url=stored)))
    response = gateway.get(link, token)
    gateway.allowed(response)
    assert response.json()["output"] == [file(url=stored)]
    assert response.json()["requiresAccessToken"] is False
    answers(gateway, *manifest(file("Condition", stored)))
    response = gateway.get(link, token)
    gateway.withheld(response, 403, "export_output_uncovered")
    assert "store.example" not in response.body.decode()


def status_link_of(gateway, token):
    """The link to the status, for a token that does not cover every type."""
    location = kick_off(gateway, token, target=f"{KICK_OFF}?_type=Observation").header("content-location")
    return location.removeprefix(HOST)


def test_deleted_errors_and_more_manifests_are_signed_as_well(gateway, issuer):
    token = issuer.backend("system/*.rs")
    link = status_link(gateway, token)
    answers(gateway, *manifest(
        deleted=[file("Bundle")], error=[file("OperationOutcome")], link=[{"relation": "next", "url": STATUS}]))
    document = gateway.get(link, token).json()
    for (name, kind, target) in (("deleted", "Bundle", FILE_TARGET),
                                 ("error", "outcomes", FILE_TARGET), ("link", "status", STATUS_TARGET)):
        (one,) = document[name]
        assert f"?_phiward={kind}." in one["url"], one
        answers(gateway, *(manifest() if kind == "status" else (200, [NDJSON], b"")))
        got, _ = gateway.allowed(gateway.get(one["url"].removeprefix(HOST), token))
        assert got.target == target


@pytest.mark.parametrize("answer, status, code", [
    (manifest(file("Condition")), 403, "export_output_uncovered"),
    (manifest(file(), file("Condition")), 403, "export_output_uncovered"),
    (manifest(error=[file("Condition")]), 403, "export_output_uncovered"),
    (manifest({"url": FILE}), 403, "export_output_uncovered"),
    (manifest(file("Nonsense")), 502, "export_manifest"),
    (manifest(file("observation")), 502, "export_manifest"),
    (manifest({"type": "Observation"}), 502, "export_manifest"),
    (manifest({"type": ["Observation"], "url": FILE}), 502, "export_manifest"),
    (manifest(output={"type": "Observation", "url": FILE}), 502, "export_manifest"),
    (manifest(file(url="a.ndjson")), 502, "export_location"),
    (manifest(file(url=f"{HOST}/fhir/Condition?x=/bulk-files/7")), 502, "export_location"),
    (manifest(file(url=f"{HOST}/fhir/Binary/7?x=/bulk-files/7")), 502, "export_location"),
    (manifest(file(url=f"{HOST}//bulk-files/7")), 502, "export_location"),
    ((200, [JSON], b"not json " + MARK.encode()), 502, "export_manifest"),
    ((200, [JSON], b""), 502, "export_manifest"),
    ((200, [JSON], LINE), 502, "export_manifest"),
    ((200, [JSON], json.dumps({"data": {"patient": MARK}}).encode()), 502, "export_manifest"),
    ((200, [JSON], b'{"transactionTime":"","output":[],"output":[]}'), 502, "export_manifest"),
    ((200, [JSON], manifest(file())[2][:-20]), 502, "export_manifest"),
    ((200, [JSON], b"[" * 100_000), 502, "export_manifest"),
    ((200, [JSON, ("content-encoding", "gzip")], gzip.compress(manifest(file())[2])), 502, "export_manifest"),
    ((303, [("location", f"{HOST}/{MARK}")], b""), 502, "export_status"),
    ((206, [JSON], manifest(file())[2]), 502, "export_status"),
    ((304, [JSON], b""), 502, "export_status"),
    ((204, [JSON], b""), 502, "export_status"),
    (accepted("bulk-status/7"), 502, "export_location"),
], ids=str)
def test_a_status_that_says_too_much_or_nothing_does_not_pass(gateway, issuer, answer, status, code):
    token = issuer.backend("system/Observation.rs")
    link = status_link_of(gateway, token)
    answers(gateway, *answer)
    response = gateway.get(link, token)
    gateway.withheld(response, status, code)
    assert not shows(response, MARK) and "bulk-files" not in response.body.decode()


@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_the_server_may_say_that_an_export_failed(gateway, issuer, status):
    token = issuer.backend("system/*.rs")
    link = status_link(gateway, token)
    answers(gateway, *ok(OUTCOME, status=status))
    response = gateway.get(link, token)
    gateway.allowed(response, status=status)
    assert response.json() == OUTCOME


def test_a_status_is_asked_for_whole_and_in_json(gateway, issuer):
    token = issuer.backend("system/*.rs")
    link = status_link(gateway, token)
    answers(gateway, *manifest())
    asked = [("accept", "text/html"), ("accept-encoding", "gzip"), ("range", "bytes=0-9"),
             ("if-none-match", '"x"')]
    got, _ = gateway.allowed(gateway.get(link, token, headers=asked))
    assert got.header("accept") == "application/json"
    assert [got.header(name) for name in ("accept-encoding", "range", "if-none-match")] == [None] * 3


def test_a_manifest_in_chunks_with_trailers_is_judged_whole(gateway, issuer):
    token = issuer.backend("system/Observation.rs")
    link = status_link_of(gateway, token)

    def in_chunks(kind):
        body = manifest(file(), file(kind))[2]
        parts = [body[at:at + 50] for at in range(0, len(body), 50)]
        answers(gateway, 200, [JSON, CHUNKED], [
            *(b"%x\r\n%s\r\n" % (len(part), part) for part in parts), b"0\r\n", b"x-done: yes\r\n", b"\r\n"])
        return gateway.get(link, token)

    gateway.withheld(in_chunks("Condition"), 403, "export_output_uncovered")
    response = in_chunks("Observation")
    gateway.allowed(response)
    assert all("?_phiward=Observation." in one["url"] for one in response.json()["output"])


def test_a_large_manifest_passes_and_one_beyond_the_buffer_does_not(gateway, issuer):
    token = issuer.backend("system/*.rs")
    link = status_link(gateway, token)
    answers(gateway, *manifest(*(file(url=f"{FILE}?part={number}") for number in range(8000))))
    response = gateway.get(link, token)
    gateway.allowed(response)
    assert all("&_phiward=Observation." in one["url"] for one in response.json()["output"])
    answers(gateway, *manifest(*(file(url=f"{FILE}?part={number}") for number in range(200_000))))
    response = gateway.get(link, token)
    assert response.status == 500 and b"bulk-files" not in response.body
    record = gateway.envoy.audit(response.header("x-request-id"))
    assert (record["decision"], record["reason"]) == ("error", "answer_unfinished")


# Who may follow a link.

MORE = 'Bearer error="insufficient_scope"'
OTHERS = {
    "another client": ({"client_id": "other"}, "export_not_bound", None),
    "a client whose name begins alike": ({"client_id": "lab-feed2"}, "export_not_bound", None),
    "no client": ({"client_id": None}, "export_client_missing", None),
    "a user of the client":
        ({"scope": "user/*.rs", "fhirUser": "Practitioner/dr-grey"}, "export_system_only", MORE),
    "a patient in the client": ({"scope": "patient/*.rs", "patient": "ann"}, "export_system_only", MORE),
    "a user with its scopes": ({"fhirUser": "Practitioner/dr-grey"}, "scope_system_with_user", MORE),
    "no scope": ({"scope": "openid"}, "export_system_only", MORE),
}


@pytest.mark.parametrize("who", OTHERS)
@pytest.mark.parametrize("method, make", [
    ("GET", status_link), ("DELETE", status_link), ("GET", file_link), ("HEAD", file_link)])
def test_a_link_is_nobody_elses(gateway, issuer, who, method, make):
    claims, code, challenge = OTHERS[who]
    link = make(gateway, issuer.backend("system/*.rs"))
    answers(gateway, *manifest(file()))
    response = gateway.send(method, link, service(issuer, **claims))
    gateway.refused(response, 403, code, challenge, method=method)


def test_the_client_of_another_issuer_is_another_client(door, issuer, clinic):
    ours = issuer.backend("system/*.rs")
    theirs = clinic.token(key=clinic.key("RS256"), scope="system/*.rs", sub="lab-feed", client_id="lab-feed")
    for make, reply in ((status_link, manifest()), (file_link, (200, [NDJSON], LINE))):
        link = make(door, ours)
        answers(door, *reply)
        door.refused(door.get(link, theirs), 403, "export_not_bound")
        door.allowed(door.get(link, ours))


def test_a_link_is_worth_nothing_without_a_good_token(gateway, issuer, revocations):
    token = issuer.backend("system/*.rs")
    for link in (status_link(gateway, token), file_link(gateway, token)):
        gateway.refused(gateway.get(link), 401, "token_missing", REALM)
        now = issuer.claims()["iat"]
        expired = issuer.backend("system/*.rs", exp=now - 60, iat=now - 120)
        gateway.refused(gateway.get(link, expired), 401, "token_expired", INVALID_TOKEN)
        gateway.refused(gateway.get(f"{link}&access_token={token}"), 400, "token_in_query",
                        'Bearer error="invalid_request"')
    revoked = issuer.backend("system/*.rs", jti="revoked-meanwhile")
    link = file_link(gateway, revoked)
    answers(gateway, 200, [NDJSON], LINE)
    assert gateway.get(link, revoked).status == 200
    revocations.revoke(jti="revoked-meanwhile")
    try:
        until(lambda: gateway.get(link, revoked).status == 401, 5)
        gateway.refused(gateway.get(link, revoked), 401, "token_revoked", INVALID_TOKEN)
    finally:
        revocations.set()


def test_a_file_needs_its_scope_when_it_is_fetched(gateway, issuer):
    token = issuer.backend("system/*.rs")
    link, status = file_link(gateway, token), status_link(gateway, token)
    for scope in ("system/Patient.rs", "system/Observation.r", "system/Observation.s",
                  "system/Observation.rs?category=vital-signs"):
        response = gateway.get(link, issuer.backend(scope))
        gateway.refused(response, 403, "export_type_uncovered", 'Bearer error="insufficient_scope"')
    answers(gateway, *manifest(file()))
    response = gateway.get(status, issuer.backend("system/Patient.rs"))
    gateway.withheld(response, 403, "export_output_uncovered")


# Links that are changed.

FORGED = {
    "no signature": lambda link: link.partition("?")[0],
    "an empty one": lambda link: link.partition("=")[0] + "=",
    "a label only": lambda link: link.rpartition(".")[0] + ".",
    "cut": lambda link: link[:-1],
    "longer": lambda link: link + "A",
    "padded": lambda link: link + "=",
    "other bits": lambda link: link[:-10] + ("A" if link[-10] != "A" else "B") + link[-9:],
    "another type": lambda link: link.replace("=Observation.", "=Patient."),
    "as a status": lambda link: link.replace("=Observation.", "=status."),
    "as an outcome": lambda link: link.replace("=Observation.", "=outcomes."),
    "another file": lambda link: link.replace("a.ndjson", "b.ndjson"),
    "another target": lambda link: "/fhir/Observation/ben-1" + link[link.index("?"):],
    "an encoded letter": lambda link: link.replace("a.ndjson", "%61.ndjson"),
    "a parameter before": lambda link: link.replace("?", "?x=y&"),
    "a parameter behind": lambda link: link + "&x=y",
    "nothing behind": lambda link: link + "&",
    "twice": lambda link: link + "&" + link.partition("?")[2],
    "one more before": lambda link: link.replace("?", "?_phiward=x&"),
    "an upper-case name": lambda link: link.replace("_phiward", "_PHIWARD"),
    "an encoded name": lambda link: link.replace("_phiward", "%5Fphiward"),
    "an encoded value": lambda link: link.replace("=Observation.", "=%4Fbservation."),
    "on a plain search": lambda link: "/fhir/Observation" + link[link.index("?"):],
    "outside the API": lambda link: "/admin" + link[link.index("?"):],
}


@pytest.mark.parametrize("name", FORGED)
def test_a_link_that_was_changed_leads_nowhere(gateway, issuer, name):
    token = issuer.backend("system/*.rs")
    response = gateway.get(FORGED[name](file_link(gateway, token)), token)
    forwarded = [one.target for one in gateway.upstream.requests[2:]]
    assert forwarded == [], forwarded
    assert 400 <= response.status < 500, response
    if name != "no signature":
        assert response.reason in ("export_not_bound", "target_ambiguous"), response


def test_a_signature_does_not_fit_another_link_of_the_same_client(gateway, issuer):
    token = issuer.backend("system/*.rs")
    other = f"{HOST}/bulk-files/8/a.ndjson"
    one, two = file_link(gateway, token), file_link(gateway, token, url=other)
    swapped = "/bulk-files/8/a.ndjson?" + one.partition("?")[2]
    assert swapped != two
    gateway.refused(gateway.get(swapped, token), 403, "export_not_bound")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "OPTIONS", "DELETE", "HEAD"])
def test_a_link_takes_few_methods(gateway, issuer, method):
    token = issuer.backend("system/*.rs")
    for link, takes in ((status_link(gateway, token), "GET, DELETE"), (file_link(gateway, token), "GET, HEAD")):
        if method in takes:
            continue
        response = gateway.send(method, link, token)
        gateway.refused(response, 405, "export_method", method=method)
        assert response.header("allow") == takes


def test_a_link_takes_no_body(gateway, issuer):
    token = issuer.backend("system/*.rs")
    for link in (status_link(gateway, token), file_link(gateway, token)):
        response = gateway.send("GET", link, token, body=b"GET /fhir/Patient/ben HTTP/1.1\r\n\r\n")
        gateway.refused(response, 400, "body_unexpected")
    response = gateway.send("DELETE", status_link(gateway, token), token, body=b"x")
    gateway.refused(response, 400, "body_unexpected")


# What the server makes its URLs of.

@pytest.mark.parametrize("header", [
    ("x-forwarded-prefix", "/fhir/Observation?x="),
    ("X-Forwarded-Host", "api.clinic.example/admin?x="),
    ("forwarded", "host=\"api.clinic.example/admin?x=\""),
])
def test_a_client_does_not_bend_the_urls_of_the_server(gateway, issuer, header):
    """A server behind a proxy makes its URLs of such headers: what it would sign then leads around the
    scopes."""
    token = issuer.backend("system/Observation.rs")
    response = kick_off(gateway, token, target=f"{KICK_OFF}?_type=Observation", headers=[header])
    got, _ = gateway.allowed(response, status=202)
    assert got.header(header[0].lower()) is None
    answers(gateway, *manifest())
    got, _ = gateway.allowed(gateway.get(response.header("content-location").removeprefix(HOST), token,
                                         headers=[header]))
    assert got.header(header[0].lower()) is None


# Other configurations.

def test_observe_mode_signs_nothing(listen, configuration, issuer):
    document = configuration()
    document["mode"] = "observe"
    gateway, token = listen("export-observe", document), issuer.backend("system/*.rs")
    response = kick_off(gateway, token)
    assert response.header("content-location") == STATUS
    answers(gateway, *manifest(file()))
    assert gateway.get(STATUS_TARGET, token).json()["output"] == [file()]
    response = gateway.get(f"{STATUS_TARGET}?_phiward=status.x", token)
    assert gateway.upstream.requests[-1].target == f"{STATUS_TARGET}?_phiward=status.x"
    record = gateway.envoy.audit(response.header("x-request-id"))
    assert (record["would"], record["reason"]) == ("deny", "export_not_bound"), record


@pytest.mark.parametrize("check", ["report", "off"])
def test_links_do_not_depend_on_the_response_check(listen, configuration, issuer, check):
    document = configuration()
    document["smart"] = {"response_check": check}
    gateway = listen(f"export-{check}", document)
    token = issuer.backend("system/Observation.rs")
    link = status_link_of(gateway, token)
    answers(gateway, *manifest(file("Condition")))
    gateway.withheld(gateway.get(link, token), 403, "export_output_uncovered")


def with_secret(secret):
    def adjust(manager):
        plugin = manager["http_filters"][0]["typed_config"]["config"]
        plugin["vm_config"]["environment_variables"] = {"key_values": {"PHIWARD_EXPORT_KEY": secret}}
    return adjust


def test_a_fleet_shares_its_key_and_other_gateways_have_their_own(listen, configuration, issuer, gateway):
    token = issuer.backend("system/*.rs")
    apart = configuration()  # instances of their own would fetch the keys for themselves
    apart["issuers"][0]["jwks"] = {"inline": {"keys": [key.jwk() for key in issuer.keys]}}
    one, other = (listen(name, apart, vm_id=name, adjust=with_secret("k" * 32))
                  for name in ("fleet-1", "fleet-2"))
    stranger = listen("fleet-3", apart, vm_id="fleet-3")
    weak = listen("fleet-4", apart, vm_id="fleet-4", adjust=with_secret("k" * 31))
    link = file_link(one, token)
    answers(one, 200, [NDJSON], LINE)
    other.allowed(other.get(link, token))
    for elsewhere in (gateway, stranger):
        elsewhere.refused(elsewhere.get(link, token), 403, "export_not_bound")
    weak.refused(kick_off(weak, token), 503, "export_key_missing")
    weak.refused(weak.get(link, token), 503, "export_key_missing")


# Before a real FHIR server.

class Export:
    """An export that a client of the real server started."""

    def __init__(self, real, token, target=KICK_OFF):
        self.real, self.token = real, token
        response = real.get(target, token, headers=ASYNC)
        assert response.status == 202, response
        self.status = self.followed(response.header("content-location"))

    def followed(self, url):
        """The target of a signed link."""
        assert url.startswith(f"{self.real.host}/fhir/bulk-") and "?_phiward=" in url, url
        return url.removeprefix(self.real.host)

    def poll(self):
        """The manifest, once it is there."""
        answers = []
        until(lambda: answers.append(self.real.get(self.status, self.token)) or answers[-1].status != 202, 10)
        assert answers[-1].status == 200, answers[-1]
        return answers[-1].json()

    def files(self):
        """What it holds, by type."""
        return {one["type"]: self.followed(one["url"]) for one in self.poll()["output"]}

    def lines(self, target):
        response = self.real.get(target, self.token)
        assert response.status == 200, response
        return [json.loads(line) for line in response.body.splitlines()]


def test_a_real_export_from_its_start_to_its_end(real, issuer):
    export = Export(real, issuer.backend("system/*.rs"))
    files = export.files()
    assert {"Patient", "Observation", "Condition", "Practitioner", "Group"} <= set(files)
    assert {one["id"] for one in export.lines(files["Patient"])} == {"ann", "ben", "cleo"}
    assert len(export.lines(files["Observation"])) == 9
    assert real.client.request("DELETE", export.status, token=export.token).status == 202
    for target in (export.status, files["Patient"]):
        assert real.get(target, export.token).status == 404


def test_a_real_export_of_some_types_and_of_a_group(real, issuer):
    export = Export(real, issuer.backend("system/Observation.rs"), f"{KICK_OFF}?_type=Observation")
    assert set(export.files()) == {"Observation"}
    export = Export(real, issuer.backend("system/*.rs"), "/fhir/Group/asthma/$export?_type=Patient")
    assert {one["id"] for one in export.lines(export.files()["Patient"])} == {"ann", "ben"}
    response = real.get(f"{KICK_OFF}?_type=Observation,Patient", issuer.backend("system/Observation.rs"),
                        headers=ASYNC)
    assert (response.status, response.reason) == (403, "scope_insufficient")


def test_a_real_export_is_nobody_elses(real, issuer):
    export = Export(real, issuer.backend("system/*.rs"))
    files = export.files()
    other = service(issuer, client_id="other")
    for method, target in (("GET", export.status), ("DELETE", export.status), ("GET", files["Patient"])):
        for token in (other, issuer.clinician(), issuer.patient(), None):
            response = real.client.request(method, target, token=token)
            assert response.status in (401, 403) and b"Testperson" not in response.body, response
            plain = real.client.request(method, target.partition("?")[0], token=token or export.token)
            assert 400 <= plain.status < 500 and b"Testperson" not in plain.body, plain
    assert len(export.lines(files["Patient"])) == 3, "and nobody cancelled it"


def test_a_real_export_is_worth_as_much_as_the_token_that_comes_back(real, issuer):
    export = Export(real, issuer.backend("system/*.rs"))
    files = export.files()
    weaker = issuer.backend("system/Patient.rs")
    assert real.get(files["Patient"], weaker).status == 200
    for target, reason in ((files["Observation"], "export_type_uncovered"),
                           (export.status, "export_output_uncovered")):
        response = real.get(target, weaker)
        assert (response.status, response.reason) == (403, reason), response


def test_a_real_status_can_not_be_read_as_something_else(real, issuer):
    """The server here makes its URLs of its configuration; the signature holds for one of them only."""
    export = Export(real, issuer.backend("system/Patient.rs"), f"{KICK_OFF}?_type=Patient")
    signature = export.status.partition("?")[2]
    for path in ("/fhir/Observation", "/fhir/Observation/ben-pulse-1", "/fhir/bulk-files/1/Observation.ndjson"):
        response = real.get(f"{path}?{signature}", export.token)
        assert (response.status, response.reason) == (403, "export_not_bound"), response
