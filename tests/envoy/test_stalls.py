"""A test that failed runs again when the machine stood still meanwhile, and only then."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOOKS = "from lab.stalls import *"
TESTS = """
import os, signal, time
import pytest

RUNS = []

@pytest.fixture(scope="module")
def shared():
    RUNS.append("shared")
    return len(RUNS)

def stand_still(request):
    watch = request.config.stalls.process.pid
    os.kill(watch, signal.SIGSTOP)
    time.sleep(1)
    os.kill(watch, signal.SIGCONT)

def test_that_fails_while_the_machine_runs(shared):
    assert False

def test_that_fails_while_it_stands_still(shared, request):
    if shared == 1:
        stand_still(request)
    assert shared == 2, "the second run has a new one"

def test_that_passes(shared):
    assert shared == 2
"""


def test_only_a_stall_brings_a_second_run(tmp_path):
    (tmp_path / "conftest.py").write_text(HOOKS)
    (tmp_path / "test_inner.py").write_text(TESTS)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path],
        capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert "1 failed, 2 passed" in run.stdout, run.stdout
    # A line of the summary goes on with the reason where it has room: everywhere when `CI` is set.
    failed = [line.split(" - ")[0] for line in run.stdout.splitlines() if line.startswith("FAILED ")]
    assert len(failed) == 1 and failed[0].endswith("::test_that_fails_while_the_machine_runs"), run.stdout
    again = [line for line in run.stdout.splitlines() if line.startswith("run again: ")]
    assert len(again) == 1 and "test_that_fails_while_it_stands_still" in again[0], run.stdout
