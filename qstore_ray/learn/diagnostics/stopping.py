"""Early stopping: when a run has waited long enough for a better metric.

    state = stopping.init()
    verdict, state = stopping.update(state, epoch, monitored(record, stopping.monitor))

It is a pure state machine, like a schedule: the state is a dictionary of numbers and goes into the
checkpoint, so a resumed run stops where an uninterrupted one does. The best parameters themselves
are kept by the caller, as a copy made when `verdict.improved` says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple, Self, TypeAlias

from pydantic import Field, model_validator

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError, unknown_name_error
from qstore_ray.learn.scoring import nearest_metric, table_direction

StoppingState: TypeAlias = dict[str, float]

Mode: TypeAlias = Literal["min", "max", "auto"]
"""Whether smaller or larger is better; `auto` derives it from the metric: see `direction`."""

_SMALLER_IS_BETTER = ("loss", "error", "mse", "mae", "rmse", "norm", "seconds")
_LARGER_IS_BETTER = ("accuracy", "auc", "f1", "precision", "recall", "score", "r2", "fidelity")
_COUNTERS = ("epoch", "step", "samples", "learning_rate")


class Verdict(NamedTuple):
    """What an epoch's metric means.

    Attributes:
        improved: it is the best so far: now is the time to copy the parameters.
        stop: the run should end. Both are true where the metric still improves but has not reached
            the baseline in time.
        reason: a sentence for the user.
    """

    improved: bool
    stop: bool
    reason: str

    @property
    def kind(self) -> Literal["improved", "waiting", "stop"]:
        """One word for it."""
        return "stop" if self.stop else "improved" if self.improved else "waiting"


class StoppingRule(Config):
    """Stop after `patience` epochs in a row without a better metric, or at once if it is NaN.

    Args:
        monitor: the metric, such as val_loss or val_accuracy.
        patience: epochs in a row without an improvement after which the run stops.
        min_delta: by how much a better metric has to be better.
        relative: `min_delta` is a share of the best value's size.
        mode: min, where smaller is better, max, or auto: by the metric's name.
        baseline: a value that has to be surpassed; epochs count as waiting until it is.
        restore_best: whether the run ends with the parameters of the best epoch, not the last.
    """

    monitor: str = "val_loss"
    patience: int = Field(default=10, ge=1)
    min_delta: float = Field(default=0.0, ge=0.0)
    relative: bool = False
    mode: Mode = "auto"
    baseline: float | None = None
    restore_best: bool = True

    @model_validator(mode="after")
    def _direction_is_known(self) -> Self:
        larger_is_better(self.monitor, self.mode)
        return self

    def init(self) -> StoppingState:
        """Nothing seen: `known` is 0 until `best` has a value."""
        return {"best": 0.0, "best_epoch": -1.0, "known": 0.0, "waited": 0.0}

    def update(
        self, state: StoppingState, epoch: int, value: float
    ) -> tuple[Verdict, StoppingState]:
        """What the metric of that epoch means, and the state after it."""
        if not math.isfinite(value):
            reason = f"{self.monitor} is {value} in epoch {epoch}: the run has diverged"
            return Verdict(improved=False, stop=True, reason=reason), state
        improved = not state["known"] or self._better(value, state["best"])
        new = dict(state)
        if improved:
            new |= {"best": value, "best_epoch": float(epoch), "known": 1.0}
        reached = self.baseline is None or self._better(value, self.baseline)
        new["waited"] = 0.0 if improved and reached else state["waited"] + 1.0
        stop = new["waited"] >= self.patience
        return Verdict(improved, stop, self._reason(new, improved, reached, stop)), new

    def _better(self, value: float, than: float) -> bool:
        gain = value - than if larger_is_better(self.monitor, self.mode) else than - value
        return gain > self.min_delta * (abs(than) if self.relative else 1.0)

    def _reason(self, state: StoppingState, improved: bool, reached: bool, stop: bool) -> str:
        best = f"{self.monitor} {state['best']:.6g} in epoch {state['best_epoch']:.0f}"
        if improved and reached:
            return f"best so far: {best}"
        waited = f"{state['waited']:.0f} of {self.patience} epochs"
        lacking = "without a better one"
        if not reached:
            lacking = f"without {self.monitor} better than the baseline {self.baseline:.6g}"
        end = "; stopping" if stop else ""
        return f"{waited} {lacking}; best: {best}{end}"


def monitored(record: Mapping[str, object], name: str) -> float:
    """The metric of that name in an epoch's record.

    Raises:
        UnknownNameError: the record has no such metric; the fix lists its metrics.
    """
    metrics = {
        key: float(value)
        for key, value in record.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and key not in _COUNTERS
    }
    if name in metrics:
        return metrics[name]
    error = unknown_name_error("metric", name, metrics, field="monitor")
    if name.startswith("val_") and not any(key.startswith("val_") for key in metrics):
        rows = (
            "There are no validation rows: set dataset.split.val, or early_stopping of an estimator"
        )
        error.fix = f"{rows}. {error.fix}"
    raise error


def direction(metric: str) -> bool | None:
    """Whether larger is better: by the table of metrics, else by the words of the name, if any."""
    words = metric.lower().split("_")
    known = table_direction(metric)
    if known is None and any(word in _SMALLER_IS_BETTER for word in words):
        return False
    return True if known is None and any(word in _LARGER_IS_BETTER for word in words) else known


def larger_is_better(metric: str, mode: Mode) -> bool:
    """The direction of a metric, `auto` resolved by the words of its name.

    Raises:
        ConfigError: `auto` with a metric of unknown direction.
    """
    if mode != "auto":
        return mode == "max"
    found = direction(metric)
    if found is not None:
        return found
    near = nearest_metric(metric)
    typed = f"Did you mean {near!r}? If not, write" if near else "Write"
    raise ConfigError(
        f"the name of the metric {metric!r} does not imply whether smaller is better",
        field="mode",
        value=mode,
        fix=f'{typed} mode = "min" or mode = "max".',
    )
