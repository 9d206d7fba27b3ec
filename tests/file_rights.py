"""The rights of files as they hold for a plain user, also where root runs the tests."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_VERSION = 0x20080522  # of the structures of capget(2)
_OVERRIDE = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH


@contextmanager
def plain_user() -> Iterator[None]:
    """Inside the block this thread, and those that it starts, may read what the files allow."""
    if os.getuid() != 0:
        yield
        return
    if sys.platform != "linux":
        pytest.skip("root may read everything here")
    libc = ctypes.CDLL(None, use_errno=True)
    header, before = (ctypes.c_uint32 * 2)(_VERSION, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, before) == 0
    limited = type(before)(*before)
    limited[0] &= ~_OVERRIDE
    assert libc.capset(header, limited) == 0
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0
