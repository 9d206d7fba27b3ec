"""Whether the loop should stop, asked after every step.

The loop calls these two methods wherever it runs: in this process or in a Ray Train worker. It
reports neither metrics nor checkpoints; the run folder holds them.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Protocol

STOP_FILE = "stop"
"""While this file is in the run folder, worker 0 asks all workers to stop at the next step."""

_SECONDS_BETWEEN_LOOKS = 0.1


class Reporter(Protocol):
    """Requests from outside the loop. Every method runs in every worker, unless said otherwise."""

    def should_stop(self) -> bool:
        """Whether to stop after this step. Called on worker 0, which informs the others."""
        ...

    def should_regroup(self) -> bool:
        """Whether to make place for another group of workers after this step. One is enough."""
        ...


class LocalReporter:
    """Training in this process: stops when `stop` is set.

    Args:
        stop: set from a signal handler or another thread.
    """

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = stop or threading.Event()

    def should_stop(self) -> bool:
        """Whether the event is set."""
        return self._stop.is_set()

    def should_regroup(self) -> bool:
        """No: there is no other group."""
        return False


class RayTrainReporter:
    """A Ray Train worker: stops when the driver has put the stop file into the run folder.

    Args:
        regroup: set in any worker that learns that the group has to end.
    """

    def __init__(self, run_dir: Path, regroup: threading.Event) -> None:
        self._stop_file = run_dir / STOP_FILE
        self._regroup = regroup
        self._stop = False
        self._looked = 0.0

    def should_stop(self) -> bool:
        """Whether the stop file exists; on a shared disk this check can take as long as a step."""
        now = time.monotonic()
        if now - self._looked >= _SECONDS_BETWEEN_LOOKS:
            self._looked, self._stop = now, self._stop_file.exists()
        return self._stop

    def should_regroup(self) -> bool:
        """Whether this worker was asked to."""
        return self._regroup.is_set()
