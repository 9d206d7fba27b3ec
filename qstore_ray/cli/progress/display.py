"""Which progress display a search gets: a redrawn picture on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from qstore_ray.cli.progress.progress import is_terminal
from qstore_ray.cli.progress.search import SearchLines
from qstore_ray.tune.driver.display import SearchDisplay


def search_display(
    stream: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic
) -> SearchDisplay:
    """The display that suits a stream (stderr if left out): a terminal, or anything else."""
    stream = stream or sys.stderr
    if not is_terminal(stream):
        return SearchLines(stream, clock)
    from qstore_ray.cli.progress.live import LiveSearch  # rich only if there is a terminal

    return LiveSearch(stream, clock)
