"""Which quantum models to train on some data, in which order, and which classical one to beat.

    recommend(dataset)                      ranked candidates, or the portfolio if it abstains
    recommend((x, y), budget=60.0)          what fits into 60 seconds of this machine

The ranking is by predicted skill (`skill_model.py`). It abstains, and gives the portfolio in its
order, which is good on average, if

    outside      the data are farther from every data set measured than 95 % of those are from the
                 next family: no score is predicted then
    portfolio    the best predicted candidate gains less over the first of the portfolio than half
                 of what such predictions are off
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from qstore_ray.advise.candidates import Candidate
from qstore_ray.advise.evidence import Evidence, Neighbour, evidence
from qstore_ray.advise.meta_features import MetaFeatures, unskilled
from qstore_ray.advise.rows import as_dataset, described_rows
from qstore_ray.advise.seconds_model import training_seconds
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qstore_ray.types import FloatArray, Task

_LEAST_GAIN = 0.5
"""In median errors of a predicted gain: on data left out, ranking pays from half an error on."""

Basis = Literal["ranked", "portfolio", "outside"]
"""What an order of candidates rests on."""


@dataclass(frozen=True)
class RankedCandidate:
    """A candidate to train.

    Attributes:
        score: predicted balanced accuracy on held-out rows; None outside of the table.
        low, high: its 90 % interval. seconds: of one training on these rows, on this machine.
        why: a sentence.
    """

    candidate: Candidate
    score: float | None
    low: float | None
    high: float | None
    seconds: float
    why: str


@dataclass(frozen=True)
class Recommendation:
    """What to train on some data.

    Attributes:
        basis: what the order rests on. reason: the same as a sentence.
        ranked: candidates in the order in which to try them.
        rival: the classical model to beat first. rival_score: its predicted balanced accuracy.
        nearest: data sets of the table that are most alike.
        facts: what the data look like, as sentences. meta: the numbers behind them.
        left_out: candidates that do not fit into the budget.
    """

    basis: Basis
    reason: str
    ranked: tuple[RankedCandidate, ...]
    rival: str
    rival_score: float | None
    nearest: tuple[Neighbour, ...]
    facts: tuple[str, ...]
    meta: MetaFeatures
    left_out: int = 0


def recommend(
    dataset: Dataset | tuple[Any, Any],
    task: Task = "classification",
    budget: float | None = None,
    *,
    count: int = 5,
) -> Recommendation:
    """What to train on `dataset`, best first. Nothing is trained for it.

    Args:
        dataset: a dataset, whose train split is looked at before its preparation, or x and y.
        task: the task of the data; the table has classifications only.
        budget: seconds of this machine that all trainings together may take; None for any.
        count: how many candidates.

    Raises:
        UsageError: a task that the table does not have.
        ConfigError: a budget that no candidate fits into, or a wrong `count`.
        DataError: one class, fewer than three rows of a class, NaN, or no table of numbers.

    Examples:
        x, y = np.random.default_rng(0).random((60, 4)), np.arange(60) % 2
        print(recommend((x, y)).ranked[0].candidate.name)
    """
    _check_task(dataset.config.task if isinstance(dataset, Dataset) else task)
    if not _is_number(count) or count < 1 or count != int(count):
        raise ConfigError("must be 1 or more", field="count", value=count, fix="Take 5.")
    if budget is not None and not (_is_number(budget) and budget > 0.0):
        raise ConfigError(
            "seconds above 0 are needed", field="budget", value=budget, fix="Take 60.0, or None."
        )
    meta = described_rows(as_dataset(dataset))
    return recommend_for(meta, evidence(), budget=budget, count=int(count))


def recommend_for(
    meta: MetaFeatures, known: Evidence, *, budget: float | None = None, count: int = 5
) -> Recommendation:
    """`recommend`, for data that are described already, from any table's evidence.

    Raises:
        ConfigError: a budget that no candidate fits into.
    """
    vector, classes = meta.vector(), int(meta.values["classes"])
    skills = known.model.predict(vector)
    quantum = len(known.table.candidates)
    basis, order = choose(vector, skills[:quantum], known)
    timed = order[:count] if budget is None else order
    seconds = training_seconds(
        known.table, [known.table.candidates[c] for c in timed], meta.rows, meta.columns, classes
    )
    chosen = _within(timed, seconds, budget, count)
    nearest = known.nearest(vector)
    outside = basis == "outside"
    ranked = tuple(
        RankedCandidate(
            candidate=known.table.candidates[c],
            **_scores(skills[c], classes, known, outside=outside),
            seconds=float(seconds[order.index(c)]),
            why=_why(c, nearest, known, outside=outside),
        )
        for c in chosen
    )
    rival = int(skills[quantum:].argmax())
    score = _score(skills[quantum + rival], classes)
    return Recommendation(
        basis=basis,
        reason=_reason(basis, nearest, known),
        ranked=ranked,
        rival=known.table.rivals[rival],
        rival_score=None if outside else score,
        nearest=nearest,
        facts=described(meta),
        meta=meta,
        left_out=0 if budget is None else sum(s > budget for s in seconds),
    )


def choose(vector: FloatArray, skills: FloatArray, known: Evidence) -> tuple[Basis, list[int]]:
    """The order of all candidates for data with meta-features (M,) and predicted skills (C,)."""
    by_skill = np.argsort(-skills, kind="stable").tolist()
    rest = [c for c in by_skill if c not in known.portfolio]
    if known.model.distances(vector).min() > known.farthest:
        return "outside", [*known.portfolio, *rest]
    if skills.max() - skills[known.portfolio[0]] < _LEAST_GAIN * known.gap_error:
        return "portfolio", [*known.portfolio, *rest]
    return "ranked", by_skill


def described(meta: MetaFeatures) -> tuple[str, ...]:
    """What the numbers say of the data, as sentences."""
    v = meta.values
    classes = int(v["classes"])
    linear, neighbour = (
        unskilled(v[f"{name}_skill"], classes) for name in ("linear", "one_neighbour")
    )
    facts = [
        f"{meta.rows:,} rows, {meta.columns:,} columns, {classes} classes",
        f"a linear model reaches {linear:.2f} balanced accuracy, one neighbour {neighbour:.2f}",
    ]
    if v["one_neighbour_skill"] > v["linear_skill"] + 0.1:
        facts.append("the classes are apart, but not by a plane")
    if max(v[name] for name in v if name.endswith("_skill")) < 0.15:
        facts.append("no simple model does much better than chance")
    if v["smallest_class"] < 0.5:
        facts.append("the classes are uneven, so scores are balanced accuracy")
    share = v["components_90"]
    if share < 0.5:
        facts.append(f"{share:.0%} of the principal components hold 90 % of the variance")
    return tuple(facts)


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _check_task(task: str) -> None:
    if task != "classification":
        raise UsageError(
            "the table has classifications only, so there is no evidence on this task",
            field="task",
            value=task,
            fix="Search over settings instead, see docs/tuning.md.",
        )


def _within(
    order: Sequence[int], seconds: FloatArray, budget: float | None, count: int
) -> list[int]:
    """The first candidates that fit into the budget together."""
    left = np.inf if budget is None else budget
    chosen: list[int] = []
    for c, needed in zip(order, seconds, strict=True):
        if len(chosen) < count and needed <= left:
            chosen.append(c)
            left -= needed
    if not chosen:
        raise ConfigError(
            f"the fastest candidate takes {seconds.min():.2g} s on these rows",
            field="budget",
            value=budget,
            fix=f"Give {1.2 * seconds.min():.2g} s or more, or fewer rows.",
        )
    return chosen


def _score(found: float, classes: int) -> float:
    return float(np.clip(unskilled(found, classes), 0.0, 1.0))


def _scores(
    found: float, classes: int, known: Evidence, *, outside: bool
) -> dict[str, float | None]:
    if outside:
        return {"score": None, "low": None, "high": None}
    ends = {"score": found, "low": found + known.low, "high": found + known.high}
    return {name: _score(value, classes) for name, value in ends.items()}


def _why(c: int, nearest: Sequence[Neighbour], known: Evidence, *, outside: bool) -> str:
    lost = known.table.scores.max(axis=1) - known.table.scores[:, c]
    if outside:
        return f"on average {lost.mean():.3f} below the best of {known.table.scores.shape[1]}"
    places = [known.table.data_sets.index(each.name) for each in nearest]
    parts = ", ".join(f"{known.table.data_sets[p]} {lost[p]:.3f}" for p in places)
    return f"below the best on the nearest data sets: {parts}"


def _reason(basis: Basis, nearest: Sequence[Neighbour], known: Evidence) -> str:
    first = nearest[0]
    if basis == "outside":
        return (
            f"not enough evidence: the nearest data set measured, {first.name}, is "
            f"{first.distance:.1f} away, and the table reaches {known.farthest:.1f}. "
            "Try the portfolio in this order"
        )
    if basis == "portfolio":
        return (
            "not enough evidence to prefer any candidate to the portfolio, which is good on "
            "average. Try it in this order"
        )
    return f"by the skill predicted from {len(known.table.data_sets)} data sets"
