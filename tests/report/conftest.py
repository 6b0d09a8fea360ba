"""The program as it is built, and a browser for what it writes."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from lab.browser import Browser  # noqa: E402

PROGRAM = ROOT / "target" / "debug" / "phiward"


@pytest.fixture(scope="session")
def phiward():
    """Runs the program with arguments and standard input; a failure is told with what it wrote."""
    assert PROGRAM.exists(), f"{PROGRAM} is missing: run `make test-report`"

    def run(*arguments, stdin=None):
        done = subprocess.run([PROGRAM, *arguments], input=stdin, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr.decode()
        return done

    return run


@pytest.fixture(scope="session")
def browser():
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("the browser of the lab runs on Linux on x86_64 only")
    with Browser() as running:
        yield running
