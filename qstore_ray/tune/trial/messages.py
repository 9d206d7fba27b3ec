"""The messages of a trial, from its process through Ray Tune to the study.

    EpochReport     after an epoch, or a part: the trial waits until the next message is asked for
    FinalReport     the trial is complete
    FailureReport   its training raised an error
    BudgetReport    its training reached a limit of the budget

Ray Tune adds keys of its own, and flattens tables. `message_of` reads what it delivers.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict, final

from qstore_ray.tune.schedulers.base import Result
from qstore_ray.tune.space.fields import Values
from qstore_ray.types import Table


class TrialConfig(TypedDict):
    """What Ray Tune starts a trial with."""

    values: Values


class Costs(TypedDict):
    """What a trial has used so far."""

    circuit_evaluations: int
    seconds: float


class Spread(TypedDict):
    """The first objective over the n parts of a trial; None if it is a sum, not a mean.

    Keys:
        std: standard deviation. low, high: the 95 % interval of the mean.
    """

    std: float | None
    low: float | None
    high: float | None
    n: int


class _Score(Costs):
    epoch: int
    score: float
    progress: list[tuple[int, float]]


@final
class EpochReport(_Score):
    """How far a trial is.

    Keys:
        epoch: epochs that are done; of a trial of several parts, the parts.
        score: the first objective after the last of them, of which more is better.
        progress: the epochs since the last message, from 0, each with the first objective.
    """

    done: Literal[False]


@final
class FinalReport(_Score):
    """The result of a trial. `progress` is what no earlier message reported.

    Keys:
        values: one number for each objective. metrics: all numbers of the trial.
        spread: None for a trial of one part.
    """

    done: Literal[True]
    values: list[float]
    metrics: dict[str, float]
    spread: Spread | None


@final
class FailureReport(TypedDict):
    """The error of a trial, in one line."""

    done: Literal[True]
    failure: str


@final
class BudgetReport(TypedDict):
    """A trial that stopped at a checkpoint, because the next paid job would pass a limit.

    Keys:
        limit: its field. reason: in one line.
    """

    done: Literal[True]
    limit: str
    reason: str


Message: TypeAlias = EpochReport | FinalReport | FailureReport | BudgetReport


def message_of(result: Result) -> Message | None:
    """The message in a result of Ray Tune; None if a trial ended before its first message.

    A report after which a scheduler ended the trial is an `EpochReport`, although Ray Tune sets its
    `done`.
    """
    if "failure" in result:
        return {"done": True, "failure": result["failure"]}
    if "limit" in result:
        return {"done": True, "limit": result["limit"], "reason": result["reason"]}
    if "score" not in result:
        return None
    score: _Score = {
        "epoch": result["epoch"],
        "score": result["score"],
        "progress": result["progress"],
        "circuit_evaluations": result["circuit_evaluations"],
        "seconds": result["seconds"],
    }
    if "values" not in result:
        return {**score, "done": False}
    return {
        **score,
        "done": True,
        "values": result["values"],
        "metrics": _table(result, "metrics"),
        "spread": _spread(_table(result, "spread")),
    }


def _spread(table: Table) -> Spread | None:
    if not table:
        return None
    return {"std": table["std"], "low": table["low"], "high": table["high"], "n": table["n"]}


def _table(flat: Result, name: str) -> Table:
    """A table that Ray Tune has flattened into keys such as `metrics/val_loss`."""
    prefix = f"{name}/"
    return {key.removeprefix(prefix): v for key, v in flat.items() if key.startswith(prefix)}
