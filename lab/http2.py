"""An HTTP/2 client over plain text (prior knowledge) that sends exactly the fields it is given: also
those that an HTTP/2 library would refuse to send."""

import socket
import time

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset)
from h2.exceptions import ProtocolError, StreamClosedError

from lab.http import NoResponse, Response
from lab.tokens import sent


class Client:
    """A connection for each request to 127.0.0.1. Takes what `lab.http.Client` takes."""

    def __init__(self, port, timeout=10):
        self.port, self.timeout = port, timeout

    def request(self, method, target, headers=(), body=b"", token=None, trailers=()):
        """Sends a request. `headers`: pairs of text or bytes, sent in this order, pseudo headers
        first, which are added unless they are there. `body`: bytes, or a list of them to be sent
        in frames of their own. A reset stream is `NoResponse`."""
        fields = self._fields(method, target, headers, token)
        frames = body if isinstance(body, list) else [body] if body else []
        started = time.perf_counter()
        with socket.create_connection(("127.0.0.1", self.port), self.timeout) as connection:
            stream = _Stream(connection)
            stream.send(fields, frames, [(_bytes(name), _bytes(value)) for name, value in trailers])
            status, answer, content = stream.receive()
        return Response(status, answer, content, time.perf_counter() - started)

    def leave(self, method, target, headers=(), body=b"", token=None, whole=True, until=lambda _: None):
        """Sends a request, without its end unless it is `whole`, calls `until` with a function that
        waits for bytes of the answer, and resets the stream (RST_STREAM). The connection stays a moment
        longer, so that it is the stream that is gone."""
        with socket.create_connection(("127.0.0.1", self.port), self.timeout) as connection:
            stream = _Stream(connection)
            stream.begin(self._fields(method, target, headers, token), body, whole)
            until(stream.wait_for)
            stream.reset()
            time.sleep(0.2)

    def _fields(self, method, target, headers, token):
        fields = [(_bytes(name), _bytes(value)) for name, value in headers]
        if token is not None:
            sent.add(token if isinstance(token, str) else token.decode("latin-1"))
            fields.append((b"authorization", b"Bearer " + _bytes(token)))
        pseudo = [(b":method", method), (b":path", target), (b":scheme", "http"),
                  (b":authority", f"127.0.0.1:{self.port}")]
        given = {name for name, _ in fields}
        fields[:0] = [(name, _bytes(value)) for name, value in pseudo if name not in given]
        fields.sort(key=lambda field: not field[0].startswith(b":"))
        return fields


class _Stream:
    """The first stream of a connection."""

    def __init__(self, connection):
        self._socket = connection
        self._h2 = H2Connection(H2Configuration(
            validate_outbound_headers=False, normalize_outbound_headers=False,
            validate_inbound_headers=False, header_encoding="latin-1"))
        self._h2.initiate_connection()

    def send(self, fields, frames, trailers):
        more = bool(frames or trailers)
        self._h2.send_headers(1, fields, end_stream=not more)
        for place, frame in enumerate(frames):
            last = place == len(frames) - 1 and not trailers
            self._h2.send_data(1, frame, end_stream=last)
        if trailers:
            self._h2.send_headers(1, trailers, end_stream=True)
        self._flush()

    def begin(self, fields, body, whole):
        """Sends all but, unless it is `whole`, the end."""
        self._h2.send_headers(1, fields, end_stream=whole and not body)
        if body:
            self._h2.send_data(1, body, end_stream=whole)
        self._flush()

    def wait_for(self, text):
        """Reads until the body of the response has this in it."""
        body = b""
        while text not in body:
            data = self._read()
            if not data:
                raise NoResponse("the connection ended")
            body += b"".join(
                event.data for event in self._events(data) if isinstance(event, DataReceived))
            self._flush()

    def reset(self):
        try:
            self._h2.reset_stream(1, ErrorCodes.CANCEL)
        except StreamClosedError:  # it has ended already
            pass
        self._flush()

    def receive(self):
        """Status, header fields and body of the response."""
        status, headers, body = None, [], b""
        while data := self._read():
            for event in self._events(data):
                if isinstance(event, ResponseReceived):
                    headers = [(name, value) for name, value in event.headers if name != ":status"]
                    status = int(dict(event.headers)[":status"])
                elif isinstance(event, DataReceived):
                    body += event.data
                    self._h2.acknowledge_received_data(event.flow_controlled_length, 1)
                elif isinstance(event, StreamEnded):
                    return status, headers, body
                elif isinstance(event, (StreamReset, ConnectionTerminated)):
                    raise NoResponse(f"{type(event).__name__} {event.error_code}")
            self._flush()
        raise NoResponse("the connection ended")

    def _events(self, data):
        try:
            return self._h2.receive_data(data)
        except ProtocolError as error:
            raise NoResponse(str(error)) from error

    def _read(self):
        try:
            return self._socket.recv(65536)
        except OSError as error:
            raise NoResponse(str(error)) from error

    def _flush(self):
        self._socket.sendall(self._h2.data_to_send())


def _bytes(value):
    return value if isinstance(value, bytes) else value.encode("latin-1")
