"""What runs in the sidecar: calls that the driver process sends, each lane in its own thread."""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Final

AT_ONCE: Final = ""
"""The lane of calls that are done before the next one is read."""

_wires: list[Connection] = []
_lanes: dict[str, ThreadPoolExecutor] = {}
_writing = threading.Lock()
_NOT_SENDABLE: Final = (
    pickle.PickleError, TypeError, AttributeError, ValueError, LookupError, ImportError,
    RecursionError,
)  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """An error of a call, on its way to the driver process.

    Attributes:
        raised: the error, or its text if it cannot be pickled. trace: the traceback, as text.
    """

    raised: BaseException | str
    trace: str

    @classmethod
    def of(cls, raised: BaseException) -> Failure:
        """An error as it can be sent."""
        trace = "".join(traceback.format_exception(raised))
        try:
            pickle.loads(pickle.dumps(raised))  # gate: QS102 because it was pickled here
        except _NOT_SENDABLE:
            return cls(f"{type(raised).__name__}: {raised}", trace)
        return cls(raised, trace)

    def error(self) -> BaseException:
        """The error to be raised in the driver process, with its first traceback as the cause."""
        raised = RuntimeError(self.raised) if isinstance(self.raised, str) else self.raised
        raised.__cause__ = RuntimeError(f"in the sidecar:\n{self.trace}")
        return raised


def main(number: int) -> None:
    """Serve the socket of this file number until its other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_inheritable(number, False)  # whoever else held it would outlive this end
    wire = Connection(number)
    _wires.append(wire)
    while True:
        try:
            number_of_call, lane, sizes = wire.recv()
            call, arrays = wire.recv_bytes(), [bytearray(size) for size in sizes]
            for each in arrays:
                wire.recv_bytes_into(each)
        except (EOFError, OSError):
            os._exit(0)  # the driver has ended: nobody wants what is under way
        if lane not in _lanes:
            _lanes[lane] = ThreadPoolExecutor(1, thread_name_prefix=lane)
        done = _lanes[lane].submit(_called, call, arrays)
        done.add_done_callback(partial(_answer, number_of_call))
        if lane == AT_ONCE:
            wait([done])  # gate: QS103 because it keeps only the calls behind it in this process


def end_lane(lane: str) -> None:
    """Let the thread of a lane end, after the call in it that says so, which is its last."""
    _lanes.pop(lane).shutdown(wait=False)


def load(modules: Sequence[str]) -> None:
    """Import modules, one after the other.

    They stay, so the collector of garbage, a tenth of the time, need not look for it among them.
    """
    gc.disable()
    try:
        for name in modules:
            importlib.import_module(name)
    finally:
        gc.freeze()
        gc.enable()


def enter(environment: dict[str, str], folder: str, path: list[str]) -> None:
    """Take over the environment, the working folder and the module path of the driver process."""
    os.environ.update(environment)  # never empty: other lanes read their tokens from it
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    sys.path[:] = path
    with suppress(OSError):  # it was deleted: the driver cannot use it either
        os.chdir(folder)


def tell(function: Callable[..., object], *args: object) -> None:
    """Call a function in the driver process, without waiting for it."""
    _send((None, (function, args)))


def _called(call: bytes, arrays: list[bytearray]) -> object:
    """The result of a call; its modules are imported here, in the thread of its lane."""
    # gate: QS102 because only the process that started this one can write to its socket
    function, args, kwargs = pickle.loads(call, buffers=arrays)
    return function(*args, **kwargs)


def _answer(number: int, done: Future[object]) -> None:
    """Send the result of a call, or its error; a call without an answer would be waited for."""
    answered = False
    try:
        raised = done.exception()
        try:
            _send((number, done.result() if raised is None else Failure.of(raised)))
        except _NOT_SENDABLE as exc:
            _send((number, Failure.of(exc)))
        answered = True
    finally:
        if not answered:
            traceback.print_exc()
            os._exit(1)


def _send(message: object) -> None:
    try:
        with _writing:
            _wires[0].send(message)
    except OSError:
        os._exit(0)  # the driver has ended
