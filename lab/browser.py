"""A real browser without a window (headless Chromium), driven through its DevTools protocol over a
pipe. `lab/setup browser` installs it, on demand only: it is large."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from lab.processes import ROOT, LabError

FOLDER = ROOT / ".lab" / "browser"

FLAGS = [
    "--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--hide-scrollbars",
    "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
    "--force-color-profile=srgb", "--font-render-hinting=none",
    # Root can't have Chromium's sandbox. Only pages that the tests made themselves are opened.
    "--no-sandbox", "--no-zygote",
]


class Browser:
    """One page of one browser. `events` are all that it told, in order."""

    def __init__(self):
        binary = FOLDER / "chromium"
        if not binary.exists():
            raise LabError(f"{binary} is missing: run `lab/setup browser`")
        self._profile = tempfile.mkdtemp(prefix="phiward-browser-")
        self._read, answer = os.pipe()
        command, self._write = os.pipe()

        def connect():
            """Chromium reads commands from 3 and writes answers to 4."""
            ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (command, answer)]
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self._child = subprocess.Popen(
            [str(binary), *FLAGS, f"--user-data-dir={self._profile}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=connect, pass_fds=(3, 4), start_new_session=True,
            env={**os.environ, "LD_LIBRARY_PATH": str(FOLDER / "lib"),
                 "FONTCONFIG_FILE": str(FOLDER / "fonts.conf"), "HOME": self._profile})
        os.close(command)
        os.close(answer)
        self._buffer, self._count, self.events = b"", 0, []
        self._session = None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "Accessibility"):
            self.ask(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def ask(self, method, seconds=60, **parameters):
        """The result of a command."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + seconds
        while True:
            told = self._next(deadline, method)
            if told.get("id") == self._count:
                if "error" in told:
                    raise LabError(f"{method}: {told['error']}")
                return told["result"]
            self.events.append(told)

    def open(self, file):
        """Opens a file and waits until it is loaded."""
        seen = len(self.events)
        self.ask("Page.navigate", url=Path(file).resolve().as_uri())
        deadline = time.monotonic() + 60
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events[seen:]):
            self.events.append(self._next(deadline, "loading"))

    def evaluate(self, expression):
        """The value of an expression in the page. The page's own rules for scripts do not hold here."""
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise LabError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def show_as(self, width, height=900, dark=False, medium=""):
        """The size of the window, the scheme of colours, and `print` for paper."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", media=medium, features=[scheme])

    def screenshot(self, file):
        """The whole page as PNG."""
        image = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        Path(file).write_bytes(base64.b64decode(image["data"]))

    def told(self, *methods):
        """The events of these kinds."""
        return [event["params"] for event in self.events if event.get("method") in methods]

    def stop(self):
        self._child.kill()
        self._child.wait()
        os.close(self._read)
        os.close(self._write)
        shutil.rmtree(self._profile, ignore_errors=True)

    def _next(self, deadline, waiting):
        while b"\0" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._read], [], [], left)[0]:
                raise LabError(f"the browser did not answer in time: {waiting}")
            more = os.read(self._read, 1 << 20)
            if not more:
                raise LabError(f"the browser ended with {self._child.wait()}: {waiting}")
            self._buffer += more
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)
