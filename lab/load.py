"""Load from a native client, the FHIR server and the log collector behind it (tests/load/load.rs): at
thousands of requests a second Python is what would be measured."""

import json
import signal
import subprocess
from pathlib import Path

from lab.processes import ROOT, Process, free_port, listens

SOURCE, BINARY = ROOT / "tests" / "load" / "load.rs", ROOT / "target" / "load"


def built():
    """The program, compiled when it is older than its source."""
    if not BINARY.exists() or BINARY.stat().st_mtime < SOURCE.stat().st_mtime:
        BINARY.parent.mkdir(exist_ok=True)
        fresh = BINARY.with_suffix(".new")
        subprocess.run(["rustc", "--edition", "2024", "-O", "-o", fresh, SOURCE], check=True)
        fresh.replace(BINARY)
    return BINARY


class Upstream:
    """A FHIR server that answers everything."""

    def __init__(self, folder):
        self.port = free_port()
        self._process = Process(
            "upstream", [built(), "serve", f"port={self.port}"], Path(folder) / "upstream.log")
        self._process.wait_until(lambda: listens(self.port))

    def stop(self):
        self._process.stop()


class Collector:
    """A log collector that keeps every body in `file`, unless it is to forget them. It may be killed, paused
    and started again."""

    def __init__(self, folder, delay=0.0, forgets=False):
        self.port, self.folder = free_port(), Path(folder)
        self.file = None if forgets else self.folder / "collected.ndjson"
        self.start(delay)

    def start(self, delay=0.0):
        """Starts it; each answer comes after `delay` seconds."""
        self._process = Process("collector", [
            built(), "collect", f"port={self.port}", f"delay_ms={round(delay * 1000)}",
            *([f"file={self.file}"] if self.file else [])], self.folder / "collector.log")
        self._process.wait_until(lambda: listens(self.port))

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
    """Requests on their way. `requests`: (method, target, token, body) of each, and its kind, sent over and over
    under `x-request-id`s that begin with `prefix`; `options` are those of `load send`."""

    def __init__(self, port, requests, folder, prefix="load", **options):
        lines = Path(folder) / f"{prefix}.requests"
        lines.write_text("".join("\t".join(request) + "\n" for request in requests))
        options = [f"{name}={value}" for name, value in options.items()]
        self._process = Process("load", [
            built(), "send", f"port={port}", f"requests={lines}", f"prefix={prefix}", *options],
            Path(folder) / f"{prefix}.log")

    def are_under_way(self):
        return self._process.alive()

    def outcome(self):
        """Waits for the end: how many were sent, answered (by status, and by kind, status and reason), left, and in
        how many seconds."""
        self._process.wait()
        return json.loads(self._process.log.read_text())
