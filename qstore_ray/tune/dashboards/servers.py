"""Servers of other packages, run for as long as somebody looks at their pages.

Each is a process of its own on loopback. It has a process group, since servers start processes too,
and all of a group is ended with it: on Ctrl-C, when this process is asked to end, and when another
of the servers has ended by itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import IO, Final
from urllib.request import ProxyHandler, build_opener

from qstore_ray.credentials import redact_text
from qstore_ray.errors import RunError
from qstore_ray.train.ray.interrupt import stop_on_signal

HOST: Final = "127.0.0.1"
_LARGEST: Final = 2**20
"""Where servers listen: for this machine alone."""

_LONGEST_START: Final = 180.0
_LONGEST_END: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page, and the server that has to be started for it, if any.

    Args:
        name: what it shows. url: its address.
        command: starts the server; empty if one runs already.
        environment: of the server, besides our own.
    """

    name: str
    url: str
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


def serve(pages: Sequence[Page], ready: Callable[[], None]) -> None:
    """Start the servers of the pages, call `ready` when all answer, and end them on SIGINT,
    SIGTERM or a closed terminal, however this ends. Without servers it returns at once.

    Raises:
        RunError: a server did not start, or ended; with the last that it said.
    """
    stop = threading.Event()
    with stop_on_signal(stop), _stop_when_left(stop), ExitStack() as servers:
        started = [servers.enter_context(_server(page)) for page in pages if page.command]
        if _wait_for(started, stop):
            ready()
        while started and not stop.wait(0.2):
            for server in started:
                server.check()


@dataclass(frozen=True)
class _Server:
    page: Page
    process: subprocess.Popen[bytes]
    said: IO[bytes]

    def check(self, problem: str = "") -> None:
        """Raise `RunError` if the process has ended or reports a problem."""
        code = self.process.poll()
        if code is None and not problem:
            return
        self.said.seek(0)
        lines = self.said.read().decode(errors="replace").strip().splitlines()
        raise RunError(
            f"the server of the {self.page.name} page {problem or f'ended with code {code}'}",
            field=self.page.name,
            value=self.page.url,
            fix=f"It said last: {redact_text(lines[-1]) if lines else 'nothing'}",
        )


@contextmanager
def _server(page: Page) -> Iterator[_Server]:
    """The running server of a page; at the end of the block its whole process group is ended."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603 - the command is ours
            page.command,
            env={**os.environ, **page.environment},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone, and we end them in order
        )
        try:
            yield _Server(page, process, said)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:  # no process of the group is left
            break
        try:
            process.wait(_LONGEST_END)
        except subprocess.TimeoutExpired:
            continue
    # gate: QS103 because the kernel ends a process that was killed
    process.wait()


def _wait_for(servers: Sequence[_Server], stop: threading.Event) -> bool:
    """Wait until every server answers; False if it was stopped before."""
    deadline = time.monotonic() + _LONGEST_START
    for server in servers:
        while not read_page(server.page.url):
            server.check("does not answer" if time.monotonic() > deadline else "")
            if stop.wait(0.1):
                return False
    return True


@contextmanager
def _stop_when_left(stop: threading.Event) -> Iterator[None]:
    """Set `stop` when the terminal is closed; signals are for the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGHUP, lambda *_: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def read_page(url: str) -> str:
    """The page at an address, "" if no server answers; never through a proxy."""
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=2.0) as answer:
            body: bytes = answer.read(_LARGEST)
    except (OSError, ValueError, HTTPException):  # refused, an error's status, or no server of HTTP
        return ""
    return body.decode(errors="replace")
