"""What initialising Ray does to this process beside that, and what keeps it from doing so."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from ray._private import ray_constants, services, worker


@contextmanager
def own_process_groups() -> Iterator[None]:
    """Ray's processes are started in process groups of their own.

    Process managers and terminals send a signal to the whole group of the driver. Ray's head would
    end before the workers can write a checkpoint, and the driver would wait a minute for it.
    """
    usual = services.ConsolePopen
    services.ConsolePopen = partial(usual, process_group=0)  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        services.ConsolePopen = usual  # type: ignore[misc]


@contextmanager
def no_error_prints() -> Iterator[None]:
    """A Ray that is initialised in this block does not print what its processes report.

    By default it prints a paragraph of ids for each worker that died, on stdout, at any level and
    destination of its logs. The caller receives the failures as errors and reports them.
    """
    usual = worker.listen_error_messages
    worker.listen_error_messages = lambda *_: None
    try:
        yield
    finally:
        worker.listen_error_messages = usual


@contextmanager
def same_sigterm_handler() -> Iterator[None]:
    """A Ray that is initialised in this block keeps the existing handler of SIGTERM.

    Ray's own handler ends the process with exit code 15 at any point. It stays only if SIGTERM has
    no other handler, because it ends Ray's processes, too.
    """
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        here = threading.current_thread() is threading.main_thread()
        if here and handler not in (signal.SIG_DFL, None):
            signal.signal(signal.SIGTERM, handler)


@contextmanager
def on_loopback() -> Iterator[None]:
    """In this block 127.0.0.1 stays the address of a Ray that is joined.

    Otherwise Ray replaces it by the address of this machine in its network, at which nothing
    listens. Ray reads the variable for it (`cluster/find.py`) once, when it is imported.
    """
    usual = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = usual
