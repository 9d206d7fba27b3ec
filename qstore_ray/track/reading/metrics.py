"""What a run's metrics say: curves, the best epoch, trends, overfitting, and runs compared.

    run = MetricsTracker.of("runs/digits")
    epochs, losses = run.history("val_loss")
    run.best("val_accuracy")            # Best(epoch=41, value=0.93)
    run.trend("val_loss", window=10)    # Trend(slope=…, standard_error=…, verdict='flat')
    compare([MetricsTracker.of(path) for path in paths], ["val_accuracy"])

Everything is read from `metrics.jsonl`, by any process, at any time; nothing is written. E stands
for the epochs that have the metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from qstore_ray.errors import ConfigError, DataError, unknown_name_error
from qstore_ray.learn.scoring import table_direction
from qstore_ray.track.base import Record, RunInfo
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.track.logs.text import is_number, leaves, metrics_of
from qstore_ray.track.reading.statistics import (
    Interval,
    Trend,
    exponential_mean,
    fitted_trend,
    mean_interval,
    sampled_interval,
    wilson_interval,
)

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray, IntArray, ReadOnlyTable

Mode: TypeAlias = Literal["min", "max"]
SEED = "trainer.seed"
"""The setting by which runs are paired."""

_SMALLER_IS_BETTER = ("loss", "error", "seconds")
_LARGER_IS_BETTER = ("accuracy", "score", "f1", "fidelity")


@dataclass(frozen=True)
class Best:
    """The epoch in which a metric was best, the first of several, and its value there."""

    epoch: int
    value: float


@dataclass(frozen=True)
class Gap:
    """How far validation stands from training: `val − train`, of a loss above 0 when overfitting.

    Attributes:
        best_epoch: the epoch of the best validation value.
        at_best: the gap there. at_end: in the last epoch.
        trend: of the gap over the epochs; None for fewer than 3.
    """

    best_epoch: int
    at_best: float
    at_end: float
    trend: Trend | None


class MetricsTracker:
    """The metrics of one run, as arrays and as conclusions.

    Args:
        records: records from `read_records`; if an epoch occurs twice, the later
            record counts.
        name: the run's name. config: its configuration, nested.

    Examples:
        losses = enumerate([0.7, 0.4, 0.5])
        records = [{"event": "epoch", "epoch": n, "val_loss": loss} for n, loss in losses]
        run = MetricsTracker(records, name="first")
        assert run.best("val_loss").epoch == 1
    """

    def __init__(
        self, records: Sequence[Record], *, name: str = "", config: ReadOnlyTable | None = None
    ) -> None:
        self.name = name
        self.config = dict(leaves(config or {}))
        self._epochs = epoch_records(records)

    @classmethod
    def of(cls, run_dir: str | Path) -> MetricsTracker:
        """Read the metrics of a run folder, also while the run is active.

        Raises:
            RunError: no run there, or a damaged file.
        """
        run, _ = RunInfo.load(Path(run_dir))
        return cls(read_records(run.metrics_path), name=run.name, config=run.config)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every metric that some epoch has, sorted."""
        return tuple(sorted({key for record in self._epochs for key, _ in metrics_of(record)}))

    def history(self, name: str) -> tuple[IntArray, FloatArray]:
        """Epochs and values of a metric, each (E,), ascending in the epoch.

        Raises:
            UnknownNameError: no epoch has it.
        """
        if name not in self.names:
            raise unknown_name_error("metric", name, self.names, field="name")
        having = [record for record in self._epochs if is_number(record.get(name))]
        epochs = np.array([int(record["epoch"]) for record in having], dtype=np.int64)
        return epochs, np.array([float(record[name]) for record in having])

    def smoothed(self, name: str, alpha: float = 0.6) -> FloatArray:
        """The values of a metric, smoothed with weight α as TensorBoard does (E,)."""
        return exponential_mean(self.history(name)[1], alpha)

    def best(self, name: str, mode: Mode | None = None) -> Best:
        """The best epoch of a metric; without `mode` the direction follows from the name.

        Raises:
            ConfigError: no mode for a name that implies no direction.
        """
        epochs, values = self.history(name)
        found = int((np.argmin if _mode(name, mode) == "min" else np.argmax)(values))
        return Best(int(epochs[found]), float(values[found]))

    def trend(self, name: str, window: int | None = None, confidence: float = 0.95) -> Trend:
        """The slope per epoch over the last `window` epochs that have the metric, or over all.

        Raises:
            DataError: fewer than 3 epochs.
        """
        epochs, values = self.history(name)
        start = 0 if window is None else max(0, len(epochs) - window)
        return fitted_trend(epochs[start:].astype(np.float64), values[start:], confidence)

    def overfitting_gap(self, metric: str = "loss", mode: Mode | None = None) -> Gap:
        """`val_<metric> − train_<metric>` at the best and at the last epoch, and its trend.

        Raises:
            UnknownNameError: one of the two was not recorded.
            DataError: no epoch has both.
        """
        val, train = (dict(zip(*self._pairs(f"{part}_{metric}"), strict=True)) for part in _PARTS)
        both = sorted(set(val) & set(train))
        if not both:
            raise DataError(
                "no epoch has both the training and the validation value",
                field="metric",
                value=metric,
                fix="Train with validation data.",
            )
        gaps = np.array([val[epoch] - train[epoch] for epoch in both])
        sign = 1.0 if _mode(metric, mode) == "min" else -1.0
        best = min(both, key=lambda epoch: sign * val[epoch])
        trend = fitted_trend(np.array(both, dtype=np.float64), gaps) if len(both) > 2 else None
        return Gap(best, val[best] - train[best], float(gaps[-1]), trend)

    def interval(self, name: str, epoch: int | None = None, confidence: float = 0.95) -> Interval:
        """The interval of a metric from shots, by its `<name>_variance`; None is the last epoch.

        Raises:
            UnknownNameError: the metric has no variance.
            DataError: that epoch does not have both.
        """
        values, variances = (dict(zip(*self._pairs(n), strict=True)) for n in _with_variance(name))
        at = max(values) if epoch is None else epoch
        if at not in values or at not in variances:
            raise DataError(
                "this epoch has not both the value and its variance",
                field="epoch",
                value=at,
                fix=f"Take one of the epochs up to {max(values)}.",
            )
        return sampled_interval(values[at], variances[at], confidence)

    def accuracy_interval(
        self, name: str, rows: int, epoch: int | None = None, confidence: float = 0.95
    ) -> Interval:
        """Wilson's interval of an accuracy over `rows` rows; None is the last epoch.

        Raises:
            DataError: the epoch has no such value, or the value is no share of so many rows.
        """
        values = dict(zip(*self._pairs(name), strict=True))
        at = max(values) if epoch is None else epoch
        hits = values.get(at, -1.0) * rows
        if abs(hits - round(hits)) > 1e-6 * max(1, rows):
            raise DataError(
                f"this is no number of right answers among {rows} rows",
                field=name,
                value=values.get(at),
                fix="Give the rows that the accuracy was counted on.",
            )
        return wilson_interval(round(hits), rows, confidence)

    def _pairs(self, name: str) -> tuple[list[int], list[float]]:
        epochs, values = self.history(name)
        return epochs.tolist(), values.tolist()


_PARTS = ("val", "train")


def interval_over_runs(
    runs: Sequence[MetricsTracker], name: str, mode: Mode | None = None, confidence: float = 0.95
) -> Interval:
    """Student's interval of the best value of a metric over runs that differ in the seed alone.

    Raises:
        DataError: fewer than 2 runs.
    """
    return mean_interval([run.best(name, mode).value for run in runs], confidence)


def better_mode(name: str) -> Mode | None:
    """The direction that the name of the metric implies; None if it implies none."""
    known = table_direction(name)
    if known is not None:
        return "max" if known else "min"
    if any(word in name for word in _SMALLER_IS_BETTER):
        return "min"
    return "max" if any(word in name for word in _LARGER_IS_BETTER) else None


def _mode(name: str, mode: Mode | None) -> Mode:
    found = mode or better_mode(name)
    if found not in {"min", "max"}:
        raise ConfigError(
            f"whether a small or a large {name} is better does not follow from its name",
            field="mode",
            value=mode,
            fix="Say mode='min' or mode='max'.",
        )
    assert found is not None
    return found


def _with_variance(name: str) -> tuple[str, str]:
    return name, f"{name}_variance"
