"""Calls to the hub that are tried again where a connection broke, all within one deadline.

The hub's library shares one HTTP client among all threads of the process. A connection of it that
broke, or that another thread closed, fails once and for no fault of the hub ("Bad file descriptor",
"Server disconnected"). The calls here only read, so they are made again, with a new client.
"""

from __future__ import annotations

import errno
import io
import time
from collections.abc import Callable
from typing import Any, TypeVar

from huggingface_hub import close_session
from huggingface_hub.errors import (
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)

from qstore_ray.deadline import within
from qstore_ray.errors import DataError
from qstore_ray.retry import call_with_retries

T = TypeVar("T")
ATTEMPTS = 3
_HTTP_ERROR: type[BaseException] = HfHubHTTPError.__bases__[0]  # the base of its HTTP library's


class Deadline:
    """`timeout` seconds from now on, for all calls together; the field `params.timeout` sets it."""

    def __init__(self, timeout: float) -> None:
        self._timeout, self._stop = timeout, time.monotonic() + timeout

    def read(self, call: Callable[[], T], what: str) -> T:
        """What `call` returns; it only reads, and is repeated where a connection breaks.

        Only the call runs in a thread, which is abandoned when the time is up: so nothing is tried
        again, and no client is closed, after the caller has continued.

        Raises:
            DataError: the time is up.
            BaseException: any exception of the last call, unchanged.
        """
        return call_with_retries(
            lambda: self._once(call, what),
            retry_on=connection_broke,
            attempts=ATTEMPTS,
            longest_pause=1.0,
            between=close_session,
        )

    def _once(self, call: Callable[[], T], what: str) -> T:
        left = max(self._stop - time.monotonic(), 0.0)
        try:
            return within(left, lambda: _with_open_client(call), what=what, field="params.timeout")
        except DataError as exc:
            if exc.field != "params.timeout":
                raise
            raise DataError(
                f"{what} took longer than {self._timeout:g} s",
                field="params.timeout",
                value=self._timeout,
                fix=exc.fix,
            ) from exc


def connection_broke(error: BaseException) -> bool:
    """Whether `error` is of the connection alone: no answer that the hub gave, no full disk."""
    if isinstance(error, LocalEntryNotFoundError):  # the hub could not be asked, because of:
        return error.__cause__ is not None and connection_broke(error.__cause__)
    if isinstance(error, (HfHubHTTPError, OfflineModeIsEnabled)):
        return False
    if isinstance(error, OSError):
        return isinstance(error, ConnectionError) or error.errno == errno.EBADF
    return isinstance(error, _HTTP_ERROR) and getattr(error, "response", None) is None


def _with_open_client(call: Callable[[], T]) -> T:
    """What `call` returns; that its client was closed by another thread is a broken connection."""
    try:
        return call()
    except RuntimeError as exc:
        if "client has been closed" not in str(exc):
            raise
        raise ConnectionAbortedError(str(exc)) from exc


class Stream(io.RawIOBase):
    """A remote file, all of which has to be read within `deadline`.

    Only the transfers run in threads that may be abandoned. The reader does not: Arrow's own
    threads must not be waiting for Python when the process ends.
    """

    def __init__(self, remote: Any, deadline: Deadline) -> None:
        super().__init__()
        self._remote, self._deadline = remote, deadline
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position, in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """The new position; nothing is transferred."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._remote.size}
        self._position = start[whence] + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Transfer as many bytes as `buffer` holds, or are left; how many.

        Raises:
            DataError: the time is up.
        """

        def transfer() -> bytes:
            self._remote.seek(self._position)
            return bytes(self._remote.read(len(buffer)))

        content = self._deadline.read(transfer, f"reading {self._remote.path}")
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)
