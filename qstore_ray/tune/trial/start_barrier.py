"""Waiting until all processes of a search have started.

An actor takes seconds to start, a small trial is over in less. When it ends, Ray Tune gives its
actor to the next trial and lets go of the one that was starting for that; so of all the actors that
have room, one would run everything. Hence the first report of each actor waits until as many are
there as there is room for.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

_LONGEST_WAIT = 20.0
_LOOK_SECONDS = 0.05


class Assembly:
    """The processes of a search, a file for each. Lives in each of them.

    Args:
        folder: of the files; a new one for every search.
        size: how many there will be.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder
        self._size = size
        self._complete = size <= 1
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{socket.gethostname()}-{os.getpid()}").touch()

    def wait(self) -> None:
        """Wait for the others, once; a while at most, since there may be no room after all."""
        deadline = time.monotonic() + _LONGEST_WAIT
        while not self._complete:
            there = len(list(self._folder.iterdir()))
            self._complete = there >= self._size or time.monotonic() >= deadline
            if not self._complete:
                time.sleep(_LOOK_SECONDS)
