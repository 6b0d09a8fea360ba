"""Small HTTP servers on loopback that a test steers while they run and asks afterwards."""

import base64
import hashlib
import http.client
import json
import threading
import uuid
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from lab.tokens import jwks, secrets


@dataclass
class Request:
    """A request as it arrived. Header names are lower case, in order, with repeats."""

    method: str
    target: str
    headers: list
    body: bytes

    def header(self, name):
        """The field's value, its values joined when there are several, or `None`."""
        values = [value for field, value in self.headers if field == name]
        return ", ".join(values) if values else None


class Server:
    """Answers every request with `answer(request)`: status, header pairs and body. A body that is not
    bytes is sent piece by piece as it comes, with the headers as they are."""

    def __init__(self, port=0):
        self._listen(port)
        self.url = f"http://127.0.0.1:{self.port}"

    def start_again(self):
        """Comes back after `stop`, on the same port and with what it had."""
        self._listen(self.port)

    def _listen(self, port):
        self._http = _Threads(("127.0.0.1", port), _Handler)
        self._http.owner = self
        self._stopped = threading.Event()
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, request):
        raise NotImplementedError

    def stop(self):
        self._stopped.set()
        self._http.shutdown()
        self._http.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Upstream(Server):
    """Stands where the FHIR server would be: records every request, answers with a small resource.

    Set `reply` to a function of the request that returns status, header pairs and body to answer
    otherwise; `clear()` restores the default.
    """

    def __init__(self, port=0):
        self.requests, self.reply = [], None
        super().__init__(port)

    def answer(self, request):
        self.requests.append(request)
        return self.reply(request) if self.reply else fhir_answer(request)

    def with_id(self, request_id):
        """The requests that carried this `x-request-id`."""
        return [seen for seen in self.requests if seen.header("x-request-id") == request_id]

    def clear(self):
        self.requests, self.reply = [], None


class Feed(Server):
    """Serves one JSON document with an `ETag`, until `mode` says otherwise.

    | mode      | a request gets                                   |
    |-----------|--------------------------------------------------|
    | ok        | the document, or 304 when its `ETag` is known    |
    | error     | 500                                              |
    | garbage   | 200 with bytes that are not JSON                 |
    | html      | 200 with a login page                            |
    | empty     | 200 without a body                               |
    | slow      | the document after `delay` seconds               |
    | truncated | the document cut in half                         |
    | huge      | the document with 40 MB of white space in it     |
    | closed    | a closed connection                              |
    """

    def __init__(self, document, port=0):
        self.mode, self.delay = "ok", 30.0
        self.begun = self.served = self.not_modified = 0
        self._changed = threading.Condition()
        self._body = json.dumps(document).encode()
        super().__init__(port)

    def publish(self, document):
        """From now on serves this document, or these bytes."""
        self._body = document if isinstance(document, bytes) else json.dumps(document).encode()

    def wait_fetched(self, seconds=15):
        """Waits until a request that begins after this call was answered."""
        with self._changed:
            begun = self.begun
            done = self._changed.wait_for(lambda: self.served > begun, seconds)
        assert done, f"nobody fetched {self.url} within {seconds} s"

    def answer(self, request):
        with self._changed:
            self.begun += 1
        answer = getattr(self, f"_{self.mode}")(request)
        with self._changed:
            self.served += 1
            self._changed.notify_all()
        return answer

    def _ok(self, request):
        etag = f'"{hashlib.sha256(self._body).hexdigest()[:16]}"'
        if request.header("if-none-match") == etag:
            self.not_modified += 1
            return 304, [("etag", etag)], b""
        return 200, [("etag", etag), ("content-type", "application/json")], self._body

    def _error(self, _):
        return 500, [("content-type", "text/plain")], b"something broke"

    def _garbage(self, _):
        return 200, [("content-type", "application/json")], b"\x00\xff{]not json" * 50

    def _html(self, _):
        return 200, [("content-type", "text/html")], b"<html><form>Log in</form></html>"

    def _empty(self, _):
        return 200, [("content-type", "application/json")], b""

    def _slow(self, request):
        self._stopped.wait(self.delay)
        return self._ok(request)

    def _truncated(self, _):
        return 200, [("content-type", "application/json")], self._body[: len(self._body) // 2]

    def _huge(self, _):
        body = self._body[:-1] + b" " * 40_000_000 + self._body[-1:]
        return 200, [("content-type", "application/json")], body

    def _closed(self, _):
        return None


class Revocations(Feed):
    """The revocation list at `/v1/list`."""

    def __init__(self, port=0):
        self.entries, self._version = [], 0
        super().__init__(self._document(), port)
        self.list_url = f"{self.url}/v1/list"

    def revoke(self, **entry):
        """Adds an entry, for example `revoke(jti="…")`."""
        self.set(*self.entries, entry)

    def set(self, *entries):
        """Replaces all entries."""
        self.entries = list(entries)
        self.publish(self._document())

    def _document(self):
        self._version += 1
        return {"version": str(self._version), "entries": self.entries}


class Jwks(Feed):
    """The key set of an issuer at `/jwks`."""

    def __init__(self, *keys, port=0):
        super().__init__(jwks(*keys), port)
        self.jwks_url = f"{self.url}/jwks"

    def set(self, *keys):
        """Replaces all keys: `tokens.Key`, or JWKs as they are."""
        self.publish(jwks(*keys))


class Introspection(Server):
    """An issuer that is asked about tokens (RFC 7662) by one client, until `mode` says otherwise.

    | mode         | a request gets                                             |
    |--------------|------------------------------------------------------------|
    | ok           | what is known of the token, or `active: false`             |
    | unauthorized | 401, as a client with a wrong secret does                  |
    | forbidden    | 403                                                        |
    | error        | 500                                                        |
    | redirect     | 302                                                        |
    | html         | 200 with a login page                                      |
    | truncated    | the answer cut in half                                     |
    | empty        | 200 without a body                                         |
    | signed       | 200 with something like a signed answer (RFC 9701)         |
    | twice        | 200 with `active` in it twice                              |
    | text         | 200 with `active: "true"`                                  |
    | huge         | the answer with 40 MB of white space in it                 |
    | slow         | the answer after `delay` seconds                           |
    | closed       | a closed connection                                        |
    """

    def __init__(self, client_id, port=0):
        self.mode, self.delay = "ok", 30.0
        self.asked = []  # every token that was asked about, in order
        self.secret = uuid.uuid4().hex
        self._known = {}
        basic = base64.b64encode(f"{client_id}:{self.secret}".encode()).decode()
        self._authorization = f"Basic {basic}"
        secrets.extend([self.secret, basic])
        super().__init__(port)
        self.introspection_url = f"{self.url}/introspect"

    def know(self, token, **members):
        """From now on this token is active, and this is known of it."""
        self._known[token] = {"active": True, **members}
        return token

    def forget(self, token):
        """From now on it is not."""
        self._known.pop(token, None)

    def calls(self, token):
        """How often this token was asked about."""
        return self.asked.count(token)

    def answer(self, request):
        form = parse_qs(request.body.decode(), strict_parsing=True)
        (token,) = form["token"]
        self.asked.append(token)
        right = (request.method, request.target, request.header("content-type"), form["token_type_hint"]) == (
            "POST", "/introspect", "application/x-www-form-urlencoded", ["access_token"])
        if not right or request.header("accept") != "application/json":
            return 400, [], b"{}"
        if request.header("authorization") != self._authorization or self.mode == "unauthorized":
            return 401, [("www-authenticate", "Basic")], b'{"error":"invalid_client"}'
        body = json.dumps(self._known.get(token, {"active": False})).encode()
        return self._broken(body) if self.mode != "ok" else (200, _JSON, body)

    def _broken(self, body):
        if self.mode == "slow":
            self._stopped.wait(self.delay)
        return {
            "forbidden": (403, _JSON, body),
            "error": (500, _JSON, body),
            "redirect": (302, [("location", "/elsewhere")], body),
            "html": (200, [("content-type", "text/html")], b"<html><form>Log in</form></html>"),
            "truncated": (200, _JSON, body[: len(body) // 2]),
            "empty": (200, _JSON, b""),
            "signed": (200, [("content-type", "application/token-introspection+jwt")], b"e30.e30.c2ln"),
            "twice": (200, _JSON, b'{"active":false,' + body[1:]),
            "text": (200, _JSON, body.replace(b"true", b'"true"')),
            "huge": (200, _JSON, b" " * 40_000_000 + body),
            "slow": (200, _JSON, body),
            "closed": None,
        }[self.mode]


class Collector(Server):
    """Takes batches of audit records. Set `reply` to a function of the request that returns a status, or
    what `Server.answer` returns, to answer otherwise. What it did not answer with 2xx it has not taken,
    and when it was stopped it takes nothing, whatever connections are still open."""

    all = []

    def __init__(self, port=0):
        self.reply, self.batches = None, []
        self.all.append(self)
        super().__init__(port)

    def answer(self, request):
        if self._stopped.is_set():
            return None
        answer = self.reply(request) if self.reply else 200
        if isinstance(answer, int):
            answer = answer, [], b""
        self.batches.append((answer[0] if answer else None, request))
        return answer

    def lines(self):
        """Each line that it took, in order."""
        taken = (request for status, request in self.batches[:] if status and status < 300)
        return [line for request in taken for line in request.body.decode().splitlines()]

    def records(self):
        """Each record that it took, in order, in the shape `ndjson`."""
        return [json.loads(line) for line in self.lines()]

    def statuses(self):
        """How it answered each batch; `None`: not at all."""
        return [status for status, _ in self.batches[:]]


_JSON = [("content-type", "application/json")]


def fhir_answer(request):
    """A small resource of the type that the path ends with, its history, or an empty Bundle for a
    search. What has an id such as `ann-1` is about `Patient/ann`."""
    parts = [part for part in request.target.partition("?")[0].split("/") if part][1:]
    by_id = request.method in ("GET", "HEAD") and not any(part.startswith("$") for part in parts)
    if by_id and (len(parts) == 2 or parts[2:3] == ["_history"]):
        answer = _resource(*parts[:2])
        if len(parts) == 3:
            answer = {"resourceType": "Bundle", "type": "history", "entry": [{"resource": answer}]}
    elif parts == ["metadata"]:
        answer = {"resourceType": "CapabilityStatement", "status": "active"}
    else:
        answer = {"resourceType": "Bundle", "type": "searchset", "entry": []}
    return 200, [("content-type", "application/fhir+json")], json.dumps(answer).encode()


def _resource(resource_type, ident):
    patient, numbered, _ = ident.partition("-")
    about = {"subject": {"reference": f"Patient/{patient}"}} if numbered else {}
    return {"resourceType": resource_type, "id": ident, **about}


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    disable_nagle_algorithm = True

    def _serve(self):
        headers = [(name.lower(), value) for name, value in self.headers.items()]
        request = Request(self.command, self.path, headers, self._body())
        answer = self.server.owner.answer(request)
        if answer is None:
            self.close_connection = True
            return
        status, fields, body = answer
        self.send_response_only(status)
        for name, value in fields:
            self.send_header(name, value)
        whole = isinstance(body, bytes)
        if whole and status != 304 and "transfer-encoding" not in {n.lower() for n, _ in fields}:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            for part in (body,) if whole else body:
                self.wfile.write(part)

    def _body(self):
        if "chunked" in self.headers.get("transfer-encoding", ""):
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline() not in (b"\r\n", b"\n", b""):
                pass  # trailers
            return body
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def __getattr__(self, name):
        if name.startswith("do_"):  # every method, also the ones nobody has heard of
            return self._serve
        raise AttributeError(name)

    def log_message(self, *_):
        pass


http.client._MAXHEADERS = 10_000  # ours is not the limit that tests are about
