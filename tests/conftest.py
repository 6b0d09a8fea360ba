"""What all of these tests share: a second run for those that failed while the machine stood still."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.stalls import (  # noqa: E402, F401, they are hooks
    pytest_configure, pytest_runtest_protocol, pytest_terminal_summary, pytest_unconfigure)
