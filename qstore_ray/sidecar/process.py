"""The sidecar as the driver process sees it: a child process that calls functions in its lanes.

    done = sidecar().submit("figures", drawn, facts)
    pages = done.result()

Calls of one lane run in order in a thread of their own, so a server that does not answer holds up
its own lane alone. Functions are sent by name, arguments and results by pickle, through a socket
that nobody else can open. The sidecar ends when the driver closes the socket or is killed.
"""

from __future__ import annotations

import atexit
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from qstore_ray.errors import RunError
from qstore_ray.sidecar.server import AT_ONCE, Failure, enter

P = ParamSpec("P")
T = TypeVar("T")

FIGURES: Final = "figures"
TRACKERS: Final = "trackers"
_START: Final = "import sys; sys.path[:] = {path!r}; from qstore_ray.sidecar.server import main"
_STDERR: Final = 2
_SECONDS_TO_END: Final = 5.0
_FLAGS: Final = {
    "isolated": "-I", "ignore_environment": "-E", "no_user_site": "-s", "safe_path": "-P",
}  # fmt: skip


class Sidecar:
    """One child process. Used in the driver process, by any thread.

    Raises:
        OSError: no process can be started.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            # Ctrl-C in a terminal is sent to the whole group; the sidecar ends with the driver.
            self._process = subprocess.Popen(  # noqa: S603 - this Python, and our own code
                [*_python(), "-c", f"{_START.format(path=_path())}; main({number})"],
                pass_fds=[number],
                stdin=subprocess.DEVNULL,
                stdout=_STDERR,
                start_new_session=True,
            )  # fmt: skip
        self._socket = ours
        self._wire = Connection(os.dup(ours.fileno()))
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._count = 0
        self._waiting: dict[int, Future[Any]] = {}
        self._alive = True
        self._entered: tuple[Any, ...] = ()
        self._reader = threading.Thread(target=self._receive, name="sidecar", daemon=True)
        self._reader.start()

    @property
    def usable(self) -> bool:
        """Whether it still answers, and to this process: a fork has the socket of its parent."""
        return self._alive and self._owner == os.getpid()

    def enter(self) -> None:
        """Give the sidecar the environment, working folder and module path of this process, before
        the calls that follow.
        """
        state = (dict(os.environ), _folder(), _path())
        if state != self._entered:
            self._entered = state
            self.submit(AT_ONCE, enter, *state)

    def submit(
        self, lane: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Call a function of a module in the sidecar, after the earlier calls of the same lane.

        The future raises what the function raised, or `RunError` if the sidecar ended first.
        """
        done: Future[T] = Future()
        arrays: list[pickle.PickleBuffer] = []  # sent as they are: the driver makes no copy
        call = pickle.dumps((function, args, kwargs), protocol=5, buffer_callback=arrays.append)
        parts = [each.raw() for each in arrays]
        with self._lock:
            number = self._count = self._count + 1
            self._waiting[number] = done
            try:
                self._wire.send((number, lane, [part.nbytes for part in parts]))
                self._wire.send_bytes(call)
                for part in parts:
                    self._wire.send_bytes(part)
            except OSError:
                if self._waiting.pop(number, None) is done:
                    done.set_exception(self._ended_error())
        return done

    def close(self) -> None:
        """Let the sidecar end; calls under way are given up. One that does not end is killed."""
        if self._owner != os.getpid():
            return
        self._hang_up()
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            # gate: QS103 because the kernel ends a process that was killed
            self._process.wait()
        self._reader.join(_SECONDS_TO_END)
        self._socket.close()

    def leave(self) -> None:
        """Close this process's copies of the socket, of a child that was forked off."""
        os.close(self._socket.detach())
        self._wire.close()

    def _hang_up(self) -> None:
        self._alive = False
        with suppress(OSError):  # it was closed already
            self._socket.shutdown(socket.SHUT_RDWR)  # a thread waits in it: `close` leaves it so

    def _receive(self) -> None:
        try:
            self._take_answers()
        finally:  # also after an answer that cannot be read here: nobody takes the next ones
            self._hang_up()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_SECONDS_TO_END)
            while self._waiting:
                self._waiting.popitem()[1].set_exception(self._ended_error())

    def _take_answers(self) -> None:
        while True:
            try:
                number, result = self._wire.recv()
            except (EOFError, OSError):
                return
            if number is None:
                function, args = result
                function(*args)
                continue
            done = self._waiting.pop(number)
            if isinstance(result, Failure):
                done.set_exception(result.error())
            else:
                done.set_result(result)

    def _ended_error(self) -> RunError:
        code = self._process.poll()
        how = "" if code is None else f" (exit status {code})"
        return RunError(
            f"the process for trackers, scores and figures ended{how}",
            field="sidecar",
            value=self._process.pid,
            fix="See what it printed above; a process that was killed often lacked memory. Resume "
            "a run that has not finished; the results of one that has are in its folder.",
        )


def _python() -> list[str]:
    """This Python, with the flags that decide what it loads and warns of."""
    flags = [flag for name, flag in _FLAGS.items() if getattr(sys.flags, name)]
    return [sys.executable, *flags, *(f"-W{option}" for option in sys.warnoptions)]


def _path() -> list[str]:
    """The module path; other objects in it are passed over by `import` too."""
    return [entry for entry in sys.path if isinstance(entry, str)]


def _folder() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return ""  # it was deleted


class _Shared:
    """The sidecars of this process; one that was forked off begins without."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: dict[str, Sidecar] = {}

    def forget(self) -> None:
        """Leave it to the parent, which it would outlive if this process kept its socket open."""
        for each in self.running.values():
            each.leave()
        self.lock, self.running = threading.Lock(), {}


_shared = _Shared()
os.register_at_fork(after_in_child=_shared.forget)


def sidecar(work: str = FIGURES) -> Sidecar:
    """The sidecar of this process for a kind of work, started if there is none, in the environment
    of the caller.

    Args:
        work: FIGURES, with baseline and scores, or TRACKERS. Each imports for seconds, and one
            interpreter uses one CPU.

    Raises:
        RunError: it cannot be started; always so in a frozen program.
    """
    with _shared.lock:
        running = _shared.running.get(work)
        if running is None or not running.usable:
            if not sys.executable or getattr(sys, "frozen", False):
                raise RunError(
                    "trackers, scores and figures need a process of Python, which this program "
                    "cannot start",
                    field="sidecar",
                    value=sys.executable,
                    fix="Run it with Python, not as a frozen or embedded program.",
                )
            if running is not None:
                atexit.unregister(running.close)
                running.close()
            try:
                running = _shared.running[work] = Sidecar()
            except OSError as exc:
                raise RunError(
                    f"cannot start a process for trackers, scores and figures: {exc.strerror}",
                    field="sidecar",
                    value=sys.executable,
                    fix="Free memory or raise the limit of processes (ulimit -u).",
                ) from exc
            atexit.register(running.close)
        running.enter()
        return running
