"""What the table knows of data like these, and how far off it is: the base of every advice.

`Evidence.of(table)` is computed once; it holds the model of skills, its errors on families that
were left out, and how far data may be from those measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.advise.configuration import configuration_of, smoothed_skills
from qstore_ray.advise.meta_features import NAMES, skill
from qstore_ray.advise.portfolio import family_weights, greedy_portfolio
from qstore_ray.advise.skill_model import SkillModel, left_out_distances, left_out_skills
from qstore_ray.advise.table import AdviceTable, load_table

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

COVERAGE = 0.9
"""What an interval is meant to cover."""

_FARTHEST = 0.95
_PORTFOLIO = 8
_CLASSES = NAMES.index("classes")


class Neighbour(NamedTuple):
    """A data set of the table, and how far it is in standard deviations of meta-features."""

    name: str
    distance: float


@dataclass(frozen=True, eq=False)  # arrays have no truth value
class Evidence:
    """The fitted table.

    Attributes:
        model: skills of all candidates, smoothed, then of the classical models, (C + R) columns.
        skills: measured (D, C + R). left_out: predicted without the family, the same shape.
        low, high: the interval's ends about a predicted skill, of a quantum model.
        gap_error: the median error of a predicted difference between two candidates' skills.
        farthest: a distance that 95 % of the left-out data sets stay below.
        portfolio: candidates by number, in the order in which to try them.
    """

    table: AdviceTable
    model: SkillModel
    skills: FloatArray
    left_out: FloatArray
    low: float
    high: float
    gap_error: float
    farthest: float
    portfolio: tuple[int, ...]

    @classmethod
    def of(cls, table: AdviceTable) -> Evidence:
        """The evidence of a table."""
        classes = table.meta[:, [_CLASSES]]
        skills = skill(np.hstack([table.scores, table.rival_scores]), classes)
        quantum = len(table.candidates)
        smooth = skills.copy()
        known = [configuration_of(each) for each in table.candidates]
        smooth[:, :quantum] = smoothed_skills(skills[:, :quantum], known)
        left_out = left_out_skills(table.meta, smooth, table.families)
        low, high = error_interval((skills - left_out)[:, :quantum], table.families)
        portfolio = greedy_portfolio(table.scores, _PORTFOLIO, table.families)
        return cls(
            table=table,
            model=SkillModel.fit(table.meta, smooth, table.families),
            skills=skills,
            left_out=left_out,
            low=low,
            high=high,
            gap_error=_gap_error(skills[:, :quantum], left_out[:, :quantum], portfolio[0]),
            farthest=float(np.quantile(left_out_distances(table.meta, table.families), _FARTHEST)),
            portfolio=portfolio,
        )

    def nearest(self, meta: FloatArray, count: int = 3) -> tuple[Neighbour, ...]:
        """The data sets most like those with meta-features (M,), the nearest first."""
        apart = self.model.distances(meta)
        order = np.argsort(apart)[:count]
        return tuple(Neighbour(self.table.data_sets[i], float(apart[i])) for i in order)


@cache
def evidence() -> Evidence:
    """The evidence of this installation's table."""
    return Evidence.of(load_table())


def error_interval(errors: FloatArray, families: AnyArray) -> tuple[float, float]:
    """Quantiles (1 − COVERAGE)/2 from below and above of errors (D, C), families equal in weight.

    Errors must be of predictions without the family. How often such intervals hold scores of yet
    another family is measured, not promised: `benchmarks/advice.py`.
    """
    columns = errors.shape[1]
    share = np.repeat(family_weights(families, len(errors)) / columns, columns)
    return -_upper(-errors.ravel(), share), _upper(errors.ravel(), share)


def _upper(values: FloatArray, share: FloatArray) -> float:
    """The smallest value that all but half of 1 − COVERAGE of the shares do not exceed."""
    order = np.argsort(values)
    reached = np.searchsorted(np.cumsum(share[order]), 1.0 - (1.0 - COVERAGE) / 2.0)
    return float(values[order][min(len(values) - 1, int(reached))])


def _gap_error(skills: FloatArray, left_out: FloatArray, first: int) -> float:
    """Median error of the predicted gain of the best predicted candidate over the first one."""
    rows = np.arange(len(skills))
    best = left_out.argmax(axis=1)
    predicted = left_out[rows, best] - left_out[:, first]
    measured = skills[rows, best] - skills[:, first]
    return float(np.median(np.abs(predicted - measured)))
