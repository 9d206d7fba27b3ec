"""The first import of Qiskit, and of packages that need it: whole, in a thread that does not end.

Qiskit 2.6 may end the process (SIGSEGV) once the thread that imported it first has ended, as the
threads of a pool do. And two threads that import a package at the same time, in another order, may
get halves of it: Python then breaks the circle of their waits. What imports Qiskit when it is
needed calls `import_qiskit` before.
"""

from __future__ import annotations

import importlib
import sys
import threading
from contextlib import suppress

from qstore_ray.deadline import wait_patiently

_lock = threading.RLock()
_whole: set[str] = set()
"""Packages whose import has ended."""


def import_qiskit(*packages: str) -> None:
    """Import Qiskit, and packages that need it, in the main thread or in one that never ends.

    Another thread waits until they are imported. Without a package nothing happens here; the import
    that follows raises.
    """
    names = ("qiskit", *packages)
    if _whole.issuperset(names):
        return
    with _lock:
        if "qiskit" in sys.modules or threading.current_thread() is threading.main_thread():
            _import(names)
        else:
            done = threading.Event()
            threading.Thread(
                target=_import_for_good, args=(names, done), name="import-qiskit", daemon=True
            ).start()
            wait_patiently(done.wait, "the import of Qiskit")


def _import(names: tuple[str, ...]) -> None:
    for name in names:
        with suppress(ImportError):  # the caller's own import says why
            importlib.import_module(name)
            _whole.add(name)


def _import_for_good(names: tuple[str, ...], done: threading.Event) -> None:
    try:
        _import(names)
    finally:
        done.set()
    # gate: QS103 because the thread has to outlive the modules that it imported
    threading.Event().wait()
