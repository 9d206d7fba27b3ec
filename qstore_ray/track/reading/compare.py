"""Runs side by side: where their configurations differ, how well they did, and by how much.

Runs with the same settings but for the seed are a group. Two groups are compared seed by seed: what
a seed does to both of them alike falls out of the difference, whose interval is therefore narrower
than that of two means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeAlias

from qstore_ray.errors import DataError
from qstore_ray.track.reading.metrics import SEED, MetricsTracker, Mode
from qstore_ray.track.reading.statistics import Interval, mean_interval
from qstore_ray.types import Table

Settings: TypeAlias = tuple[tuple[str, str], ...]
"""The settings of a group that others have otherwise: names and values as JSON, sorted."""


@dataclass(frozen=True)
class Difference:
    """`second − first` of a metric's best values, over the seeds that both groups have."""

    metric: str
    first: Settings
    second: Settings
    seeds: tuple[int, ...]
    interval: Interval

    @property
    def significant(self) -> bool:
        """Whether the interval excludes 0. Among many comparisons some do so by chance."""
        return not self.interval.low <= 0.0 <= self.interval.high


@dataclass(frozen=True)
class Comparison:
    """A table with a row for each run.

    Attributes:
        columns: `run`, the settings that differ, then the metrics.
        rows: values by column; a setting or metric that a run does not have is None.
        groups: the best values' intervals by settings and metric, of groups of 2 runs and more.
        differences: between groups that share at least 2 seeds.
    """

    columns: tuple[str, ...]
    rows: tuple[Table, ...]
    groups: Mapping[tuple[Settings, str], Interval]
    differences: tuple[Difference, ...]

    def to_text(self) -> str:
        """The table with aligned columns."""
        cells = [self.columns, *(tuple(map(_cell, row.values())) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)
        return "\n".join(lines)


def compare(
    runs: Sequence[MetricsTracker],
    metrics: Sequence[str],
    modes: Mapping[str, Mode] | None = None,
    confidence: float = 0.95,
) -> Comparison:
    """Compare runs by the best value of each metric. Reads only; any process may call it.

    Args:
        runs: in the order of the rows.
        metrics: names of the compared metrics.
        modes: `min` or `max` for metrics whose name implies no direction.

    Returns:
        A table with a row for each run, and the differences of groups of runs with equal settings.

    Raises:
        DataError: no runs, or two runs of one group with the same seed.
        ConfigError: no mode for a metric whose name implies no direction.

    Examples:
        records = [{"event": "epoch", "epoch": 0, "val_loss": 0.4}]
        config = {"trainer": {"learning_rate": 0.1}}
        first = MetricsTracker(records, name="first")
        second = MetricsTracker(records, name="second", config=config)
        print(compare([first, second], ["val_loss"]).to_text())
    """
    if not runs:
        raise DataError("no runs to compare", field="runs", fix="Give at least one.")
    differing = differing_settings(runs)
    best = [best_values(run, metrics, modes) for run in runs]
    rows = tuple(
        {"run": run.name, **{key: run.config.get(key) for key in differing}, **values}
        for run, values in zip(runs, best, strict=True)
    )
    grouped = _grouped(runs, best, [key for key in differing if key != SEED])
    intervals = {
        (settings, metric): mean_interval(values, confidence)
        for settings, by_seed in grouped.items()
        for metric in metrics
        if len(values := _values(by_seed, metric)) > 1
    }
    differences = [
        difference
        for (first, a), (second, b) in combinations(grouped.items(), 2)
        for metric in metrics
        if (difference := _difference(metric, first, a, second, b, confidence)) is not None
    ]
    return Comparison(("run", *differing, *metrics), rows, intervals, tuple(differences))


_BySeed: TypeAlias = dict[Any, dict[str, float | None]]


def differing_settings(runs: Sequence[MetricsTracker]) -> list[str]:
    """The settings that not all of these runs have alike, sorted."""
    names = sorted({name for run in runs for name in run.config})
    return [name for name in names if len({_key(run.config.get(name)) for run in runs}) > 1]


def best_values(
    run: MetricsTracker, metrics: Sequence[str], modes: Mapping[str, Mode] | None = None
) -> dict[str, float | None]:
    """The best value of each metric over the epochs; None for one that the run does not have.

    Raises:
        ConfigError: no mode for a metric whose name implies no direction.
    """
    return {
        name: run.best(name, (modes or {}).get(name)).value if name in run.names else None
        for name in metrics
    }


def _grouped(
    runs: Sequence[MetricsTracker], best: Sequence[dict[str, float | None]], names: Sequence[str]
) -> dict[Settings, _BySeed]:
    groups: dict[Settings, _BySeed] = {}
    for run, values in zip(runs, best, strict=True):
        settings = tuple((name, _key(run.config.get(name))) for name in names)
        by_seed, seed = groups.setdefault(settings, {}), run.config.get(SEED)
        if seed in by_seed:
            raise DataError(
                "two of these runs have the same settings and the same seed",
                field=SEED,
                value=seed,
                fix="Leave one of them out: it is no second measurement.",
            )
        by_seed[seed] = values
    return groups


def _values(by_seed: _BySeed, metric: str) -> list[float]:
    found = (values[metric] for values in by_seed.values())
    return [value for value in found if value is not None]


def _difference(
    metric: str, first: Settings, a: _BySeed, second: Settings, b: _BySeed, confidence: float
) -> Difference | None:
    """None where fewer than 2 seeds are shared: nothing can be said about the spread."""
    pairs = {
        seed: after - before
        for seed in a
        if seed is not None
        and seed in b
        and (before := a[seed][metric]) is not None
        and (after := b[seed][metric]) is not None
    }
    if len(pairs) < 2:
        return None
    seeds = tuple(sorted(pairs))
    interval = mean_interval([pairs[seed] for seed in seeds], confidence)
    return Difference(metric, first, second, seeds, interval)


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
