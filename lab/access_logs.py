"""Envoy's access log service (ALS): keeps what Envoy streams to it over gRPC."""

import socket
import threading

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived
from h2.exceptions import ProtocolError

PATH = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"


class AccessLogService:
    """Takes gRPC streams on 127.0.0.1 until it is stopped."""

    all = []

    def __init__(self, port=0):
        self._messages, self._changed = [], threading.Condition()
        self.all.append(self)
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def messages(self):
        """Everything that it was sent, as it came."""
        with self._changed:
            return self._messages[:]

    def objects(self, key):
        """The filter state object `key` of every entry so far, as text; `None` where there is none."""
        with self._changed:
            messages = self._messages[:]
        return [_object(entry, key) for message in messages for entry in _entries(message)]

    def wait_for(self, key, enough, seconds=15):
        """The objects, once `enough(objects)` is true."""
        with self._changed:
            self._changed.wait_for(lambda: enough(self.objects(key)), seconds)
        return self.objects(key)

    def stop(self):
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        h2, parts = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8")), {}
        h2.initiate_connection()
        with connection:
            while True:
                try:
                    connection.sendall(h2.data_to_send())
                    received = connection.recv(65536)
                    if not received:
                        return
                    for event in h2.receive_data(received):
                        self._take(h2, parts, event)
                except (OSError, ProtocolError):
                    return

    def _take(self, h2, parts, event):
        if isinstance(event, RequestReceived):
            asked = dict(event.headers)[":path"]
            status = "200" if asked == PATH else "404"
            h2.send_headers(event.stream_id, [(":status", status), ("content-type", "application/grpc")])
        elif isinstance(event, DataReceived):
            h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self._keep(parts.setdefault(event.stream_id, bytearray()), event.data)

    def _keep(self, buffer, data):
        """A gRPC message: whether it is compressed, its length in four bytes, itself."""
        buffer += data
        while len(buffer) >= 5 and len(buffer) >= (end := 5 + int.from_bytes(buffer[1:5], "big")):
            with self._changed:
                self._messages.append(bytes(buffer[5:end]))
                self._changed.notify_all()
            del buffer[:end]


def _entries(message):
    """Each `HTTPAccessLogEntry` of a `StreamAccessLogsMessage`."""
    for logs in _fields(message, 2):
        yield from _fields(logs, 1)


def _object(entry, key):
    """The value of the `BytesValue` with this key in `AccessLogCommon.filter_state_objects`."""
    for common in _fields(entry, 1):
        for pair in _fields(common, 21):
            if _fields(pair, 1) == [key.encode()]:
                (value,) = (field for any_value in _fields(pair, 2) for field in _fields(any_value, 2))
                return _fields(value, 1)[0].decode()
    return None


def _fields(message, wanted):
    """The values of a protobuf message's field, of those that have a length."""
    found, place = [], 0
    while place < len(message):
        tag, place = varint(message, place)
        number, kind = tag >> 3, tag & 7
        if kind == 2:
            length, place = varint(message, place)
            if number == wanted:
                found.append(message[place:place + length])
            place += length
        elif kind == 0:
            _, place = varint(message, place)
        else:
            place += {1: 8, 5: 4}[kind]
    return found


def varint(message, place):
    """A base 128 varint and the place after it."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
