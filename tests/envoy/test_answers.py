"""What of a FHIR server's answer reaches a client that is confined to a patient, however the server
answers: it may ignore every criterion, lie about its format or stop halfway."""

import gzip
import json

import pytest

from hostile import (
    CHUNKED, FHIR_JSON, FOREIGN, MARK, OUTCOME, OWN, answers, bundle, chunked, observation, ok, passed, shows,
    turned_back)
from lab import http2
from lab.http import NoResponse

READ, SEARCH = "/fhir/Observation/ann-1", "/fhir/Observation?code=8867-4"

OTHERS = [
    {"resource": FOREIGN},
    {"resource": FOREIGN, "search": {"mode": "match"}},
    {"resource": {"resourceType": "Patient", "id": "ben", "name": [{"family": MARK}]},
     "search": {"mode": "include"}},
    {"resource": {"resourceType": "Practitioner", "id": "7", "name": [{"family": MARK}]},
     "search": {"mode": "match"}},
    {"resource": {**FOREIGN, "resourceType": "Condition"}, "search": {"mode": "include"}},
    {"resource": {**OWN, "resourceType": "Condition", "code": {"text": MARK}}},
    {"resource": {**OWN, "contents": FOREIGN}},
    {"resource": {**OWN, "code": {"text": MARK}}, "fullUrl": "https://other.example/fhir/Observation/1"},
    {"fullUrl": f"https://api.clinic.example/fhir/Observation/{MARK}"},
    {"response": {"status": "200", "outcome": FOREIGN}},
    {"note": MARK},
]
# Bytes that a parser that writes anew would change.
EXACT = (json.dumps(OWN, indent=2)[:-1].rstrip()
         + ',\n  "valueQuantity": {"value": 1.10, "unit": "\\u00b5g"}\n}\n').encode()


# By id.

@pytest.mark.parametrize("target", [READ, f"{READ}/_history/2"])
def test_the_patients_resource_comes_byte_for_byte(gateway, issuer, target):
    etag, modified = ("etag", 'W/"2"'), ("last-modified", "Sun, 01 Mar 2026 10:00:00 GMT")
    answers(gateway, *ok(EXACT, etag, modified))
    response = gateway.get(target, issuer.patient())
    passed(gateway, response, reason="allowed")
    assert response.body == EXACT
    assert (etag in response.headers, modified in response.headers) == (True, True)
    assert response.header("content-length") == str(len(EXACT))


NOT_THERE = {
    "another patient's": (ok(FOREIGN, ("etag", f'"{MARK}"')), None),
    "nobody's": (ok({"resourceType": "Observation", "id": "1", "code": {"text": MARK}}), None),
    "another type": (ok({"resourceType": "Patient", "id": "ann", "name": [{"text": MARK}]}), None),
    "a bundle": (ok(bundle({"resource": OWN}, {"resource": FOREIGN})), None),
    "one within": (ok({**OWN, "extra": FOREIGN}), None),
    "an id that begins alike": (ok(observation("1", "ann2")), None),
    "another server's": (ok(observation("1", subject={
        "reference": "https://other.example/fhir/Patient/ann"}, note=[{"text": MARK}])), None),
    "an outcome": (ok(OUTCOME), None),
    "missing": (ok(OUTCOME, status=404), "answer_not_found"),
    "missing as text": ((404, [("content-type", "text/plain")], MARK.encode()), "answer_not_found"),
    "missing without a body": ((404, [], b""), "answer_not_found"),
    "gone": (ok(OUTCOME, ("etag", f'"{MARK}"'), status=410), "answer_not_found"),
}


@pytest.mark.parametrize("target", [READ, f"{READ}/_history/2", f"{READ}/_history"])
def test_what_is_not_the_patients_looks_like_what_is_not_there(gateway, issuer, target):
    seen = set()
    for name, (answer, audit) in NOT_THERE.items():
        if target.endswith("_history"):
            if answer[0] == 200:
                resource = json.loads(answer[2])
                answer = ok(bundle({"resource": resource, "fullUrl": MARK}, kind="history"))
        answers(gateway, *answer)
        response = gateway.get(target, issuer.patient())
        turned_back(gateway, response, 403, "compartment_not_member", audit)
        request_id = response.header("x-request-id")
        fields = [field for field in response.headers
                  if field[0] not in ("x-request-id", "date", "content-length")]
        seen.add((str(fields), response.body.replace(request_id.encode(), b"")))
    assert len(seen) == 1, seen


def test_a_history_holds_the_patients_versions_only(gateway, issuer):
    version = {"resource": OWN, "request": {"method": "PUT", "url": "Observation/ann-1"},
               "response": {"status": "200"}}
    deleted = {"request": {"method": "DELETE", "url": "Observation/ann-1"}, "response": {"status": "204"}}
    body = json.dumps(bundle(version, deleted, kind="history", total=2)).encode()
    answers(gateway, *ok(body))
    response = gateway.get(f"{READ}/_history", issuer.patient())
    passed(gateway, response, removed=None)
    assert response.body == body
    moved = {**version, "resource": FOREIGN}
    answers(gateway, *ok(bundle(version, moved, kind="history", total=2)))
    response = gateway.get(f"{READ}/_history", issuer.patient())
    passed(gateway, response, removed=1)
    assert response.json() == bundle(version, kind="history")


@pytest.mark.parametrize("target", [
    READ, f"{READ}/_history", f"{READ}/_history/2", SEARCH, "/fhir/Patient/ann/Observation"])
def test_a_head_request_would_tell_what_exists(gateway, issuer, target):
    response = gateway.send("HEAD", target, issuer.patient())
    gateway.refused(response, 405, "head_unjudged", method="HEAD")
    assert response.header("allow") == "GET"


@pytest.mark.parametrize("query, accept, status", [
    ("_format=xml", None, 406),
    ("_format=application/fhir%2Bxml", None, 406),
    ("_format=json&_format=xml", None, 406),
    ("_format=ttl", None, 406),
    ("", "application/fhir+xml", 406),
    ("", "text/html", 406),
    ("", "application/xml, text/turtle", 406),
    ("_format=json", "application/fhir+xml", 406),
    ("_format=json", None, 200),
    ("_format=application/fhir%2Bjson", None, 200),
    ("", "application/fhir+json; fhirVersion=4.0", 200),
    ("", "application/json", 200),
    ("", "*/*", 200),
    ("", "application/fhir+xml, application/fhir+json;q=0.5", 200),
])
def test_a_format_that_can_not_be_judged_is_not_asked_for(gateway, issuer, query, accept, status):
    headers = [("accept", accept)] if accept else []
    for target, answer in ((READ, OWN), (SEARCH, bundle())):
        joint = "&" if "?" in target else "?"
        answers(gateway, *ok(answer))
        response = gateway.get(f"{target}{joint}{query}" if query else target, issuer.patient(),
                               headers=headers)
        if status == 406:
            gateway.refused(response, 406, "format_unjudged")
        else:
            got, _ = passed(gateway, response)
            assert got.header("accept") == "application/fhir+json"


def test_a_form_does_not_ask_for_another_format(gateway, issuer):
    for form in (b"_format=xml", b"code=1&%5Fformat=ttl", b"_format=json&_format=xml"):
        response = search(gateway, issuer.patient(), "POST", "/fhir/Observation/_search", form)
        gateway.refused(response, 406, "format_unjudged")
    gateway.refused(gateway.get(f"{READ}?_Format=xml", issuer.patient()), 403, "parameter_unjudged")
    gateway.refused(gateway.get(f"{SEARCH}&_Format=xml", issuer.patient()), 400, "search_name_case")


@pytest.mark.parametrize("target, answer", [(READ, OWN), (SEARCH, bundle())], ids=["read", "search"])
def test_the_server_is_asked_for_the_whole_answer(gateway, issuer, target, answer):
    dropped = {"if-none-match": 'W/"2"', "if-modified-since": "Sun, 01 Mar 2026 10:00:00 GMT",
               "if-match": 'W/"1"', "if-unmodified-since": "Sun, 01 Mar 2026 10:00:00 GMT",
               "range": "bytes=0-10", "if-range": '"2"', "accept-encoding": "gzip, br"}
    answers(gateway, *ok(answer))
    headers = [*dropped.items(), ("accept-language", "de")]
    got, _ = passed(gateway, gateway.get(target, issuer.patient(), headers=headers))
    assert {name for name, _ in got.headers} & set(dropped) == set()
    assert [value for name, value in got.headers if name == "accept"] == ["application/fhir+json"]
    assert got.header("accept-language") == "de"


def test_the_elements_that_prove_are_asked_for(gateway, issuer):
    answers(gateway, *ok(OWN))
    got, _ = passed(gateway, gateway.get(f"{READ}?_elements=code", issuer.patient()))
    assert got.target == f"{READ}?_elements=code,subject"
    answers(gateway, *ok(bundle()))
    got, _ = passed(gateway, gateway.get(f"{SEARCH}&_elements=code", issuer.patient()))
    assert got.target == f"{SEARCH}&_elements=code,subject&patient=Patient%2Fann"
    form = [("content-type", "application/x-www-form-urlencoded")]
    got, _ = passed(gateway, gateway.send("POST", "/fhir/Observation/_search", issuer.patient(), form,
                                          b"_elements=code&code=1"))
    assert got.body == b"_elements=code,subject&code=1&patient=Patient%2Fann"


# Searches.

SEARCHES = [("GET", SEARCH, b""), ("POST", "/fhir/Observation/_search", b"code=1"),
            ("GET", "/fhir/Patient/ann/Observation", b"")]


def search(gateway, token, method="GET", target=SEARCH, form=b""):
    headers = [("content-type", "application/x-www-form-urlencoded")] if form else []
    return gateway.send(method, target, token, headers, form)


@pytest.mark.parametrize("how", SEARCHES, ids=str)
def test_a_server_that_ignores_every_criterion_shows_nothing_foreign(gateway, issuer, how):
    described = [("etag", f'W/"{MARK}"'), ("last-modified", "Sun, 01 Mar 2026 10:00:00 GMT"),
                 ("content-md5", "x"), ("digest", "x"), ("x-kept", "1")]
    link = [{"relation": "self", "url": "https://api.clinic.example/fhir/Observation"}]
    everything = bundle({"resource": OWN, "search": {"mode": "match"}}, *OTHERS, total=11, link=link)
    answers(gateway, *ok(everything, *described))
    response = search(gateway, issuer.patient(), *how)
    passed(gateway, response, removed=len(OTHERS))
    shown = response.json()
    assert [entry["resource"]["resourceType"] for entry in shown["entry"]] == [
        "Observation", "OperationOutcome"]
    own, outcome = shown["entry"]
    assert own["resource"] == OWN
    assert outcome["search"] == {"mode": "outcome"}
    assert [(one["severity"], one["code"]) for one in outcome["resource"]["issue"]] == [
        ("information", "suppressed")]
    assert "total" not in shown
    assert shown["link"] == link
    assert {name for name, _ in response.headers} & {
        "etag", "last-modified", "content-md5", "digest"} == set()
    assert response.header("x-kept") == "1"
    assert response.header("content-length") in (None, str(len(response.body)))


@pytest.mark.parametrize("place", range(len(OTHERS)))
def test_each_foreign_entry_is_removed(gateway, issuer, place):
    answers(gateway, *ok(bundle({"resource": OWN}, OTHERS[place], {"resource": OWN})))
    response = search(gateway, issuer.patient())
    passed(gateway, response, removed=1)
    assert [entry["resource"]["resourceType"] for entry in response.json()["entry"]] == [
        "Observation", "Observation", "OperationOutcome"]


@pytest.mark.parametrize("how", SEARCHES, ids=str)
def test_an_answer_that_is_the_patients_comes_byte_for_byte(gateway, issuer, how):
    entry = b'{"resource": ' + EXACT + b', "search": {"mode": "match"}}'
    body = b'{"total": 1, "resourceType":"Bundle",\n "type": "searchset", "entry": [\n' + entry + b"]}\n"
    answers(gateway, *ok(body, ("etag", 'W/"7"')))
    response = search(gateway, issuer.patient(), *how)
    passed(gateway, response, removed=None)
    assert response.body == body
    assert response.header("etag") == 'W/"7"'


def test_what_stays_keeps_its_bytes(gateway, issuer):
    body = (b'{"resourceType": "Bundle", "type": "searchset", "total": 2, "entry": [{"resource": '
            + EXACT + b'}, {"resource": ' + json.dumps(FOREIGN).encode() + b"}]}")
    answers(gateway, *ok(body))
    response = search(gateway, issuer.patient())
    passed(gateway, response, removed=1)
    assert EXACT in response.body


def test_what_is_included_and_may_be_read_stays(gateway, issuer):
    ann = {"resource": {"resourceType": "Patient", "id": "ann"}, "search": {"mode": "include"}}
    answers(gateway, *ok(bundle({"resource": OWN}, ann, OTHERS[2])))
    response = search(gateway, issuer.patient())
    passed(gateway, response, removed=1)
    assert response.json()["entry"][1] == ann


def test_a_search_for_patients_finds_one(gateway, issuer):
    ann = {"resourceType": "Patient", "id": "ann", "link": [
        {"other": {"reference": "Patient/ben"}, "type": "seealso"}]}
    ben = {"resourceType": "Patient", "id": "ben", "name": [{"family": MARK}], "link": [
        {"other": {"reference": "Patient/ann"}, "type": "seealso"}]}
    answers(gateway, *ok(bundle({"resource": ben}, {"resource": ann}, total=2)))
    response = gateway.get("/fhir/Patient?name=x", issuer.patient())
    passed(gateway, response, removed=1)
    assert response.json()["entry"][0]["resource"] == ann


# Hostile answers.

TEXT = ("content-type", "text/plain")
BOTH = bundle({"resource": OWN}, {"resource": FOREIGN})
HALF = json.dumps(BOTH).encode()[:-20]


def twice(resource):
    """The subject twice: readers may take either."""
    text = json.dumps(resource)
    return (text[:-1] + ', "subject": {"reference": "Patient/ann"}}').encode()


def in_bundle(resource):
    return b'{"resourceType":"Bundle","type":"searchset","entry":[{"resource":' + resource + b"}]}"


HOSTILE = [
    ("XML", (200, [("content-type", "application/fhir+xml")], f"<a>{MARK}</a>".encode()),
     406, "answer_format"),
    ("XML that says it is JSON", ok(f"<Observation>{MARK}</Observation>".encode()),
     502, "answer_unreadable"),
    ("gzip", ok(gzip.compress(json.dumps(BOTH).encode()), ("content-encoding", "gzip")),
     502, "answer_encoding"),
    ("gzip unsaid", ok(gzip.compress(json.dumps(BOTH).encode())), 502, "answer_unreadable"),
    ("encoding twice", ok(BOTH, ("content-encoding", "identity"), ("content-encoding", "gzip")),
     502, "answer_encoding"),
    ("no content-type", (200, [], json.dumps(BOTH).encode()), 406, "answer_format"),
    ("content-type twice", ok(BOTH, FHIR_JSON), 406, "answer_format"),
    ("two content-types", ok(BOTH, ("content-type", "text/html")), 406, "answer_format"),
    ("UTF-16", (200, [("content-type", "application/fhir+json; charset=utf-16")],
                json.dumps(BOTH).encode("utf-16")), 406, "answer_format"),
    ("HTML", (200, [("content-type", "text/html")], MARK.encode()), 406, "answer_format"),
    ("cut off", ok(HALF), 502, "answer_unreadable"),
    ("two documents", ok(json.dumps(bundle()).encode() + json.dumps(FOREIGN).encode()),
     502, "answer_unreadable"),
    ("a byte order mark", ok(b"\xef\xbb\xbf" + json.dumps(BOTH).encode()), 502, "answer_unreadable"),
    ("not UTF-8", ok(json.dumps(BOTH).encode() + b"\xff"), 502, "answer_unreadable"),
    ("empty", ok(b""), 502, "answer_unreadable"),
    ("a redirect", (301, [("location", f"http://x/{MARK}"), TEXT], MARK.encode()), 502, "answer_status"),
    ("another place", ok(BOTH, ("location", MARK), status=303), 502, "answer_status"),
    ("not modified", (304, [("etag", f'"{MARK}"')], b""), 502, "answer_status"),
    ("a part", ok(BOTH, ("content-range", "bytes 0-9/99"), status=206), 502, "answer_status"),
    ("no content", (204, [("etag", f'"{MARK}"')], []), 502, "answer_status"),
    ("accepted", (202, [("content-location", f"/{MARK}")], b""), 502, "answer_status"),
    ("created", ok(FOREIGN, ("location", MARK), status=201), 502, "answer_status"),
    ("an error with a stack trace", (500, [TEXT], MARK.encode()), 502, "answer_error_body"),
    ("an error with a resource", ok(FOREIGN, status=500), 502, "answer_error_body"),
    ("an error with a resource within", ok({**OUTCOME, "contained": [FOREIGN]}, status=422),
     502, "answer_error_body"),
    ("a bad request with a page", (400, [("content-type", "text/html")], MARK.encode()),
     502, "answer_error_body"),
]


@pytest.mark.parametrize("target", [READ, f"{READ}/_history", SEARCH], ids=["read", "history", "search"])
@pytest.mark.parametrize("answer, status, code", [row[1:] for row in HOSTILE],
                         ids=[row[0] for row in HOSTILE])
@pytest.mark.parametrize("client", ["HTTP/1.1", "HTTP/2"])
def test_what_can_not_be_judged_does_not_pass(gateway, issuer, target, answer, status, code, client):
    answers(gateway, *answer)
    asking = gateway.over(http2.Client(gateway.client.port)) if client == "HTTP/2" else gateway
    turned_back(asking, asking.get(target, issuer.patient()), status, code)


@pytest.mark.parametrize("client", ["HTTP/1.1", "HTTP/2"])
def test_what_two_readers_read_differently_does_not_pass(gateway, issuer, client):
    asking = gateway.over(http2.Client(gateway.client.port)) if client == "HTTP/2" else gateway
    answers(gateway, *ok(twice(FOREIGN)))
    turned_back(asking, asking.get(READ, issuer.patient()), 502, "answer_unreadable")
    answers(gateway, *ok(in_bundle(twice(FOREIGN))))
    turned_back(asking, asking.get(SEARCH, issuer.patient()), 502, "answer_unreadable")
    body = json.dumps(bundle()).encode()[:-1] + b', "entry": [' + json.dumps(OTHERS[0]).encode() + b"]}"
    answers(gateway, *ok(body))
    turned_back(asking, asking.get(SEARCH, issuer.patient()), 502, "answer_unreadable")


@pytest.mark.parametrize("depth", [200, 100_000])
def test_what_is_too_deep_does_not_pass(gateway, issuer, depth):
    """And leaves the stack of the filter alone."""
    token, deep = issuer.patient(), b"[" * depth + b"]" * depth
    own = json.dumps(OWN).encode()
    answers(gateway, *ok(own[:-1] + b', "note": ' + deep + b"}"))
    turned_back(gateway, gateway.get(READ, token), 502, "answer_unreadable")
    for body in (deep, b'{"a":' * depth + b"1" + b"}" * depth):
        answers(gateway, *ok(body))
        turned_back(gateway, gateway.get(READ, token), 502, "answer_unreadable")
    answers(gateway, *ok(in_bundle(own[:-1] + b', "note": ' + deep + b"}")))
    turned_back(gateway, search(gateway, token), 502, "answer_unreadable")
    answers(gateway, *ok(in_bundle(own)[:-1] + b', "link": ' + deep + b"}"))
    turned_back(gateway, search(gateway, token), 502, "answer_unreadable")
    answers(gateway, *ok(in_bundle(own)[:-1] + b', "unknown": ' + deep + b"}"))
    turned_back(gateway, search(gateway, token), 502, "answer_unreadable")


@pytest.mark.parametrize("document", [OWN, FOREIGN, bundle(kind="collection"),
                                      bundle({"resource": FOREIGN}, kind="batch-response"), OUTCOME],
                         ids=["own", "foreign", "collection", "batch", "outcome"])
def test_a_search_is_answered_with_a_searchset(gateway, issuer, document):
    answers(gateway, *ok(document))
    turned_back(gateway, search(gateway, issuer.patient()), 502, "answer_not_bundle")


@pytest.mark.parametrize("status", [400, 422, 500, 503])
@pytest.mark.parametrize("body", [json.dumps(OUTCOME).encode(), b""], ids=["outcome", "empty"])
@pytest.mark.parametrize("target", [READ, SEARCH], ids=["read", "search"])
def test_an_error_reaches_the_client(gateway, issuer, target, body, status):
    answers(gateway, *ok(body, ("retry-after", "7"), status=status))
    response = gateway.get(target, issuer.patient())
    assert (response.status, response.body) == (status, body)
    assert response.header("retry-after") == "7"
    record = gateway.envoy.audit(response.header("x-request-id"))
    assert (record["decision"], record["outcome"]["status"]) == ("allow", status)


def test_a_search_path_that_is_missing_is_said_to_be(gateway, issuer):
    answers(gateway, *ok(OUTCOME, status=404))
    assert search(gateway, issuer.patient()).status == 404


@pytest.mark.parametrize("client", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("trailers", [(), (b"x-total: 3\r\n",)], ids=["", "with trailers"])
def test_chunks_and_trailers_are_judged_whole(gateway, issuer, client, trailers):
    asking = gateway.over(http2.Client(gateway.client.port)) if client == "HTTP/2" else gateway
    token = issuer.patient()
    answers(gateway, *chunked(EXACT, *trailers))
    response = asking.get(READ, token)
    passed(asking, response)
    assert response.body == EXACT
    answers(gateway, *chunked(FOREIGN, *trailers))
    turned_back(asking, asking.get(READ, token), 403, "compartment_not_member")
    answers(gateway, *chunked(bundle({"resource": OWN}, *OTHERS), *trailers))
    response = asking.get(SEARCH, token)
    passed(asking, response, removed=len(OTHERS))
    assert response.json()["entry"][0] == {"resource": OWN}
    # Grows: the outcome is longer than what it stands for.
    answers(gateway, *chunked(bundle({"resource": OWN}, {}), *trailers))
    response = asking.get(SEARCH, token)
    passed(asking, response, removed=1)
    assert len(response.json()["entry"]) == 2


@pytest.mark.parametrize("front", ["gateway", "shipped"])
@pytest.mark.parametrize("mebibytes", [1, 5, 18])
@pytest.mark.parametrize("foreign", [False, True], ids=["own", "foreign"])
def test_a_long_answer_is_judged_up_to_envoys_limit(request, issuer, front, mebibytes, foreign):
    asking = request.getfixturevalue(front)
    entry = {"resource": {**OWN, "note": [{"text": "x" * 1000}]}}
    entries = [entry] * (mebibytes * 2 ** 20 // len(json.dumps(entry)))
    body = json.dumps(bundle(*entries, *OTHERS[:foreign])).encode()
    answers(asking, *ok(body))
    response = search(asking, issuer.patient())
    assert not shows(response, MARK)
    if mebibytes > 16:
        assert response.status == 500
        assert not shows(response, "Patient/ann")
        return
    passed(asking, response, removed=1 if foreign else None)
    assert foreign or response.body == body
    assert len(response.json()["entry"]) == len(entries) + foreign


@pytest.mark.parametrize("client", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("target", [READ, SEARCH], ids=["read", "search"])
def test_an_answer_that_stops_halfway_does_not_pass(gateway, issuer, target, client):
    asking = gateway.over(http2.Client(gateway.client.port)) if client == "HTTP/2" else gateway

    def halfway():
        yield json.dumps(FOREIGN if target == READ else BOTH).encode()
        raise ConnectionResetError

    answers(gateway, 200, [FHIR_JSON, ("content-length", "5000")], halfway())
    try:
        response = asking.get(target, issuer.patient())
    except NoResponse as lost:
        assert MARK not in str(lost)
    else:
        assert response.status >= 500, response
        assert not shows(response, MARK)


@pytest.mark.parametrize("target", [READ, SEARCH], ids=["read", "search"])
def test_a_server_that_hangs_up_is_an_error(gateway, issuer, target):
    gateway.upstream.reply = lambda _: None
    response = gateway.get(target, issuer.patient())
    record = turned_back(gateway, response, 502, "answer_error_body")
    assert "status 503" in response.body.decode(), record


# Who is not confined.

@pytest.mark.parametrize("who", ["clinician", "backend"])
@pytest.mark.parametrize("answer", [
    ok(FOREIGN), ok(BOTH, ("etag", 'W/"1"')), ok(HALF), (204, [], []), (301, [("location", "/x")], b""),
    (404, [TEXT], b"no"), (500, [TEXT], b"broke"),
    (200, [("content-type", "application/fhir+xml")], b"<a/>"),
    ok(gzip.compress(b"{}"), ("content-encoding", "gzip")), chunked(BOTH, b"x-total: 3\r\n")],
    ids=["resource", "bundle", "half", "204", "301", "404", "500", "xml", "gzip", "chunks"])
def test_the_answer_to_who_is_not_confined_is_untouched(gateway, issuer, who, answer):
    status, headers, body = answer
    answers(gateway, *answer)
    sent = [("accept-encoding", "gzip"), ("if-none-match", '"1"'), ("accept", "application/fhir+xml")]
    response = gateway.get(f"{SEARCH}&_elements=code", getattr(issuer, who)(), headers=sent)
    assert response.status == status
    if isinstance(body, bytes):
        assert response.body == body
    for field in headers:
        assert field == CHUNKED or field in response.headers
    (got,) = gateway.upstream.requests
    assert got.target == f"{SEARCH}&_elements=code"
    assert set(sent) <= set(got.headers)


def test_the_answer_to_who_is_not_confined_is_not_held(shipped, issuer):
    """More than Envoy would hold."""
    body = b" " * (9 * 2 ** 20)
    answers(shipped, *ok(body))
    response = search(shipped, issuer.clinician())
    assert (response.status, response.body) == (200, body)


# Settings.

def checked(listen, configuration, how):
    changed = configuration()
    changed["smart"] = {"response_check": how}
    return listen(f"response-check-{how}", changed, hardened=False)


def test_a_check_that_only_reports_changes_nothing(listen, configuration, issuer):
    reporting = checked(listen, configuration, "report")
    token, whole = issuer.patient(), bundle({"resource": OWN}, *OTHERS, total=11)
    for target, answer, would, reason, removed in [
            (READ, ok(FOREIGN), "deny", "compartment_not_member", None),
            (READ, ok(OUTCOME, status=404), "deny", "answer_not_found", None),
            (SEARCH, ok(whole, ("etag", '"1"')), "allow", "allowed", len(OTHERS)),
            (SEARCH, ok(HALF), "error", "answer_unreadable", None),
            (SEARCH, (200, [TEXT], MARK.encode()), "deny", "answer_format", None)]:
        answers(reporting, *answer)
        response = reporting.get(target, token)
        assert (response.status, response.body) == (answer[0], answer[2])
        assert set(answer[1]) <= set(response.headers)
        record = reporting.envoy.audit(response.header("x-request-id"))
        assert (record["decision"], record["observe"]) == ("allow", True), record
        assert (record["would"], record["reason"]) == (would, reason), record
        assert record.get("removed") == removed
    answers(reporting, *ok(OWN))
    record = passed(reporting, reporting.get(READ, token))[1]
    assert "observe" not in record


def test_without_the_check_nothing_is_read_by_id(listen, configuration, issuer):
    unchecked = checked(listen, configuration, "off")
    token = issuer.patient()
    for target in (READ, f"{READ}/_history", f"{READ}/_history/1"):
        for method in ("GET", "HEAD"):
            unchecked.refused(
                unchecked.send(method, target, token), 403, "by_id_unjudged", method=method)
    for answer in (ok(BOTH), ok(HALF), ok(gzip.compress(b"{}"), ("content-encoding", "gzip"))):
        answers(unchecked, *answer)
        response = search(unchecked, token)
        got, record = unchecked.allowed(response)
        assert response.body == answer[2]
        assert got.target == f"{SEARCH}&patient=Patient%2Fann"
        assert "removed" not in record
    unchecked.allowed(unchecked.send("HEAD", SEARCH, token))
