"""The error of a command that was stopped; imported before the signal handlers are installed."""

from __future__ import annotations

from qstore_ray.errors import InterruptedRunError


def stopped_error() -> InterruptedRunError:
    """The error of a command that was stopped outside of a run."""
    return InterruptedRunError(
        "stopped on request", fix="If a run had begun, the same command with --resume continues it."
    )
