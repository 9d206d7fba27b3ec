"""Qiskit's first import, in a thread that does not end.

Qiskit 2.6 may end the process (SIGSEGV) once the thread that imported it first has ended, as the
threads of a pool do. What imports Qiskit when it is needed calls `import_qiskit` before.
"""

from __future__ import annotations

import sys
import threading


def import_qiskit() -> None:
    """Import Qiskit in this thread if it is the main one, else in a thread that never ends.

    Without Qiskit nothing happens here; the import that follows raises.
    """
    if "qiskit" in sys.modules or threading.current_thread() is threading.main_thread():
        return
    done = threading.Event()
    threading.Thread(target=_import, args=(done,), name="import-qiskit", daemon=True).start()
    done.wait()


def _import(done: threading.Event) -> None:
    try:
        import qiskit  # noqa: F401
    except ImportError:
        return  # the caller's own import says why
    finally:
        done.set()
    threading.Event().wait()
