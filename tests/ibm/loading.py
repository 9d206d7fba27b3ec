"""Imports Qiskit and the client's package for the server, which answers requests long before.

The thread that imports them never ends: Qiskit 2.6 may crash the process if its first import was in
a thread that has ended, and the server's own threads end with a connection or with the server.
"""

from __future__ import annotations

import threading
from functools import cache

_loaded = threading.Event()


@cache
def begin() -> None:
    """Begin to import, once."""
    threading.Thread(target=_load, name="import-qiskit", daemon=True).start()


def wait() -> None:
    """Wait until everything that executes jobs is imported."""
    begin()
    _loaded.wait()


def _load() -> None:
    try:
        from tests.ibm import executor, primitives  # noqa: F401
    finally:
        _loaded.set()  # whoever waits meets the same ImportError
    threading.Event().wait()
