"""What a run exports as metrics of Ray while it trains; recorded by worker 0, wherever it runs.

Counters count the work of this attempt: a run that resumes adds to what earlier processes have
counted, and steps that are taken again after a lost worker count again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qstore_ray.telemetry import families
from qstore_ray.telemetry.metrics import is_exporting, record

if TYPE_CHECKING:
    from qstore_ray.backends.paid import RunIdentity
    from qstore_ray.track.base import Record
    from qstore_ray.train.run.state import TrainState

_COUNTERS = (families.STEPS, families.SAMPLES, families.CIRCUITS, families.SHOTS)


class ExportedMetrics:
    """The metrics of one attempt; does nothing in a process without Ray.

    Args:
        identity: its run and trial are the labels.
    """

    def __init__(self, identity: RunIdentity) -> None:
        trial = f"{identity.trial}/{identity.part}" if identity.part else identity.trial
        self._labels = {"run": identity.run, "trial": trial}
        self._counted: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
        self._validation_loss: float | None = None

    def start(self, state: TrainState, *, restarted: bool) -> None:
        """The attempt begins at `state`; `restarted` if workers before these were lost."""
        self._counted = (state.step, state.samples, *state.usage)
        if restarted:
            record(families.RESTARTS, 1, self._labels)

    def step(self, state: TrainState, loss: float) -> None:
        """Export the steps since the last call, the last of which had this loss."""
        if not is_exporting():
            return
        self._count((state.step, state.samples, *state.usage))
        record(families.TRAIN_LOSS, loss, self._labels)
        record(families.LEARNING_RATE, state.learning_rate, self._labels)
        if norm := state.sums[3] / max(1, state.step_in_epoch):
            record(families.GRADIENT_NORM, norm, self._labels)
        if self._validation_loss is not None:  # a gauge that is not set again is not served
            record(families.VALIDATION_LOSS, self._validation_loss, self._labels)

    def epoch(self, values: Record) -> None:
        """Export an epoch, by its record."""
        if not is_exporting():
            return
        keys = ("step", "samples", "circuit_evaluations", "shots")
        self._count([float(values.get(key, 0.0)) for key in keys])
        record(families.EPOCHS, 1, self._labels)
        for family, key in (
            (families.TRAIN_LOSS, "train_loss"),
            (families.VALIDATION_LOSS, "val_loss"),
            (families.GRADIENT_NORM, "gradient_norm"),
        ):
            if key in values:
                record(family, float(values[key]), self._labels)
        self._validation_loss = values.get("val_loss")

    def _count(self, totals: Sequence[float]) -> None:
        for family, total, before in zip(_COUNTERS, totals, self._counted, strict=True):
            record(family, total - before, self._labels)
        self._counted = tuple(map(max, totals, self._counted))
