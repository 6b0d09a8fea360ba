"""Second runs for tests that failed while the machine stood still: shared machines do so for seconds, and a
token, a list or a session ages in that time. Hooks for a `conftest.py`; a test that fails on a machine that ran
fails at once."""

import os
import subprocess
import sys
import time

from _pytest.runner import runtestprotocol

# Wakes every 50 ms and tells when and how late that was. Ends with the process that began it.
WATCH = """
import os, time
parent, last = os.getppid(), time.monotonic()
while os.getppid() == parent:
    time.sleep(0.05)
    now = time.monotonic()
    if now - last > 0.15:
        print(now, now - last - 0.05, flush=True)
    last = now
"""
ENOUGH = 0.5  # seconds


class Stalls:
    """How long the machine stood still."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-c", WATCH], stdout=subprocess.PIPE, text=True)
        self._seen = []
        os.set_blocking(self.process.stdout.fileno(), False)

    def since(self, began):
        """Seconds altogether, since a monotonic time."""
        time.sleep(0.2)  # what is not told yet
        self._seen += [tuple(map(float, line.split())) for line in self.process.stdout]
        return sum(late for at, late in self._seen if at > began)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def pytest_configure(config):
    config.stalls, config.modules_began, config.told_again = Stalls(), {}, []


def pytest_unconfigure(config):
    config.stalls.stop()


def pytest_runtest_protocol(item, nextitem):
    """Runs a test, and when that is called for once more, with everything set up anew."""
    config = item.config
    # What a module sets up for all of its tests may have failed long before this one.
    began = config.modules_began.setdefault(item.module, time.monotonic())
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if any(report.failed for report in reports):
        still = config.stalls.since(began)
        if still >= ENOUGH and is_torn_down(item):
            config.told_again.append(f"{item.nodeid}: the machine stood still for {still:.1f} s")
            item._initrequest()
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def is_torn_down(item):
    """Ends what tests share; whether that went well."""
    try:
        item.session._setupstate.teardown_exact(None)
    except Exception:  # noqa: BLE001, the first run's failure is reported
        return False
    return True


def pytest_terminal_summary(terminalreporter, config):
    for line in config.told_again:
        terminalreporter.write_line(f"run again: {line}")
