"""The audit record: one line for every exchange, whatever became of it, that nothing from outside can
break and that never holds a token."""

import datetime
import json
import re
import socket
import threading
import time
from urllib.parse import unquote

import fastjsonschema
import pytest

from lab import tokens
from lab.http import NoResponse, message
from lab.processes import ROOT
from test_policy import FORM, JSON, name

fits = fastjsonschema.compile(json.loads((ROOT / "docs" / "audit.schema.json").read_text()))


@pytest.fixture(scope="module")
def hurried(listen, configuration):
    """A listener that waits for nobody longer than half a second."""

    def hurry(manager):
        manager["stream_idle_timeout"] = "0.5s"
        manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["timeout"] = "0.3s"

    return listen("hurried", configuration(), hardened=False, adjust=hurry)


@pytest.fixture(scope="module")
def orphaned(listen, configuration):
    """A listener without a FHIR server behind it."""

    def orphan(manager):
        manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["cluster"] = "nobody"

    return listen("orphaned", configuration(), hardened=False, ready=False, adjust=orphan)


def record(gateway, response):
    request_id = response.header("x-request-id")
    assert request_id, response
    return gateway.envoy.audit(request_id)


def fresh_id():
    return f"audit-{time.time_ns()}"


# What it says.

def test_a_search_says_who_what_and_what_came_of_it(gateway, issuer):
    token = issuer.patient("ann", "openid patient/Observation.rs patient/Patient.r", sub="ann-1",
                           client_id="growth-chart", organization="clinic", roles=["self", "proxy"])
    before = time.time()
    response = gateway.get("/fhir/Observation?code=8867-4&patient=Patient/ann&_count=5", token)
    line = record(gateway, response)
    assert set(line) == {"schema", "time", "id", "request_id", "decision", "reason", "who", "from",
                         "what", "outcome", "patients", "scopes", "narrowed", "revocation"}
    assert line["schema"] == "phiward.audit/1"
    assert before - 0.01 <= instant(line["time"]) <= time.time() + 0.01
    assert (line["decision"], line["reason"]) == ("allow", "allowed")
    assert line["who"] == {
        "issuer": issuer.name, "sub": "ann-1", "client": "growth-chart", "user": "Patient/ann",
        "organization": "clinic", "roles": ["self", "proxy"], "jti": tokens.peek(token)["jti"],
        "patient": "ann"}
    address, _, port = line["from"]["address"].rpartition(":")
    assert address == "127.0.0.1" and port.isdigit()
    assert line["what"] == {
        "method": "GET", "interaction": "search-type", "type": "Observation",
        "parameters": [{"name": "code"}, {"name": "patient", "value": "Patient/ann"},
                       {"name": "_count"}]}
    assert line["outcome"]["status"] == 200
    assert line["outcome"]["bytes"] == len(response.body)
    assert 0 < line["outcome"]["duration_ms"] <= response.seconds * 1000 + 1
    assert line["patients"] == ["ann"]
    assert line["scopes"] == ["patient/Observation.rs"]
    assert line["narrowed"] == ["patient=Patient/ann"]
    assert line["revocation"] == "fresh"


def instant(text):
    """RFC 3339 in UTC with milliseconds, as seconds since 1970."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text), text
    return datetime.datetime.fromisoformat(text).timestamp()


READ = {"interaction": "read", "type": "Patient", "id": "ann", "patient": "ann"}
WHAT = [
    ("GET", "/fhir/Patient/ann", READ),
    ("HEAD", "/fhir/Patient/ann", READ),
    ("GET", "/fhir/Observation/1/_history/2",
     {"interaction": "vread", "type": "Observation", "id": "1", "version": "2"}),
    ("GET", "/fhir/Observation/1/_history",
     {"interaction": "history-instance", "type": "Observation", "id": "1"}),
    ("GET", "/fhir/Observation/_history", {"interaction": "history-type", "type": "Observation"}),
    ("GET", "/fhir/_history", {"interaction": "history-system"}),
    ("GET", "/fhir/Patient/ben/Observation",
     {"interaction": "search-type", "type": "Observation", "compartment": "Patient/ben",
      "patient": "ben"}),
    ("GET", "/fhir/Encounter/7/*", {"interaction": "search-system", "compartment": "Encounter/7"}),
    ("POST", "/fhir/Observation", {"interaction": "create", "type": "Observation"}),
    ("PUT", "/fhir/Observation/1", {"interaction": "update", "type": "Observation", "id": "1"}),
    ("PATCH", "/fhir/Observation/1", {"interaction": "patch", "type": "Observation", "id": "1"}),
    ("DELETE", "/fhir/Observation/1", {"interaction": "delete", "type": "Observation", "id": "1"}),
    ("DELETE", "/fhir/Observation?identifier=secret",
     {"interaction": "delete", "type": "Observation", "parameters": [{"name": "identifier"}]}),
    ("POST", "/fhir", {"interaction": "batch"}),
    ("GET", "/fhir/Patient/ann/$everything",
     {"interaction": "operation", "type": "Patient", "id": "ann", "operation": "$everything",
      "patient": "ann"}),
    ("GET", "/fhir/$export", {"interaction": "operation", "operation": "$export"}),
    ("GET", "/fhir/metadata", {"interaction": "capabilities"}),
    ("GET", "/fhir/.well-known/smart-configuration", {"interaction": "public"}),
    ("GET", "/fhir/nonsense", {}),
    ("GET", "/fhir//Patient/ann", {}),
    ("PROPFIND", "/fhir/Patient/ann", {}),
]


@pytest.mark.parametrize("method, target, what", WHAT, ids=[f"{row[0]} {row[1]}" for row in WHAT])
def test_what_was_asked(gateway, issuer, method, target, what):
    headers = JSON if method in ("POST", "PUT", "PATCH") else ()
    response = gateway.send(method, target, issuer.clinician(), headers=headers)
    assert record(gateway, response)["what"] == {"method": method, **what}


def test_only_ids_and_patients_are_written_of_a_search(gateway, issuer):
    query = ("_id=o1&subject=Patient/ann&patient=ann&name=secret&identifier=secret&code:text=secret"
             "&birthdate=secret&_content=secret&performer=Practitioner/secret&_tag=secret")
    form = "value-string=secret&patient=Patient%2Fann&patient:identifier=secret"
    response = gateway.send("POST", f"/fhir/Observation/_search?{query}", issuer.clinician(),
                            headers=FORM, body=form.encode())
    line = record(gateway, response)
    assert "secret" not in json.dumps(line)
    shown = [(one["name"], one.get("value")) for one in line["what"]["parameters"]]
    assert shown == [
        ("_id", "o1"), ("subject", "Patient/ann"), ("patient", "ann"), ("name", None),
        ("identifier", None), ("code:text", None), ("birthdate", None), ("_content", None),
        ("performer", None), ("_tag", None), ("value-string", None), ("patient", "Patient/ann"),
        ("patient:identifier", None)]


def test_a_long_search_is_cut(gateway, issuer):
    query = "&".join(f"_id={number}" for number in range(500))
    line = record(gateway, gateway.get(f"/fhir/Observation?{query}", issuer.clinician()))
    assert len(line["what"]["parameters"]) == 65
    assert line["what"]["parameters"][-1] == {"name": "…"}


@pytest.mark.parametrize("size", [0, 1, 5000, 300_000])
def test_the_bytes_of_an_answer_are_counted(gateway, issuer, upstream, size):
    upstream.reply = lambda request: (200, [("content-type", "text/plain")], b"x" * size)
    response = gateway.get("/fhir/Observation/1", issuer.clinician())
    assert record(gateway, response)["outcome"]["bytes"] == size


@pytest.mark.parametrize("status", [201, 204, 304, 404, 409, 410, 422, 500, 503])
def test_the_servers_own_refusals_are_allowed_exchanges(gateway, issuer, upstream, status):
    upstream.reply = lambda request: (status, [], b"")
    response = gateway.get("/fhir/Observation/1", issuer.clinician())
    line = record(gateway, response)
    assert (line["decision"], line["outcome"]["status"]) == ("allow", status)


def test_the_duration_is_that_of_the_whole_exchange(gateway, issuer, upstream):
    def slowly(request):
        time.sleep(0.15)
        return 200, [], b""

    upstream.reply = slowly
    response = gateway.get("/fhir/Observation/1", issuer.clinician())
    duration = record(gateway, response)["outcome"]["duration_ms"]
    assert 150 <= duration <= response.seconds * 1000 + 1


@pytest.mark.parametrize("listener", ["gateway", "shipped"])
@pytest.mark.parametrize("target", ["/fhir/Observation", "/fhir/Patient/ben", "/fhir/metadata"])
def test_the_request_id_is_the_same_everywhere(request, issuer, listener, target):
    through = request.getfixturevalue(listener)
    response = through.get(target, issuer.patient())
    request_id = response.header("x-request-id")
    assert record(through, response)["request_id"] == request_id
    if response.status == 200:
        assert through.upstream.requests[-1].header("x-request-id") == request_id
    else:
        assert request_id in response.json()["issue"][0]["diagnostics"]


def test_every_record_has_its_own_id(gateway, issuer):
    ids = [record(gateway, gateway.get("/fhir/Patient/ann", issuer.patient()))["id"]
           for _ in range(20)]
    assert len(set(ids)) == 20


# Who is named.

@pytest.mark.parametrize("forgery", [
    "unsigned", "other key", "unknown key", "changed claims", "unknown issuer", "no issuer",
    "hmac", "cut", "not a token"])
def test_nobody_is_named_before_the_signature_is_proven(gateway, issuer, forgery):
    claims = issuer.claims(scope="patient/*.rs", sub="innocent", patient="innocent",
                           client_id="innocent", fhirUser="Patient/innocent")
    stranger = tokens.Key("RS256", "rsa-1")
    good = issuer.token("patient/*.rs", patient="ann")
    token = {
        "unsigned": lambda: tokens.unsigned(claims, kid="rsa-1"),
        "other key": lambda: stranger.sign(claims),
        "unknown key": lambda: issuer.keys[0].sign(claims, kid="rsa-9"),
        "changed claims": lambda: tokens.with_claims(good, **claims),
        "unknown issuer": lambda: issuer.keys[0].sign({**claims, "iss": "https://innocent.example"}),
        "no issuer": lambda: issuer.keys[0].sign({**claims, "iss": None}),
        "hmac": lambda: tokens.hs256(claims, b"public", kid="rsa-1"),
        "cut": lambda: issuer.keys[0].sign(claims)[:-4],
        "not a token": lambda: tokens.b64(b'{"sub":"innocent"}'),
    }[forgery]()
    line = gateway.refused(gateway.get("/fhir/Patient/innocent-not", token), 401, "token_invalid",
                           challenge='Bearer error="invalid_token"',
                           audit=record_reason(gateway, token))
    assert "who" not in line
    assert "innocent" not in json.dumps(line).replace("innocent-not", "")


def record_reason(gateway, token):
    """The precise reason, which only the record has; the token's own tests prove which it must be."""
    reason = record(gateway, gateway.get("/fhir/Patient/x", token))["reason"]
    assert reason.startswith("token_") and reason != "token_invalid"
    return reason


def test_who_was_refused_by_the_rules_is_named(gateway, issuer):
    line = gateway.refused(gateway.get("/fhir/Patient/ben", issuer.patient(sub="curious")), 403,
                           "compartment_other_patient")
    assert line["who"]["sub"] == "curious"
    assert line["what"]["patient"] == "ben"
    assert "scopes" not in line and "narrowed" not in line


# What went wrong on the way.

def test_a_server_that_is_down(orphaned, issuer):
    deadline = time.monotonic() + 10
    while (response := orphaned.get("/fhir/Patient/ann", issuer.clinician())).reason:
        assert time.monotonic() < deadline, response
    assert response.status == 503
    line = record(orphaned, response)
    assert (line["decision"], line["outcome"]["status"]) == ("allow", 503)
    assert line["outcome"]["bytes"] == len(response.body)


def test_a_server_that_hangs_up(gateway, issuer, upstream):
    upstream.reply = lambda request: None
    response = gateway.get("/fhir/Patient/ann", issuer.clinician())
    assert response.status == 503
    assert record(gateway, response)["outcome"]["status"] == 503


def test_a_server_that_breaks_off_in_the_middle(gateway, issuer, upstream):
    upstream.reply = lambda request: (
        200, [("transfer-encoding", "chunked"), ("connection", "close")], iter([b"5\r\nhello\r\n"]))
    request_id = fresh_id()
    with pytest.raises(NoResponse):
        gateway.client.get("/fhir/Patient/ann", issuer.clinician(),
                           headers=[("x-request-id", request_id)])
    line = gateway.envoy.audit(request_id)
    assert (line["decision"], line["outcome"]["status"]) == ("allow", 200)
    assert line["outcome"]["bytes"] == 5


def test_a_server_that_does_not_answer_in_time(hurried, issuer, upstream):
    never = threading.Event()
    upstream.reply = lambda request: never.wait(5) and None
    response = hurried.get("/fhir/Patient/ann", issuer.clinician())
    never.set()
    assert response.status == 504
    line = record(hurried, response)
    assert (line["decision"], line["outcome"]["status"]) == ("allow", 504)
    assert 250 <= line["outcome"]["duration_ms"] < 3000


def test_a_client_that_stops_in_the_middle_of_its_form(gateway, issuer):
    request_id = fresh_id()
    left(gateway, request_id, "POST", "/fhir/Observation/_search", issuer.patient(),
         [*FORM, ("content-length", "100")], b"code=")
    line = gateway.envoy.audit(request_id)
    assert (line["decision"], line["reason"]) == ("error", "request_not_decided")
    assert "status" not in line["outcome"]
    assert line["who"]["patient"] == "ann"
    assert gateway.upstream.requests == []


def test_a_client_whose_form_never_comes(hurried, issuer):
    request_id = fresh_id()
    head = message("POST", "/fhir/Observation/_search", hurried.client.port,
                   [*FORM, ("content-length", "100"), ("x-request-id", request_id)], b"",
                   issuer.patient())
    response = hurried.client.send(head)
    assert response.status == 408
    line = hurried.envoy.audit(request_id)
    assert (line["decision"], line["reason"]) == ("error", "request_not_decided")
    assert line["outcome"]["status"] == 408
    assert hurried.upstream.requests == []


def test_a_client_that_stops_in_the_middle_of_a_resource(gateway, issuer):
    request_id = fresh_id()
    left(gateway, request_id, "POST", "/fhir/Observation", issuer.clinician(),
         [*JSON, ("content-length", "100")], b'{"resourceType":')
    line = gateway.envoy.audit(request_id)
    assert (line["decision"], line["what"]["interaction"]) == ("allow", "create")
    assert "status" not in line["outcome"]


def test_a_client_that_leaves_before_the_answer(gateway, issuer, upstream):
    arrived, may_go = threading.Event(), threading.Event()

    def wait(request):
        arrived.set()
        may_go.wait(5)
        return 200, [], b""

    upstream.reply = wait
    request_id = fresh_id()
    left(gateway, request_id, "GET", "/fhir/Observation/1", issuer.clinician(),
         until=lambda _: arrived.wait(5))
    line = gateway.envoy.audit(request_id)
    may_go.set()
    assert line["decision"] == "allow"
    assert "status" not in line["outcome"]
    assert line["outcome"]["bytes"] == 0


def test_a_client_that_leaves_in_the_middle_of_the_answer(gateway, issuer, upstream):
    may_go = threading.Event()

    def parts():
        yield b"5\r\nhello\r\n"
        may_go.wait(5)
        yield b"0\r\n\r\n"

    upstream.reply = lambda request: (200, [("transfer-encoding", "chunked")], parts())
    request_id = fresh_id()
    left(gateway, request_id, "GET", "/fhir/Observation/1", issuer.clinician(),
         until=lambda connection: read_until(connection, b"hello"))
    line = gateway.envoy.audit(request_id)
    may_go.set()
    assert (line["decision"], line["outcome"]["status"]) == ("allow", 200)
    assert line["outcome"]["bytes"] == 5


def left(gateway, request_id, method, target, token, headers=(), body=b"",
         until=lambda _: time.sleep(0.1)):
    """A client that sends this, waits until it is time and leaves."""
    sent = message(method, target, gateway.client.port, [("x-request-id", request_id), *headers],
                   body, token)
    with socket.create_connection(("127.0.0.1", gateway.client.port), 5) as connection:
        connection.sendall(sent)
        until(connection)


def read_until(connection, text):
    seen = b""
    while text not in seen:
        part = connection.recv(10_000)
        assert part, seen
        seen += part


@pytest.mark.parametrize("listener, method, target", [
    ("shipped", "GET", "/fhir/Patient%2fann"), ("shipped", "GET", "/fhir/%00"),
    ("shipped", "GET", "/fhir/Patient%5cann"), ("gateway", "BREW", "/fhir/Patient/ann"),
    ("gateway", "get", "/fhir/Patient/ann"), ("gateway", "GET", "/fhir/Patient/ann#x"),
])
def test_what_envoy_refuses_by_itself_has_a_record_too(request, issuer, listener, method, target):
    through = request.getfixturevalue(listener)
    before = len(through.envoy.audits())
    response = through.client.request(method, target, token=issuer.patient())
    assert response.status == 400
    line = next_record(through, before)
    assert (line["decision"], line["reason"]) == ("error", "request_never_seen")
    assert line["outcome"]["status"] == 400
    assert "who" not in line
    assert through.upstream.requests == []


def next_record(gateway, before):
    """The first record after the first `before` ones."""
    deadline = time.monotonic() + 5
    while len(gateway.envoy.audits()) == before:
        assert time.monotonic() < deadline, "no record was written"
        time.sleep(0.01)
    return gateway.envoy.audits()[before]


# What comes from outside.

HOSTILE = [
    'quote " and backslash \\', '"}\n{"schema":"phiward.audit/1"', "line\r\nbreak",
    "\u2028\u2029\u0085", "\x00\x1b[31m\x7f", "\ud7ff\uffff\U0001f480", "${jndi:ldap://x}", "<script>", "x" * 1000,
]
NAMED = ["sub", "client_id", "jti", "fhirUser", "organization", "sid"]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: name(text)[:30] or "separators")
def test_no_claim_breaks_the_line(gateway, issuer, text):
    claims = {claim: text for claim in NAMED}
    response = gateway.get("/fhir/Patient/ann", issuer.token(
        "patient/*.rs", patient="ann", roles=[text, text], **claims))
    line = record(gateway, response)
    fits(line)
    shown = text if len(text) <= 256 else text[:256] + "…"
    for field in ("sub", "client", "jti", "user", "organization"):
        assert line["who"][field] == shown
    assert line["who"]["roles"] == [shown, shown]


def test_a_claim_of_10_kilobytes_is_cut(gateway, issuer):
    line = record(gateway, gateway.get("/fhir/Patient/ann", issuer.patient(sub="x" * 10_000)))
    fits(line)
    assert line["who"]["sub"] == "x" * 256 + "…"


@pytest.mark.parametrize("value", [
    "quote%22%5C", "%22%7D%2C%7B%22schema%22%3A%22phiward.audit%2F1%22%7D", "%E2%80%A8%E2%80%A9",
    "%F0%9F%92%80", "x" * 7000, "%24%7Bjndi%3Aldap%3A%2F%2Fx%7D",
], ids=lambda value: value[:30])
def test_no_search_value_breaks_the_line(gateway, issuer, value):
    line = record(gateway, gateway.get(f"/fhir/Observation?_id={value}", issuer.clinician()))
    fits(line)
    text = unquote(value)
    assert line["what"]["parameters"] == [
        {"name": "_id", "value": text if len(text) <= 256 else text[:256] + "…"}]


@pytest.mark.parametrize("value", ["%0D%0A", "%00", "%1b", "%7f", "%C2%85"])
def test_a_control_character_in_a_search_never_gets_that_far(gateway, issuer, value):
    response = gateway.get(f"/fhir/Observation?_id=x{value}y", issuer.clinician())
    gateway.refused(response, 400, "parameter_control")


@pytest.mark.parametrize("request_id", [
    b'"},{"', b"\\u0000\\", b"\xff\xfe\xfd", b"\xe2\x80\xa8", b"x" * 10_000, b"a b\tc",
    b"''; drop table",
], ids=lambda value: name(value.decode("latin-1"))[:30] or "bytes")
def test_no_header_breaks_the_line(gateway, issuer, request_id):
    """The request id is the only header whose value is written."""
    before = len(gateway.envoy.audits())
    response = gateway.client.get("/fhir/Patient/ben", issuer.patient(), headers=[
        ("x-request-id", request_id), ("user-agent", request_id), ("x-forwarded-for", request_id)])
    assert response.status == 403
    line = next_record(gateway, before)
    fits(line)
    text = request_id.decode(errors="replace")
    assert line["request_id"] == (text if len(text) <= 256 else text[:256] + "…")
    plain = all(0x21 <= byte <= 0x7e for byte in request_id) and len(request_id) <= 128
    assert ("diagnostics" in response.json()["issue"][0]) == plain


def test_the_line_is_ascii_and_one_line(gateway, issuer):
    response = gateway.get("/fhir/Observation?_id=%E2%80%A8", issuer.clinician(
        sub="Zo\u00eb\n\u2028\U0001f480"))
    record(gateway, response)
    log = gateway.envoy.log.read_bytes()
    request_id = response.header("x-request-id").encode()
    lines = [line for line in re.split(rb"[\n\r\x0b\x0c\x1c-\x1e\x85]", log)
             if request_id in line and b"phiward.audit/1" in line]
    assert len(lines) == 1
    assert all(0x20 <= byte <= 0x7e for byte in lines[0])
    assert rb"Zo\u00eb\n\u2028\ud83d\udc80" in lines[0]


# Of the whole run.

@pytest.mark.last
def test_every_record_of_the_whole_run_fits_the_schema(gateway, issuer):
    gateway.allowed(gateway.get("/fhir/Patient/ann", issuer.patient()))
    for line in gateway.envoy.audits():
        fits(line)


@pytest.mark.last
def test_no_record_of_the_whole_run_was_written_twice(gateway, issuer):
    gateway.allowed(gateway.get("/fhir/Patient/ann", issuer.patient()))
    ids = [line["id"] for line in gateway.envoy.audits()]
    assert len(set(ids)) == len(ids)


@pytest.mark.last
def test_no_token_of_the_whole_run_is_in_envoys_log(gateway, issuer):
    """Nor any part of one: header, claims, signature."""
    gateway.allowed(gateway.get("/fhir/Patient/ann", issuer.patient()))
    log = gateway.envoy.log.read_text(errors="replace")
    runs = set(re.findall(r"[A-Za-z0-9_-]{32,}", log))
    parts = {part for token in tokens.signed for part in token.split(".")}
    assert len(parts) > len(tokens.signed) > 0
    assert not runs & parts
    # Seals and hashes are random: some spell it too.
    random = r'(?<="tag":)"[\w-]{22}"|(?<="head":)"[\w-]{43}"|(?<="hash":)"[\w-]{16}"'
    assert "eyJ" not in re.sub(random, '""', log), "what begins as a JWT begins"
    assert not [secret for secret in tokens.secrets if secret in log]
