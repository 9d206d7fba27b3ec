"""Trying again, bounded; writing so that a crash does no harm; the CPUs of this process.

A retry is only honest for a call that can be repeated without a second effect (reading a file from
an object store, asking a server for a page), and only for errors that may pass by themselves. The
waiting is tenacity's; what is decided here is that it is bounded and that the last error is raised
as it was.
"""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import unquote

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    retry_if_exception_type,
    sleep,
    sleep_using_event,
    stop_after_attempt,
    stop_after_delay,
    stop_any,
    stop_when_event_set,
    wait_random_exponential,
)

from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from tenacity.stop import stop_base

T = TypeVar("T")
_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")


def call_with_retries(
    call: Callable[[], T],
    *,
    retry_on: tuple[type[BaseException], ...] | Callable[[BaseException], bool],
    attempts: int = 4,
    seconds: float | None = None,
    leave: threading.Event | None = None,
    longest_pause: float = 8.0,
    pause_asked: Callable[[BaseException], float | None] | None = None,
    between: Callable[[], None] | None = None,
) -> T:
    """Call `call` until it returns, pausing with jitter in between, within bounds.

    Args:
        call: a function without arguments that may be repeated safely.
        retry_on: error types that may pass by themselves, or a function that says whether an
            error is one; any other error is raised at once.
        attempts: calls in all, at least 1.
        seconds: time limit for all attempts; replaces `attempts`.
        leave: event that ends the wait between attempts.
        longest_pause: upper bound of one pause, in seconds.
        pause_asked: returns the minimum pause that an error requires, in seconds (a server's
            Retry-After), capped at `longest_pause`.
        between: called before every pause, to release what the failed call may have broken.

    Raises:
        BaseException: the error of the last attempt, unchanged.
    """
    jitter = wait_random_exponential(multiplier=0.1, max=longest_pause)

    def pause(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = pause_asked(error) if pause_asked and error else None
        return min(max(jitter(state), asked or 0.0), longest_pause)

    stop: stop_base = stop_after_attempt(attempts) if seconds is None else stop_after_delay(seconds)
    retrying = Retrying(
        stop=stop_any(stop, stop_when_event_set(leave)) if leave else stop,
        sleep=sleep_using_event(leave) if leave else sleep,
        wait=pause,
        retry=retry_if_exception_type(retry_on)
        if isinstance(retry_on, tuple)
        else retry_if_exception(retry_on),
        before_sleep=None if between is None else lambda _: between(),
        reraise=True,
    )
    return retrying(call)


def available_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def expanded(path: str | Path) -> Path:
    """The path with `~` replaced by the home folder; an unknown user's `~name` is left in it.

    `Path.expanduser` raises RuntimeError for an unknown user, and for a user without a home.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111 - see above


def real_path(path: str | Path) -> Path:
    """The absolute path behind `~` and symbolic links; a link that leads to itself is left in it.

    `Path.resolve` raises RuntimeError for such a link in Python 3.11 and 3.12. Here, whoever opens
    the path gets the OSError, as for every other path that cannot be used.
    """
    return Path(os.path.realpath(expanded(path)))


def storage_folder(storage: str | Path) -> Path:
    """The absolute path of a folder of runs.

    Raises:
        ConfigError: an address instead of a path, or the home folder of an unknown user.
    """
    text = str(storage)
    if address := _ADDRESS.match(text):
        is_file = address[1].lower() == "file"
        path = unquote("/" + text[address.end() :].lstrip("/"))
        raise ConfigError(
            "storage is the path of a folder, not an address",
            field="storage",
            value=text,
            fix=f"Write {path!r}." if is_file else "Object stores are not supported yet.",
        )
    if expanded(text).parts[:1] and expanded(text).parts[0].startswith("~"):
        raise ConfigError(
            "no such user", field="storage", value=text, fix="Write the whole path of a folder."
        )
    return real_path(storage)


def sweep_parts(folder: Path, *, spare: Collection[str] = ()) -> None:
    """Delete partial files that killed writers left below `folder`; no other writer may be active.

    Args:
        spare: names of files that another process may be writing.

    Raises:
        OSError: as the system says.
    """
    for part in folder.rglob(".*.part"):
        if not part.name.startswith(tuple(f".{name}." for name in spare)):
            part.unlink(missing_ok=True)


_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_REFUSED: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


def is_full(exc: OSError) -> bool:
    """True if a file could not be written because the disk or the user's quota is full."""
    return exc.errno in _FULL


def unwritable_fix(exc: OSError, then: str = "") -> str:
    """What to do about a file that could not be written: make room, or take another folder.

    Args:
        then: what to do after that.
    """
    after = f", then {then}." if then else "."
    if is_full(exc):
        return f"Free some space{after}"
    if exc.errno in _REFUSED:
        return f"Give a folder that you may write to, or make this one writable{after}"
    return f"Check the disk, or give another folder{after}"


def write_durably(path: Path, data: bytes) -> None:
    """Write a file atomically and durably: after a crash it is complete or absent.

    Raises:
        OSError: as the system says.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
