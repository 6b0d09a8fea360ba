"""What the FHIR server gets to see: the request as it came, but for what phiward must change."""

import socket
import time
from urllib.parse import parse_qsl

import pytest

from lab.http import message
from test_policy import FORM, JSON, name

IDENTITY = ["subject", "client", "user", "patient", "scopes"]


@pytest.fixture(scope="module")
def telling(listen, configuration):
    """A listener that tells the FHIR server everything it can of the caller, token included."""
    return listen("telling", adapted(configuration(), token="keep", headers=IDENTITY), hardened=False)


@pytest.fixture(scope="module")
def quiet(listen, configuration):
    """A listener with two identity headers and a path that is not part of the API."""
    return listen("quiet", adapted(configuration(), headers=["client", "patient"]), hardened=False)


@pytest.fixture(scope="module")
def observing(listen, configuration):
    return listen("observing", {**adapted(configuration()), "mode": "observe"}, hardened=False)


def adapted(configuration, **forward):
    configuration["forward"] = forward
    configuration["fhir"]["passthrough"] = ["/healthz", "/static/logo.svg"]
    return configuration


def identity(got):
    """The identity headers that the FHIR server got."""
    return {name.removeprefix("x-phiward-"): value for name, value in got.headers
            if name.replace("_", "-").startswith("x-phiward")}


def upstream_request(gateway, response, status=200):
    """What the FHIR server got of a request that was let through: for what `Gateway.allowed` does not
    allow, such as a token."""
    assert response.status == status, response
    (got,) = gateway.upstream.with_id(response.header("x-request-id"))
    return got


# The token.

@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_stays_at_the_gateway(gateway, issuer, scheme):
    headers = [("Authorization", f"{scheme} {issuer.clinician()}"), ("x-other", "kept")]
    got, _ = gateway.allowed(gateway.get("/fhir/Observation/1", headers=headers))
    assert got.header("authorization") is None
    assert got.header("x-other") == "kept"


def test_the_token_is_kept_where_the_configuration_says_so(telling, issuer):
    token = issuer.patient()
    got = upstream_request(telling, telling.get("/fhir/Observation?code=1", token))
    assert got.header("authorization") == f"Bearer {token}"
    assert got.target == "/fhir/Observation?code=1&patient=Patient%2Fann"


def test_a_public_document_needs_no_token_and_passes_none_on(quiet, issuer):
    got, record = quiet.allowed(quiet.get("/fhir/metadata", issuer.patient()))
    assert identity(got) == {}
    assert "who" not in record


# Identity headers.

def test_every_identity_header_tells_what_the_token_says(telling, issuer):
    token = issuer.token("user/*.rs openid", fhirUser="Practitioner/dr-grey", patient="ann",
                         sub="grey", client_id="ward-round")
    got = upstream_request(telling, telling.get("/fhir/Patient/ben", token))
    assert identity(got) == {"subject": "grey", "client": "ward-round",
                             "user": "Practitioner/dr-grey", "patient": "ann",
                             "scopes": "user/*.rs openid"}


def test_only_what_is_configured_is_told(quiet, issuer):
    got, _ = quiet.allowed(quiet.get("/fhir/Patient/ann", issuer.patient()))
    assert identity(got) == {"client": "app-1", "patient": "ann"}


def test_what_the_token_does_not_say_is_not_told(telling, issuer):
    token = issuer.token("system/*.cruds", client_id=None, sub="feed")
    got = upstream_request(telling, telling.get("/fhir/Patient/ann", token))
    assert identity(got) == {"subject": "feed", "scopes": "system/*.cruds"}


def test_by_default_nothing_is_told(gateway, issuer):
    got, _ = gateway.allowed(gateway.get("/fhir/Patient/ann", issuer.patient()))
    assert identity(got) == {}


def test_the_patient_told_is_the_one_whom_the_request_is_confined_to(telling, issuer):
    confined = issuer.token("user/*.rs", fhirUser="Patient/ann", patient="child")
    got = upstream_request(telling, telling.get("/fhir/Patient/ann", confined))
    assert identity(got)["patient"] == "ann"
    child = issuer.token("patient/*.rs", fhirUser="Patient/ann", patient="child")
    got = upstream_request(telling, telling.get("/fhir/Patient/child", child))
    assert identity(got)["patient"] == "child"


@pytest.mark.parametrize("claim, told", [
    ("a b", "a%20b"),
    ("100%", "100%25"),
    ("%0d%0a", "%250d%250a"),
    ("x\r\nx-phiward-patient: ben", "x%0D%0Ax-phiward-patient:%20ben"),
    ("x\nSet-Cookie: a=b", "x%0ASet-Cookie:%20a=b"),
    ("nul\x00byte", "nul%00byte"),
    ("tab\t", "tab%09"),
    ("\x7f\x1b[31m", "%7F%1B[31m"),
    ("Zoë", "Zo%C3%AB"),
    ("\u2028", "%E2%80%A8"),
    ("\U0001f480", "%F0%9F%92%80"),
    ('"quoted\\"', '"quoted\\"'),
    (" leading", "%20leading"),
    ("a,b;c=d", "a,b;c=d"),
    ("x" * 4000, "x" * 4000),
], ids=lambda value: name(value)[:40])
def test_an_odd_character_in_a_claim_breaks_no_header(telling, issuer, claim, told):
    token = issuer.clinician(sub=claim, client_id=claim)
    got = upstream_request(telling, telling.get("/fhir/Patient/ann", token))
    assert identity(got)["subject"] == told
    assert identity(got)["client"] == told
    assert got.header("set-cookie") is None
    assert identity(got).get("patient") is None


def test_odd_scopes_stay_one_header(telling, issuer):
    token = issuer.clinician("user/*.rs  x\r\ny ö")
    got = upstream_request(telling, telling.get("/fhir/Patient/ann", token))
    assert identity(got)["scopes"] == "user/*.rs x%0D%0Ay %C3%B6"


# Copies that the client sends.

FORGED = [("x-phiward-patient", "ben"), ("X-Phiward-Subject", "root"), ("x-phiward-scopes", "a"),
          ("X-PHIWARD-SCOPES", "system/*.cruds"), ("x_phiward_patient", "ben"),
          ("X-Phiward_User", "Practitioner/1"), ("x-phiward-anything", "1"), ("x-phiward-", "1"),
          ("x-http-method-override", "DELETE"), ("X-HTTP-Method", "PUT"),
          ("x_method_override", "PATCH"), ("x-method-override", "DELETE"),
          ("x-phiwardpatient", "kept"), ("x-other", "kept")]

PATHS = {
    "allowed": ("quiet", "GET", "/fhir/Patient/ann", "patient"),
    "allowed, narrowed": ("quiet", "GET", "/fhir/Observation", "patient"),
    "allowed, form": ("quiet", "POST", "/fhir/Observation/_search", "patient"),
    "allowed, write": ("quiet", "POST", "/fhir/Observation", "clinician"),
    "public": ("quiet", "GET", "/fhir/metadata", None),
    "preflight": ("quiet", "OPTIONS", "/fhir/Patient/ann", None),
    "passthrough": ("quiet", "GET", "/healthz", None),
    "passthrough with a body": ("quiet", "POST", "/healthz", None),
    "observed, allowed": ("observing", "GET", "/fhir/Patient/ann", "patient"),
    "observed, refused": ("observing", "GET", "/fhir/Patient/ben", "patient"),
    "observed, without a token": ("observing", "GET", "/fhir/Patient/ben", None),
    "observed, unreadable target": ("observing", "GET", "/fhir//Patient", None),
    "observed, form": ("observing", "POST", "/fhir/Observation/_search", "patient"),
    "observed, passthrough": ("observing", "GET", "/healthz", None),
    "observed, public": ("observing", "GET", "/fhir/metadata", None),
}


@pytest.mark.parametrize("listener, method, target, who", PATHS.values(), ids=PATHS)
def test_identity_and_method_headers_of_the_client_never_arrive(
        request, issuer, listener, method, target, who):
    through = request.getfixturevalue(listener)
    token = getattr(issuer, who)() if who else None
    headers = list(FORGED)
    if method == "OPTIONS":
        headers += [("origin", "https://app.example"), ("access-control-request-method", "GET")]
    if method == "POST":
        headers += FORM if target.endswith("_search") else JSON
    response = through.send(method, target, token, headers=headers,
                            body=b"code=1" if method == "POST" else b"")
    got = upstream_request(through, response)
    told = {"client": "app-1"} if token and listener == "quiet" else {}
    if token and listener == "quiet" and who == "patient":
        told["patient"] = "ann"
    assert {name: value for name, value in identity(got).items() if name != "x-phiwardpatient"} == told
    assert "override" not in str(got.headers) and "x-http-method" not in str(got.headers)
    assert got.header("x-phiwardpatient") == "kept"
    assert got.header("x-other") == "kept"
    assert got.method == method


def test_repeated_copies_are_all_removed(quiet, issuer):
    headers = [("x-phiward-patient", f"p{number}") for number in range(50)]
    got, _ = quiet.allowed(quiet.get("/fhir/Patient/ann", issuer.patient(), headers=headers))
    assert identity(got) == {"client": "app-1", "patient": "ann"}


# `Prefer`.

PREFERRED = [("Prefer", "respond-async"), ("prefer", "handling=lenient, return=minimal")]


@pytest.mark.parametrize("method, target", [
    ("GET", "/fhir/Observation"), ("POST", "/fhir/Observation/_search"), ("GET", "/fhir/Patient"),
    ("GET", "/fhir/Patient/ann/Condition"),
], ids=lambda value: value)
def test_a_narrowed_search_prefers_strict_handling_and_of_the_rest_only_what_to_return(gateway, issuer, method, target):
    headers = PREFERRED + (FORM if method == "POST" else [])
    response = gateway.send(method, target, issuer.patient(), headers=headers)
    got, _ = gateway.allowed(response)
    preferred = [value for name, value in got.headers if name == "prefer"]
    assert preferred == ["handling=strict, return=minimal"]


@pytest.mark.parametrize("target", ["/fhir/Observation", "/fhir/Observation/1"])
def test_otherwise_the_client_prefers_what_it_likes(gateway, issuer, target):
    got, _ = gateway.allowed(gateway.get(target, issuer.clinician(), headers=PREFERRED))
    preferred = [value for name, value in got.headers if name == "prefer"]
    assert ", ".join(preferred) == "respond-async, handling=lenient, return=minimal"


# Narrowed forms.

NARROWED = ("patient", "Patient/ann")
FORMS = [
    b"code=8867-4",
    b"code=8867-4&",
    b"&&code=8867-4&&",
    b"&",
    b"status=",
    b"code=http%3A%2F%2Floinc.org%7C8867-4&date=ge2020-01-01&date=lt2021-01-01",
    b"code:text=heart+rate&note=50%25%20%26%20more%3Dless",
    b"name=Zo%C3%AB&_count=5",
    b"patient=ann&subject=Patient%2Fann",
    b"code=a%2Cb,c%5C%2Cd",
    b"&".join(b"date=ge2020-01-%02d" % (day % 28 + 1) for day in range(900)),
    b"_content=" + b"x" * (64 * 1024 - 9),
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: name(form.decode())[:40])
def test_a_form_arrives_as_it_was_with_one_criterion_more(gateway, issuer, form):
    response = gateway.send("POST", "/fhir/Observation/_search?_count=3", issuer.patient(),
                            headers=FORM, body=form)
    got, _ = gateway.allowed(response)
    assert got.target == "/fhir/Observation/_search?_count=3&patient=Patient%2Fann"
    assert got.body.startswith(form)
    assert got.header("content-length") == str(len(got.body))
    assert got.header("transfer-encoding") is None
    before = parse_qsl(form.decode(), keep_blank_values=True)
    assert parse_qsl(got.body.decode(), keep_blank_values=True) == [*before, NARROWED]


@pytest.mark.parametrize("who, added", [("patient", b"&patient=Patient%2Fann"), ("clinician", b"")])
@pytest.mark.parametrize("sizes", [[1, 3, 7], [11], [5, 0, 6]], ids=str)
def test_a_form_in_pieces_arrives_whole(gateway, issuer, who, added, sizes):
    form, pieces = b"code=8867-4", []
    token = getattr(issuer, who)()
    for size in filter(None, sizes):
        piece, form = form[:size], form[size:]
        pieces.append(b"%x\r\n%s\r\n" % (len(piece), piece))
    response = chunked(gateway, token, pieces, trailers=b"x-trailer: 1\r\n" if len(sizes) > 1 else b"")
    assert b" 200 " in response
    assert gateway.upstream.requests[-1].body == b"code=8867-4" + added


def test_a_form_in_pieces_can_not_hide_a_patient(gateway, issuer):
    pieces = [b"1\r\np\r\n", b"9\r\natient=be\r\n", b"1\r\nn\r\n"]
    response = chunked(gateway, issuer.patient(), pieces, trailers=b"x-trailer: 1\r\n")
    assert b" 403 " in response.split(b"\r\n")[0] and b"search_other_patient" in response
    assert gateway.upstream.requests == []


def chunked(gateway, token, pieces, trailers=b""):
    """Sends a search whose form comes in pieces; the bytes that come back."""
    head = message("POST", "/fhir/Observation/_search", gateway.client.port, [
        *FORM, ("transfer-encoding", "chunked"), ("connection", "close")], b"", token)
    with socket.create_connection(("127.0.0.1", gateway.client.port), 10) as connection:
        connection.sendall(head)
        for piece in pieces:
            time.sleep(0.02)
            connection.sendall(piece)
        connection.sendall(b"0\r\n" + trailers + b"\r\n")
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_client_that_asks_before_it_sends_its_form_is_told_to(gateway, issuer):
    head = message("POST", "/fhir/Observation/_search", gateway.client.port, [
        *FORM, ("content-length", "8"), ("expect", "100-continue"), ("connection", "close")], b"",
        issuer.patient())
    with socket.create_connection(("127.0.0.1", gateway.client.port), 10) as connection:
        connection.sendall(head)
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"code=1&x")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert gateway.upstream.requests[-1].body == b"code=1&x&patient=Patient%2Fann"


@pytest.mark.parametrize("size", [64 * 1024 + 1, 200_000])
def test_a_form_that_is_too_long_is_refused(gateway, issuer, size):
    response = gateway.send("POST", "/fhir/Observation/_search", issuer.patient(), headers=FORM,
                            body=b"_content=" + b"x" * (size - 9))
    gateway.refused(response, 413, "form_too_long")


def test_an_empty_form_is_narrowed_in_the_query(gateway, issuer):
    response = gateway.send("POST", "/fhir/Observation/_search", issuer.patient(),
                            headers=[*FORM, ("content-length", "0")])
    got, _ = gateway.allowed(response)
    assert got.target == "/fhir/Observation/_search?patient=Patient%2Fann"
    assert got.body == b""


def test_an_empty_chunked_form_is_narrowed_too(gateway, issuer):
    assert b" 200 " in chunked(gateway, issuer.patient(), [])
    got = gateway.upstream.requests[-1]
    assert b"patient=Patient%2Fann" in got.target.encode() + got.body


def test_a_body_that_is_not_judged_arrives_as_it_was(gateway, issuer):
    body = b'{"resourceType": "Observation", "x": "' + b"\xc3\xab" * 200_000 + b'"}'
    response = gateway.send("POST", "/fhir/Observation", issuer.clinician(), headers=JSON, body=body)
    got, _ = gateway.allowed(response)
    assert got.body == body


# The target.

@pytest.mark.parametrize("query", [
    "code=http%3A%2F%2Floinc.org%7C8867-4", "code=http://loinc.org|8867-4", "name=Zo%c3%ab",
    "name=Zo%C3%AB", "name=a+b", "name=a%20b", "a=b&&c=d&", "&", "", "name", "name=", "name==",
    "name=%2525", "name=%252541", "code=a,b%2Cc%5C,d", "_id=1&_id=1", "name='\"<>{}^`",
    "name=*!()~@$:/?", "%6eame=x", "name=%E2%80%A8",
], ids=lambda query: query or "empty")
def test_what_the_client_asked_is_never_encoded_anew(gateway, issuer, query):
    target = f"/fhir/Observation?{query}"
    got, _ = gateway.allowed(gateway.get(target, issuer.clinician()))
    assert got.target == target
    got, _ = gateway.allowed(gateway.get(target, issuer.patient()))
    joint = "" if query == "" or query.endswith("&") else "&"
    assert got.target == f"{target}{joint}patient=Patient%2Fann"
    assert parse_qsl(got.target.partition("?")[2], keep_blank_values=True) == [
        *parse_qsl(query, keep_blank_values=True), NARROWED]


def test_a_criterion_is_added_to_a_target_of_the_greatest_length(gateway, issuer):
    target = "/fhir/Observation?_content=" + "x" * (8 * 1024 - 27)
    got, _ = gateway.allowed(gateway.get(target, issuer.patient()))
    assert got.target == target + "&patient=Patient%2Fann"


# Paths that are not part of the API.

@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("target", ["/healthz", "/healthz?deep=1&patient=ben", "/static/logo.svg"])
def test_a_passthrough_path_goes_through_untouched(quiet, method, target):
    body = b"anything" if method in ("POST", "PUT") else b""
    response = quiet.send(method, target, headers=[("authorization", "Basic dTpw")], body=body)
    got = upstream_request(quiet, response)
    assert (got.method, got.target, got.body) == (method, target, body)
    assert got.header("authorization") == "Basic dTpw"
    record = quiet.envoy.audit(response.header("x-request-id"))
    assert (record["decision"], record["reason"]) == ("allow", "allowed")
    assert "who" not in record


@pytest.mark.parametrize("target, status, code", [
    ("/healthz/", 404, "fhir_outside_base"), ("/healthz/x", 404, "fhir_outside_base"),
    ("/HEALTHZ", 404, "fhir_outside_base"), ("/health", 404, "fhir_outside_base"),
    ("/", 404, "fhir_outside_base"), ("/fhirhealthz", 404, "fhir_outside_base"),
    ("/static", 404, "fhir_outside_base"), ("/fhir/healthz", 404, "fhir_type_unknown"),
    ("//healthz", 400, "target_ambiguous"), ("/healthz/../fhir/Patient/ben", 400, "target_ambiguous"),
    ("/healthz;/../fhir/Patient/ben", 400, "target_ambiguous"),
    ("/healthz%2f..%2ffhir%2fPatient", 400, "target_ambiguous"),
    ("/h%65althz", 400, "target_ambiguous"),
])
def test_a_path_that_only_looks_like_one_does_not(quiet, target, status, code):
    response = quiet.get(target)
    assert response.status == status
    assert response.reason == code
    assert quiet.upstream.requests == []
