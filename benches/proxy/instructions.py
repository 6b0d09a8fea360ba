"""Instructions that a thread has run in user space, as the processor counts them (perf_event_open(2)).
Virtual machines often have no such counter."""

import ctypes
import math
import os
import platform
import struct

HARDWARE, INSTRUCTIONS = 0, 1  # PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS


class Counters:
    """One counter for each of these threads; `read` is `nan` when one of them can't be counted."""

    def __init__(self, threads, kind=HARDWARE, event=INSTRUCTIONS):
        self._open = [_open(thread, kind, event) for thread in threads]
        self.works = bool(self._open) and None not in self._open

    def read(self):
        if not self.works:
            return math.nan
        return sum(struct.unpack("Q", os.read(counter, 8))[0] for counter in self._open)


def _open(thread, kind, event):
    """The counter's file; `None` where there is none."""
    number = _SYSCALL.get(platform.machine())
    if number is None:
        return None
    attributes = struct.pack("IIQQQQQ", kind, _SIZE, event, 0, 0, 0, _USER_SPACE).ljust(_SIZE, b"\0")
    any_core = no_group = -1
    numbers = (ctypes.c_long(one) for one in (thread, any_core, no_group, _CLOSE_ON_EXEC))
    file = _LIBC.syscall(ctypes.c_long(number), attributes, *numbers)
    return file if file >= 0 else None


_LIBC = ctypes.CDLL(None, use_errno=True)
_SYSCALL = {"x86_64": 298, "aarch64": 241}
_SIZE = 64  # PERF_ATTR_SIZE_VER0
_USER_SPACE = 1 << 5 | 1 << 6  # exclude_kernel, exclude_hv
_CLOSE_ON_EXEC = 8
