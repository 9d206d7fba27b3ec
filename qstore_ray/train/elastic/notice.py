"""In a worker: the request to save a checkpoint and make place for another group.

It comes from the driver's side, through a call of the worker's actor, or from the machine, as
SIGTERM: a scheduler that takes a machine away sends it to all processes there, with some seconds
until SIGKILL. Training runs in another thread and looks at `asked` in every step.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

from qstore_ray.errors import RegroupError

asked = threading.Event()
"""Whether this worker is to make place."""
_reasons: list[RegroupError] = []


def ask(reason: RegroupError) -> None:
    """Ask this worker to make place after the next step. Runs in the worker's main thread."""
    _reasons.append(reason)
    asked.set()


def ask_on_sigterm() -> None:
    """From now on SIGTERM asks this worker, instead of ending it; its main thread calls this."""
    signal.signal(signal.SIGTERM, _on_sigterm)


def regroup_error() -> RegroupError:
    """Why this worker makes place; another worker of the group was asked if it was not."""
    reason = _reasons[0] if _reasons else RegroupError("a worker was asked to leave its machine")
    _reasons.clear()
    asked.clear()
    return reason


def _on_sigterm(_number: int, _frame: FrameType | None) -> None:
    ask(RegroupError("a worker received SIGTERM", field="cluster.max_preemptions"))
