"""An HTTP/1.1 client that sends exactly the bytes it is given: duplicate headers, bytes that are not
UTF-8, targets that no URL library would let through."""

import json
import socket
import time
from dataclasses import dataclass

from lab.tokens import sent


@dataclass
class Response:
    """What came back. Header names are lower case; `headers` keeps order and repeats."""

    status: int
    headers: list
    body: bytes
    seconds: float

    def header(self, name):
        """The field's value, its values joined when there are several, or `None`."""
        values = [value for field, value in self.headers if field == name.lower()]
        return ", ".join(values) if values else None

    def json(self):
        return json.loads(self.body)

    @property
    def reason(self):
        """The reason code of an OperationOutcome, or `None`."""
        try:
            return self.json()["issue"][0]["details"]["coding"][0]["code"]
        except (ValueError, LookupError, TypeError):
            return None


class NoResponse(Exception):
    """The connection ended or the time passed without a whole response."""


class Client:
    """A keep-alive connection to 127.0.0.1 that connects again when it was closed."""

    def __init__(self, port, timeout=10):
        self.port, self.timeout = port, timeout
        self._socket = self._file = None
        self._started = 0.0

    def get(self, target, token=None, **options):
        return self.request("GET", target, token=token, **options)

    def request(self, method, target, headers=(), body=b"", token=None):
        """Sends a request. `headers`: pairs of text or bytes, sent in this order after `host`;
        `host` and `content-length` are added unless they are there."""
        return self.send(message(method, target, self.port, headers, body, token), method)

    def send(self, data, method="GET"):
        """Sends bytes as they are and reads one response."""
        self.begin(data)
        return self.end(method=method)

    def begin(self, data):
        """Sends the first bytes of a request."""
        self._started = time.perf_counter()
        try:
            self._connect()
        except OSError as error:
            self.close()
            raise NoResponse(str(error)) from error
        self.more(data)

    def more(self, data):
        """Sends further bytes. Who answers before the end may refuse to take the rest: `end` tells."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def end(self, data=b"", method="GET"):
        """Sends the last bytes and reads one response."""
        try:
            self.more(data)
            status, headers, body = _read_response(self._file, method)
        except OSError as error:
            self.close()
            raise NoResponse(str(error)) from error
        except NoResponse:
            self.close()
            raise
        response = Response(status, headers, body, time.perf_counter() - self._started)
        if "close" in (response.header("connection") or ""):
            self.close()
        return response

    def send_part(self, data):
        """Sends bytes without reading a response: the rest goes to `send`."""
        self._connect()
        self._socket.sendall(data)

    def close(self):
        if self._socket:
            self._file.close()
            self._socket.close()
        self._socket = self._file = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _connect(self):
        if self._socket and _closed_by_peer(self._socket, self.timeout):
            self.close()
        if not self._socket:
            self._socket = socket.create_connection(("127.0.0.1", self.port), self.timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._file = self._socket.makefile("rb")


def message(method, target, port, headers=(), body=b"", token=None):
    """The bytes of a request."""
    fields = [(_bytes(name), _bytes(value)) for name, value in headers]
    names = {name.lower() for name, _ in fields}
    if b"host" not in names:
        fields.insert(0, (b"host", b"127.0.0.1:%d" % port))
    if token is not None:
        sent.add(token if isinstance(token, str) else token.decode("latin-1"))
        fields.append((b"authorization", b"Bearer " + _bytes(token)))
    if (body or method in ("POST", "PUT", "PATCH")) and not names & _FRAMING:
        fields.append((b"content-length", b"%d" % len(body)))
    head = b"%s %s HTTP/1.1\r\n" % (_bytes(method), _bytes(target))
    return head + b"".join(b"%s: %s\r\n" % field for field in fields) + b"\r\n" + _bytes(body)


def _read_response(file, method):
    line = file.readline()
    while line.startswith(b"HTTP/1.1 1"):  # informational: 100, 103
        _read_headers(file)
        line = file.readline()
    if not line.startswith(b"HTTP/1."):
        raise NoResponse(f"not a status line: {line[:80]!r}")
    status, headers = int(line.split()[1]), _read_headers(file)
    if method == "HEAD" or status in (204, 304):
        return status, headers, b""
    return status, headers, _read_body(file, dict(headers))


def _read_headers(file):
    headers = []
    while (line := file.readline()) not in (b"\r\n", b"\n"):
        if not line:
            raise NoResponse("the headers were cut off")
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name.strip().lower(), value.strip()))
    return headers


def _read_body(file, headers):
    if "chunked" in headers.get("transfer-encoding", ""):
        return _read_chunks(file)
    if "content-length" in headers:
        return _exactly(file, int(headers["content-length"]))
    return file.read()


def _read_chunks(file):
    body = b""
    while line := file.readline():
        size = int(line.split(b";")[0], 16)
        if size == 0:
            _read_headers(file)  # trailers
            return body
        body += _exactly(file, size)
        file.readline()
    raise NoResponse(f"the body was cut off after {len(body)} bytes")


def _exactly(file, size):
    data = file.read(size)
    if len(data) != size:
        raise NoResponse(f"the body was cut off after {len(data)} of {size} bytes")
    return data


def _closed_by_peer(connection, timeout):
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(timeout)


def _bytes(value):
    return value if isinstance(value, bytes) else value.encode("latin-1")


_FRAMING = {b"content-length", b"transfer-encoding"}
