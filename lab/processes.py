"""Processes that never outlive us: each in its own process group, stopped in reverse order when the
program ends, also by Ctrl-C, SIGTERM or SIGHUP."""

import atexit
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".lab" / "venv" / "bin"


class LabError(Exception):
    """Something the reader can act on: shown without a traceback."""


class Process:
    """A child process with its output in a file."""

    def __init__(self, name, command, log, env=None):
        self.name, self.log = name, Path(log)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.unlink(missing_ok=True)
        with self.log.open("ab") as output:
            # Its own session: Ctrl-C in a terminal reaches only us, and we stop things in order.
            self._child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})}, start_new_session=True,
            )
        _running.append(self)

    @property
    def pid(self):
        return self._child.pid

    def alive(self):
        return self._child.poll() is None

    def wait_until(self, ready, seconds=30):
        """Waits until `ready()` is true; the process ending or the time passing is an error with the
        end of the log."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.alive():
                raise LabError(f"{self.name} ended with {self._child.returncode}:\n{self.tail()}")
            if ready():
                return
            time.sleep(0.02)
        raise LabError(f"{self.name} was not ready after {seconds} s:\n{self.tail()}")

    def wait(self):
        """Waits until it ends by itself, as it should."""
        if self._child.wait() != 0:
            raise LabError(f"{self.name} ended with {self._child.returncode}:\n{self.tail()}")
        _running.remove(self)

    def tail(self, lines=15):
        text = self.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(f"  | {line}" for line in text) + f"\n  ({self.log})"

    def stop(self, seconds=3):
        """Asks the whole group to end, then ends it."""
        if self.alive():
            self.signal(signal.SIGTERM)
            try:
                self._child.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def end(self, seconds):
        """Asks the whole group to end, and waits until it has: not to is an error."""
        self.signal(signal.SIGTERM)
        try:
            self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} did not end within {seconds} s:\n{self.tail()}") from None

    def kill(self):
        """Ends the whole group at once (SIGKILL)."""
        if self in _running:
            _running.remove(self)
        self.signal(signal.SIGKILL)
        self._child.wait()

    def signal(self, number):
        """Sends a signal to the whole group."""
        try:
            os.killpg(self._child.pid, number)
        except (ProcessLookupError, PermissionError):  # all gone (macOS: only zombies left)
            pass


def stop_all():
    """Stops what still runs, last started first. A second signal can't interrupt it."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _ENDING}
    try:
        for process in reversed(_running[:]):
            process.stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_on_signals():
    """Turns SIGTERM and SIGHUP into an ordinary end of the program, so that `stop_all` runs."""
    for number in _ENDING[1:]:
        signal.signal(number, lambda received, _: sys.exit(128 + received))


def free_port():
    """A port on 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def require_free(ports, advice):
    """Raises `LabError` naming every port of `{name: port}` that is taken."""
    taken = [f"{port} ({name})" for name, port in ports.items() if not _is_free(port)]
    if taken:
        raise LabError(f"in use on 127.0.0.1: port {', '.join(taken)}; {advice}")


def answers(url):
    """Whether an HTTP server answers there, whatever its status."""
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def listens(port):
    """Whether somebody takes connections on this port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_running = []
atexit.register(stop_all)
