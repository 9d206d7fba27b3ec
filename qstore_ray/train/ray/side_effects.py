"""What initialising Ray does to this process beside that, and what keeps it from doing so."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import ray
from ray._private import ray_constants, services, worker
from ray._private.node import Node
from ray._raylet import Config  # type: ignore[attr-defined]  # of a compiled module

from qstore_ray.environment import environment

_RECONNECT = "RAY_gcs_rpc_server_reconnect_timeout_s"
_LONGEST_SECONDS = "300"


@contextmanager
def own_process_groups() -> Iterator[None]:
    """Ray's processes are started in process groups of their own.

    Process managers and terminals send a signal to the whole group of the driver. Ray's head would
    end before the workers can write a checkpoint, and the driver would wait a minute for it. What
    `outliving` sets is for the driver alone: a raylet must end with its head.
    """
    usual: Any = services.ConsolePopen
    before = os.environ.get(_RECONNECT)

    def start(*args: Any, env: dict[str, str], **kwargs: Any) -> subprocess.Popen[bytes]:
        own = {name: value for name, value in env.items() if name != _RECONNECT}
        own |= {} if before is None else {_RECONNECT: before}
        started: subprocess.Popen[bytes] = usual(*args, env=own, process_group=0, **kwargs)
        return started

    services.ConsolePopen = start  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        services.ConsolePopen = usual  # type: ignore[misc]


@contextmanager
def no_monitors() -> Iterator[None]:
    """Ray's processes are started without two that a training has no use for.

    One copies the prints of workers to the driver, which does not show them, and reads the folder
    of logs all the time; the other one looks whether to start or end nodes, which we have not.
    """
    usual = Node.start_log_monitor, Node.start_monitor
    Node.start_log_monitor = Node.start_monitor = lambda _: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        Node.start_log_monitor, Node.start_monitor = usual  # type: ignore[method-assign]


@contextmanager
def outliving() -> Iterator[None]:
    """A Ray that is initialised in this block does not end this process a minute after its loss.

    Otherwise its core worker calls `_Exit(1)` when the head has not answered for 60 s. It becomes
    five minutes, which `call_beside` does not need: for calls that nobody looks after.
    """
    with environment(defaults={_RECONNECT: _LONGEST_SECONDS}):
        Config.initialize("")  # read again
        yield


def leave_ray() -> None:
    """`ray.shutdown()`, unless that would end this process.

    To leave a raylet that has died, Ray's core worker calls `_Exit(1)` in a process whose parent
    has ended (under nohup, as the first child of a container): it takes the parent for the raylet.
    Such a process then keeps a Ray that is of no use.
    """
    if os.getppid() == 1 and ray_is_lost():
        atexit.unregister(worker.shutdown)
        return
    ray.shutdown()


class RayletLink:
    """A connection to the raylet of this machine that says nothing, and ends when that ends."""

    def __init__(self) -> None:
        self._node = worker.global_worker.node
        self._socket: socket.socket | None = None
        self._refused = False

    def __enter__(self) -> Self:
        path = getattr(self._node, "raylet_socket_name", None)
        if path is None:
            return self
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(path)
        except ConnectionRefusedError:
            self._refused = True
        except OSError:  # its file is gone: it may live all the same, and nothing is known
            self.__exit__()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def is_broken(self) -> bool:
        """Whether the raylet has ended, or the head, where this process has started it."""
        if self._refused or (self._node is not None and self._node.dead_processes()):
            return True
        if self._socket is None:
            return False
        try:
            return not self._socket.recv(1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True


def ray_is_lost() -> bool:
    """Whether this process has a Ray, and the part of it on this machine has ended."""
    with RayletLink() as link:
        return link.is_broken()


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
