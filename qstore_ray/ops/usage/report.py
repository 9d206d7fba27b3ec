"""What the runs of a folder have used: read from their folders, nothing is recorded for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from qstore_ray.backends.paid import PaidUsage
from qstore_ray.config import read_toml
from qstore_ray.errors import ConfigError, RunError
from qstore_ray.ops.watch.runs import runs_and_trials
from qstore_ray.track.base import RunInfo
from qstore_ray.train.run.find import study_folders
from qstore_ray.train.run.summary import RunSummary, summarize
from qstore_ray.types import Table

_FEATURES: Final = {
    "backend": ("trainer", "backend"),
    "optimizer": ("trainer", "optimizer"),
    "gradient": ("trainer", "gradient"),
    "schedule": ("trainer", "schedule"),
    "workers": ("trainer", "num_workers"),
    "encoding": ("model", "encoding"),
    "ansatz": ("model", "ansatz"),
    "qubits": ("model", "n_qubits"),
    "source": ("dataset", "source"),
}
"""Feature → its place in a job."""
_TRACKERS: Final = {"mlflow": False, "tensorboard": False, "wandb": "off", "alerts": None}
"""Tracker → what stands in a job that does not use it."""


@dataclass(frozen=True)
class UsedResources:
    """What the runs cost.

    Attributes:
        seconds: of trainings, each in its driver. epochs: completed.
        circuits, shots: evaluated for training and validation.
        paid: jobs on paid hardware; None without any.
    """

    seconds: float = 0.0
    epochs: int = 0
    circuits: int = 0
    shots: int = 0
    paid: PaidUsage | None = None


@dataclass(frozen=True)
class UsageReport:
    """What the runs of a folder have used.

    Attributes:
        runs: status → how many runs, with the trials of searches. studies: how many searches.
        cost: of all of them.
        features: feature → its value → how many runs have it.
        unread: runs whose configuration could not be read, and is not in `features`.
    """

    runs: Mapping[str, int]
    studies: int
    cost: UsedResources
    features: Mapping[str, Mapping[str, int]]
    unread: int = 0


@dataclass
class _UsageSums:
    runs: Counter[str] = field(default_factory=Counter)
    features: dict[str, Counter[str]] = field(default_factory=dict)
    seconds: float = 0.0
    epochs: int = 0
    circuits: int = 0
    shots: int = 0
    unread: int = 0


def usage_report(storage: str | Path = "runs", since: float = 0.0) -> UsageReport:
    """Add up what the runs in a folder have used.

    Seconds, circuits and shots of a run that was resumed are those of the whole run, as far as its
    records have them; of damaged runs, what can be read.

    Args:
        storage: the folder of the runs, or its address.
        since: seconds since 1970; runs that were started before are left out.

    Raises:
        UsageError: it is no folder, or may not be read.
        StorageError: the object store cannot be used.

    Examples:
        report = usage_report("runs")
        print(report.cost.seconds, dict(report.features))
    """
    sums, paid = _UsageSums(), PaidUsage()
    studies = study_folders(str(storage))
    for path in runs_and_trials(str(storage)):
        summary = summarize(path)
        if _started(summary) < since:
            continue
        _add(sums, path, summary)
        if path.parent not in studies:  # a trial's jobs are those of its study
            paid += PaidUsage.of_metrics(summary.metrics) or PaidUsage()
    for folder in studies:
        paid += study_usage(folder) or PaidUsage()
    cost = UsedResources(
        sums.seconds, sums.epochs, sums.circuits, sums.shots, paid if paid.jobs else None
    )
    features = {name: dict(counts.most_common()) for name, counts in sums.features.items()}
    return UsageReport(dict(sums.runs.most_common()), len(studies), cost, features, sums.unread)


def study_usage(folder: Path) -> PaidUsage | None:
    """What a study used, as its trackers have it; None if nothing, or if it never ended."""
    try:
        _, outcome = RunInfo.load(folder)
    except RunError:  # its first driver was killed before it could write it
        return None
    return PaidUsage.of_metrics(outcome.summary) if outcome else None


def _add(sums: _UsageSums, path: Path, summary: RunSummary) -> None:
    sums.runs[summary.status] += 1
    sums.seconds += summary.seconds or 0.0
    sums.epochs += summary.epochs
    sums.circuits += int(summary.metrics.get("circuit_evaluations", 0))
    sums.shots += int(summary.metrics.get("shots", 0))
    try:
        job = read_toml(path / "config.toml")
    except ConfigError:
        sums.unread += 1
        return
    for feature, value in _features(job):
        sums.features.setdefault(feature, Counter())[value] += 1


def _features(job: Table) -> Iterator[tuple[str, str]]:
    for feature, (part, name) in _FEATURES.items():
        value = _table(job, part).get(name)
        if value is not None:
            yield feature, str(value)
    callbacks = _table(job, "trainer").get("callbacks")
    for each in callbacks if isinstance(callbacks, list) else ():
        if isinstance(each, dict) and isinstance(each.get("name"), str):
            yield "callback", each["name"]
    track = _table(job, "track")
    for name, off in _TRACKERS.items():
        if name in track and track[name] != off:
            yield "tracker", name


def _table(job: Table, part: str) -> dict[str, Any]:
    value = job.get(part)
    return value if isinstance(value, dict) else {}


def _started(summary: RunSummary) -> float:
    """Seconds since 1970; 0 for a run that does not say when it began."""
    try:
        return datetime.fromisoformat(summary.started).timestamp()
    except ValueError:
        return 0.0
