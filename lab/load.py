"""Load from a native client, and the servers behind the gateway (tests/load/load.rs): at
thousands of requests a second Python is what would be measured."""

import json
import signal
import subprocess
import urllib.request
from pathlib import Path

from lab.processes import ROOT, Process, free_port, listens

SOURCE, BINARY = ROOT / "tests" / "load" / "load.rs", ROOT / "target" / "load"


def built():
    """The program, compiled when it is older than its sources."""
    newest = max(source.stat().st_mtime for source in SOURCE.parent.glob("*.rs"))
    if not BINARY.exists() or BINARY.stat().st_mtime < newest:
        BINARY.parent.mkdir(exist_ok=True)
        fresh = BINARY.with_suffix(".new")
        subprocess.run(["rustc", "--edition", "2024", "-O", "-o", fresh, SOURCE], check=True)
        fresh.replace(BINARY)
    return BINARY


class Upstream:
    """A FHIR server that answers everything. A resource whose id is such as `ann-20000-bytes` is about that
    patient and so large."""

    def __init__(self, folder):
        self.port = free_port()
        self._process = Process(
            "upstream", [built(), "serve", f"port={self.port}"], Path(folder) / "upstream.log")
        self._process.wait_until(lambda: listens(self.port))

    def stop(self):
        self._process.stop()


class Collector:
    """A log collector that keeps every body in `file`, or with `keep=False` only counts lines. It may be
    killed, paused and started again. It says yes to everything."""

    def __init__(self, folder, delay=0.0, keep=True):
        self.port, self.folder = free_port(), Path(folder)
        self.file = self.folder / "collected.ndjson" if keep else None
        self.start(delay)

    def start(self, delay=0.0):
        """Starts it; each answer comes after `delay` seconds."""
        kept = [f"file={self.file}"] if self.file else []
        self._process = Process("collector", [
            built(), "collect", f"port={self.port}", *kept,
            f"delay_ms={round(delay * 1000)}"], self.folder / "collector.log")
        self._process.wait_until(lambda: listens(self.port))

    def lines(self):
        """How many lines came since it was started."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=10) as answer:
            return int(answer.read())

    def kill(self):
        """Ends it at once (SIGKILL)."""
        self._process.kill()

    def pause(self):
        """Leaves its connections open and unanswered, until `resume`."""
        self._process.signal(signal.SIGSTOP)

    def resume(self):
        self._process.signal(signal.SIGCONT)

    def stop(self):
        self.resume()
        self._process.stop()


class Requests:
    """Requests on their way. `requests`: (method, target, token, body) of each, and its kind where that is told
    apart, or a file that has them; sent over and over under `x-request-id`s that begin with `prefix`; `options`
    are those of `load send`."""

    def __init__(self, port, requests, folder, prefix="load", **options):
        lines = requests
        if not isinstance(requests, Path):
            lines = Path(folder) / f"{prefix}.requests"
            lines.write_text("".join("\t".join(request) + "\n" for request in requests))
        options = [f"{name}={value}" for name, value in options.items()]
        self._process = Process("load", [
            built(), "send", f"port={port}", f"requests={lines}", f"prefix={prefix}", *options],
            Path(folder) / f"{prefix}.log")

    def are_under_way(self):
        return self._process.alive()

    def outcome(self):
        """Waits for the end: how many were sent, answered (by status), left, and in how many seconds."""
        self._process.wait()
        return json.loads(self._process.log.read_text())
