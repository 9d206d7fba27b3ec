"""The trainings that one trial is made of: folds of a cross-validation, times seeds.

One training says little about a configuration: another seed, another cut of the rows, and the
number is another. So a trial may be several trainings, its parts, and what counts is their mean:

    fold-0-seed-7   fold-1-seed-7   fold-2-seed-7       folds = 3, seeds = 2, trainer.seed = 7
    fold-0-seed-8   fold-1-seed-8   fold-2-seed-8

All parts have the same test rows, which none of them is judged by; with folds, every other row is
in val of exactly one fold. Without folds all parts have the job's own split.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from qstore_ray.data.config import SplitConfig
from qstore_ray.errors import ConfigError, DivergenceError, RunError
from qstore_ray.track.reading.statistics import mean_interval
from qstore_ray.train.config import TrainingJob
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.metrics import COSTS, is_optional

Job = TypeVar("Job", bound=TrainingJob)


@dataclass(frozen=True)
class Part:
    """One training of a trial.

    Attributes:
        fold: number of the fold that is val, from 0; None without cross-validation.
        seed: the training's `trainer.seed`.
        name: of its run folder within the trial's; empty where the trial has no other part.
    """

    fold: int | None
    seed: int
    name: str


class Combination(NamedTuple):
    """One metric over the n parts of a trial.

    Attributes:
        value: the mean; of what a training costs, the sum.
        n: parts.
        std: standard deviation over the parts (with n − 1); None for one part, or a sum.
        low, high: Student's 95 % interval of the mean; None likewise. Parts share rows and so are
            not independent, least of all folds: the interval is a guide, too narrow if anything
            (Bengio and Grandvalet, JMLR 5, 2004).
    """

    value: float
    n: int
    std: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Combined:
    """The metrics of a trial's parts as one table of metrics."""

    metrics: Mapping[str, Combination]

    @property
    def values(self) -> dict[str, float]:
        """Name to mean, or to sum for what a training costs."""
        return {name: found.value for name, found in self.metrics.items()}


def parts_of(config: TuneConfig, job: TrainingJob) -> tuple[Part, ...]:
    """The parts of a trial that trains `job`, fold by fold, and within a fold seed by seed."""
    folds = (None,) if config.folds is None else tuple(range(config.folds))
    first = job.trainer.seed
    return tuple(
        Part(fold, seed, _name(fold, seed) if config.parts > 1 else "")
        for fold in folds
        for seed in range(first, first + config.seeds)
    )


def part_job(job: Job, part: Part, folds: int | None) -> Job:
    """The job with the seed and the fold of `part`, and everything else as it was.

    With folds, `split.train` and `split.val` give way to them; the other fields stay.

    Raises:
        ConfigError: a split that cannot have folds.
    """
    trainer = job.trainer.model_copy(update={"seed": part.seed})
    if folds is None or part.fold is None:
        return job.model_copy(update={"trainer": trainer})
    split = _folded(job.dataset.split, folds, part.fold)
    dataset = job.dataset.model_copy(update={"split": split})
    return job.model_copy(update={"trainer": trainer, "dataset": dataset})


def check_parts(config: TuneConfig, job: TrainingJob) -> None:
    """Check that a search can train the parts it asks for, before anything starts.

    Errors that depend on the data are found when the dataset of the first part is loaded: a source
    that brings its own val has no folds, and too few rows cannot be cut.

    Raises:
        ConfigError: folds or a seed that are given twice, or searched; a split without folds.
    """
    split = job.dataset.split
    _check_not_searched(
        config,
        "dataset.split.merge_val",
        "a trial without val cannot be compared with one that has it",
        "Take it out of the space; tune.refit joins val to train after the search.",
    )
    if config.folds is not None:
        if split.folds is not None:
            raise ConfigError(
                "tune.folds sets them in every trial",
                field="dataset.split.folds",
                value=split.folds,
                fix="Leave split.folds and split.fold out, and give the fractions instead; or "
                "leave tune.folds out to search on this one fold.",
            )
        if split.merge_val:
            raise ConfigError(
                "folds are to be validated on, this joins them to train",
                field="dataset.split.merge_val",
                value=True,
                fix="Leave it out; tune.refit joins val to train after the search.",
            )
        _folded(split, config.folds, 0)
        _check_not_searched(
            config,
            "dataset.split",
            f"tune.folds = {config.folds} sets the split",
            "Take it out of the space, or leave tune.folds out.",
        )
    if config.refit and split.merge_val:
        raise ConfigError(
            "val is in train already, a refit would have the same rows",
            field="dataset.split.merge_val",
            value=True,
            fix="Leave it out: a search needs val, and tune.refit joins it to train afterwards.",
        )
    if config.seeds > 1:
        _check_not_searched(
            config,
            "trainer.seed",
            f"tune.seeds = {config.seeds} sets the seeds",
            "Take it out of the space, or leave tune.seeds out.",
        )


def combine(parts: Sequence[Part], results: Sequence[Mapping[str, float]]) -> Combined:
    """Mean, spread and interval of every metric over the parts; of costs the sum.

    A metric of val that the rows of some fold do not define, as where they lack a class, has no
    mean over the folds and is left out.

    Args:
        parts: n parts, at least one.
        results: the metrics of each, in the same order; all have the same other metrics.

    Raises:
        DivergenceError: a metric that is NaN or infinite; the error names the part.
        RunError: a part that lacks a metric which another one has, or has no result.
    """
    if not parts or len(parts) != len(results):
        raise RunError(
            f"{len(results)} results of {len(parts)} parts",
            field="results",
            value=len(results),
            fix="Give the metrics of every part, in the order of parts_of.",
        )
    names = [
        name
        for name in dict.fromkeys(name for result in results for name in result)
        if not is_optional(name) or all(name in result for result in results)
    ]
    return Combined({name: _combined(name, parts, results) for name in names})


def _combined(
    name: str, parts: Sequence[Part], results: Sequence[Mapping[str, float]]
) -> Combination:
    values = [_of_part(name, part, result) for part, result in zip(parts, results, strict=True)]
    n = len(values)
    if name in COSTS:
        return Combination(math.fsum(values), n)
    if n == 1:
        return Combination(values[0], n)
    found = mean_interval(values)
    return Combination(found.value, n, float(np.std(values, ddof=1)), found.low, found.high)


def _of_part(name: str, part: Part, result: Mapping[str, float]) -> float:
    field = f"{part.name}.{name}".removeprefix(".")
    if name not in result:
        raise RunError(
            f"the part {part.name} has no such metric, others have",
            field=field,
            value=sorted(result),
            fix="Give all parts the same callbacks and splits; its run folder says what it did.",
        )
    value = float(result[name])
    if not math.isfinite(value):
        raise DivergenceError(
            f"the metric is {value} in {f'the part {part.name}' if part.name else 'the training'}",
            field=field,
            value=value,
            fix="Search smaller learning rates, or set trainer.clip_norm.",
        )
    return value


def _name(fold: int | None, seed: int) -> str:
    return f"seed-{seed}" if fold is None else f"fold-{fold}-seed-{seed}"


def _folded(split: SplitConfig, folds: int, fold: int) -> SplitConfig:
    try:
        return SplitConfig(
            folds=folds, fold=fold, test=split.test, method=split.method, ranks=split.ranks
        )
    except ConfigError as exc:
        fix = f"{exc.fix} Or leave tune.folds out.".strip()
        field = f"dataset.split.{exc.field}"
        raise ConfigError(exc.message, field=field, value=exc.value, fix=fix) from exc


def _check_not_searched(config: TuneConfig, field: str, why: str, fix: str) -> None:
    for name in config.space.parameters:
        if name == field or name.startswith(f"{field}."):
            raise ConfigError(
                f"this field is searched, but {why}",
                field=f"tune.space.{name}",
                value=config.space.parameters[name].table(),
                fix=fix,
            )
