"""The records of metrics.jsonl that have keys of their own; those of an `epoch` are its metrics."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class StartRecord(TypedDict):
    """An attempt begins. A study's own record has the `generation` alone."""

    event: Literal["start"]
    generation: int
    epochs: NotRequired[int]
    steps_per_epoch: NotRequired[int]
    rows: NotRequired[int]
    workers: NotRequired[int]
    clients: NotRequired[int]
    parameters: NotRequired[int]
    resumed_from_epoch: NotRequired[int]
    resumed_from_step: NotRequired[int]


class StepRecord(TypedDict):
    """A training step, with the number of steps done after it and its mean loss."""

    event: Literal["step"]
    epoch: int
    step: int
    loss: float


class EndRecord(TypedDict):
    """An attempt ended; `reason` if it did not run to its last epoch."""

    event: Literal["end"]
    status: str
    reason: NotRequired[str]
    seconds: NotRequired[float]
