"""Runs side by side, as a table: the settings that differ, and what was scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from qstore_ray.config import read_toml
from qstore_ray.errors import UsageError
from qstore_ray.learn.scoring import table_direction
from qstore_ray.track.jsonl import read_records
from qstore_ray.track.logs.text import redact
from qstore_ray.track.reading.compare import best_values, differing_settings
from qstore_ray.track.reading.metrics import MetricsTracker, better_mode
from qstore_ray.train.run.summary import RunSummary, summarize

_BY_EPOCH: Final = ("val_accuracy", "val_loss", "train_accuracy", "train_loss")
_SCORES: Final = (
    "accuracy", "balanced_accuracy", "f1_macro", "roc_auc", "average_precision", "log_loss",
    "hamming", "r2", "mae", "rmse", "loss",
)  # fmt: skip
_NOT_SETTINGS: Final = ("name", "storage")


@dataclass(frozen=True)
class RunsSideBySide:
    """Several runs, in the order in which they were named.

    Attributes:
        settings: dotted names of the settings that differ → the value of each run, None for one
            that it does not have. Data and versions that differ are settings, too.
        metrics: names → the value of each run. `best …` is the best of all epochs; the others were
            scored at the end.
        best: the metrics of which two runs or more have different values → the best of these.
    """

    summaries: Sequence[RunSummary]
    settings: Mapping[str, Sequence[Any]]
    metrics: Mapping[str, Sequence[float | None]]
    best: Mapping[str, float]


def side_by_side(folders: Sequence[Path]) -> RunsSideBySide:
    """Compare the runs in these folders. Reads only.

    Raises:
        UsageError: fewer than two folders, or the same one twice.
        ConfigError: the configuration of a run cannot be read.
        RunError: the metrics of a run cannot be read.
    """
    _check(folders)
    summaries = [summarize(folder) for folder in folders]
    trackers = [_tracker(summary) for summary in summaries]
    settings = {
        key: [tracker.config.get(key) for tracker in trackers]
        for key in differing_settings(trackers)
    }
    more = sorted({name for each in trackers for name in each.names if _is_scored(name)})
    candidates = dict.fromkeys([*_BY_EPOCH, *more])
    names = [name for name in candidates if any(name in each.names for each in trackers)]
    by_run = [
        _metrics(best_values(tracker, names), summary)
        for tracker, summary in zip(trackers, summaries, strict=True)
    ]
    metrics = {name: [values[name] for values in by_run] for name in by_run[0]}
    return RunsSideBySide(summaries, settings, metrics, _best(metrics))


def _is_scored(name: str) -> bool:
    """Whether a run was asked to record this metric of val."""
    return name.startswith("val_") and table_direction(name) is not None


def _check(folders: Sequence[Path]) -> None:
    if len(folders) < 2:
        raise UsageError(
            "one run has nothing to be compared with",
            field="RUN",
            value=folders[0].name if folders else None,
            fix="Name at least two.",
        )
    for folder in folders:
        if folders.count(folder) > 1:
            raise UsageError(
                "the same run is named twice",
                field="RUN",
                value=str(folder),
                fix="Name different runs.",
            )


def _tracker(summary: RunSummary) -> MetricsTracker:
    """The metrics of a run, with everything it was made of as its configuration."""
    config = redact(read_toml(summary.path / "config.toml"))
    made = {key: value for key, value in config.items() if key not in _NOT_SETTINGS}
    made["versions"] = dict(summary.versions)
    made["fingerprint"] = {"data": summary.fingerprints.get("data", "unknown")[:16]}
    records = read_records(summary.path / "metrics.jsonl")
    return MetricsTracker(records, name=summary.name, config=made)


def _metrics(values: Mapping[str, float | None], summary: RunSummary) -> dict[str, float | None]:
    """The best of every metric by epoch, then what was scored at the end."""
    named = {f"best {name}": value for name, value in values.items()}
    at_the_end = [f"{split}_{name}" for split in ("test", "baseline") for name in _SCORES]
    named |= {name: summary.metrics.get(name) for name in (*at_the_end, "train_seconds")}
    if summary.seconds is not None:
        named["train_seconds"] = summary.seconds
    return named


def _best(metrics: Mapping[str, Sequence[float | None]]) -> dict[str, float]:
    found = {}
    for name, every in metrics.items():
        values = [value for value in every if value is not None]
        if len(set(values)) > 1 and not name.startswith("baseline"):
            found[name] = (min if better_mode(name) == "min" else max)(values)
    return found
