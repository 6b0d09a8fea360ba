"""Real log collectors that take records over HTTP: Fluent Bit's inputs, and Tenzir's own. Both come in
one program, which writes what it took to a file."""

import json
import signal
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Callable

from lab.processes import ROOT, LabError, Process, free_port, listens
from lab.tokens import secrets

BINARY = ROOT / ".lab" / "receivers" / "tenzir" / "bundled" / "bin" / "tenzir"


@dataclass(frozen=True)
class Kind:
    """How a collector is reached, and where it puts a record.

    `source`: Tenzir's operator; `{port}` and `{token}` are filled in. `record`: the record in what the
    collector wrote of an event, or `None` when that is no record."""

    source: str
    shape: str
    path: str
    content_type: str
    record: Callable
    http2: bool = False

    def headers(self, token):
        """The header fields that a batch for it has."""
        fields = [("content-type", self.content_type)]
        return fields + [("authorization", f"Splunk {token}")] if self.shape == "splunk_hec" else fields


class Receiver:
    """A running collector. What it took outlives its end: it may be killed and started again."""

    def __init__(self, kind, folder, port=None):
        self.kind, self.folder = KINDS[kind], Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.token = port or free_port(), uuid.uuid4().hex
        secrets.append(self.token)
        self._read, self._events, self._judged, self._records = 0, [], 0, []
        self.url = f"http://127.0.0.1:{self.port}{self.kind.path}"
        self.start()

    def start(self):
        """Starts it, also again after `kill`."""
        if not BINARY.exists():
            raise LabError("the log collectors are not installed: run `lab/setup receivers`")
        pipeline = self.folder / "pipeline.tql"
        pipeline.write_text("\n".join([
            self.kind.source.format(port=self.port, token=self.token),
            f'to_file "{self._output}", append=true {{ write_ndjson }}', ""]))
        self._process = Process("log collector", [
            BINARY, "--bare-mode", "--state-directory", self.folder / "state",
            "--cache-directory", self.folder / "cache", "--file", pipeline], self.folder / "log")
        self._process.wait_until(lambda: listens(self.port))

    def events(self):
        """What it wrote of every event so far, in the order in which it wrote them."""
        self._follow()
        return self._events[:]

    def records(self):
        """Every record that it took so far."""
        fresh = self.events()[self._judged:]
        self._judged += len(fresh)
        found = (self.kind.record(event) for event in fresh)
        self._records += [record for record in found if record is not None]
        return self._records[:]

    def wait_for(self, enough, seconds=15):
        """The records, once `enough(records)` is true."""
        self._process.wait_until(lambda: enough(self.records()), seconds)
        return self.records()

    def stop(self):
        """Lets it write what it holds."""
        self._process.stop()

    def kill(self):
        """Ends it at once."""
        self._process.signal(signal.SIGKILL)
        self._process.stop()

    def pause(self):
        """Leaves its connections open and unanswered, until `resume`."""
        self._process.signal(signal.SIGSTOP)

    def resume(self):
        self._process.signal(signal.SIGCONT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _follow(self):
        """Reads the lines that were added to its file."""
        if not self._output.exists():
            return
        with self._output.open("rb") as output:
            output.seek(self._read)
            whole = output.read()
        whole = whole[: whole.rfind(b"\n") + 1]
        self._read += len(whole)
        self._events += [json.loads(line) for line in whole.decode().split("\n")[:-1]]

    @property
    def _output(self):
        return self.folder / "records.ndjson"


def body(shape, lines):
    """A batch of these records, each a line, in the shape that phiward sends."""
    if shape == "ndjson":
        return "".join(f"{line}\n" for line in lines).encode()
    if shape == "splunk_hec":
        return "".join(
            f'{{"time":1790000000.250,"source":"phiward","sourcetype":"phiward:audit","event":{line}}}\n'
            for line in lines).encode()
    records = [{
        "timeUnixNano": "1790000000250000000", "severityNumber": 9, "severityText": "INFO",
        "body": {"stringValue": line},
        "attributes": [_attribute("phiward.id", json.loads(line)["id"]),
                       _attribute("phiward.decision", json.loads(line)["decision"])],
    } for line in lines]
    return json.dumps({"resourceLogs": [{
        "resource": {"attributes": [_attribute("service.name", "phiward")]},
        "scopeLogs": [{"scope": {"name": "phiward"}, "logRecords": records}],
    }]}).encode()


def _attribute(key, value):
    return {"key": key, "value": {"stringValue": value}}


def _fluent_bit(plugin, token=""):
    return (f'from_fluent_bit "{plugin}", options={{{{listen: "127.0.0.1", port: {{port}}{token}}}}}, '
            'fluent_bit_options={{flush: "0.1"}}, raw=true')


def _to_the_millisecond(record):
    """A record whose time Tenzir read as one and wrote anew: `27.000` as `27`, `27.699` at some hours of the day
    as `27.698999999`."""
    head, point, fraction = record["time"].removesuffix("Z").partition(".")
    milliseconds = timedelta(milliseconds=round(float(f"0{point}{fraction}") * 1000))
    time = datetime.fromisoformat(f"{head}+00:00") + milliseconds
    return {**record, "time": f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03}Z"}


_OTLP = {"shape": "otlp", "path": "/v1/logs", "content_type": "application/json"}
_HEC = {"shape": "splunk_hec", "path": "/services/collector/event", "content_type": "application/json"}

# `raw`: a text stays a text, also when it looks like a date.
KINDS = {
    "fluent-bit-http": Kind(
        _fluent_bit("http"), "ndjson", "/", "application/json", lambda event: event["message"]),
    "fluent-bit-splunk": Kind(
        _fluent_bit("splunk", ', splunk_token: "{token}"'), **_HEC,
        record=lambda event: event["message"]["event"]),
    # It writes the head and the end of each group of records as events of their own.
    "fluent-bit-otlp": Kind(
        _fluent_bit("opentelemetry"), **_OTLP, record=lambda event: event["message"].get("log")),
    "tenzir-http": Kind(
        'accept_http "127.0.0.1:{port}" {{ read_ndjson raw=true }}', "ndjson", "/",
        "application/x-ndjson", lambda event: event),
    "tenzir-splunk": Kind(
        'accept_splunk "127.0.0.1:{port}", hec_token="{token}"', **_HEC,
        record=lambda event: _to_the_millisecond(event["event"])),
    "tenzir-otlp": Kind(
        'accept_otlp "127.0.0.1:{port}"', **_OTLP,
        record=lambda event: json.loads(event["body"]["string_value"])),
    "tenzir-otlp-grpc": Kind(
        'accept_otlp "127.0.0.1:{port}", transport="grpc"', **_OTLP, http2=True,
        record=lambda event: json.loads(event["body"]["string_value"])),
}
