"""Regret of the first recommendation if its settings too are chosen without the family left out.

The settings of the recommender (ℓ and λ of `skill_model.py`, λ of `smoothed_skills`) were chosen
by the table itself, so `advice.py` alone would praise them too much. Here a family is left out, the
settings are those with the least regret on the other families, each left out in turn, and their
first candidate is tried on the family.

    nested_regrets(table, …)    regret of each data set (D,), and the settings that were chosen
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from qstore_ray.advise.configuration import configuration_of, smoothed_skills
from qstore_ray.advise.meta_features import NAMES, skill
from qstore_ray.advise.portfolio import family_weights, regrets
from qstore_ray.advise.skill_model import SkillModel, left_out_skills
from qstore_ray.advise.table import AdviceTable

_CLASSES = NAMES.index("classes")


class Settings(NamedTuple):
    """ℓ in median distances and λ of the data sets' kernel; λ of the models', 0 for none."""

    scale: float
    ridge: float
    smoothing: float


SMOOTHINGS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0)
EVERY = tuple(Settings(*each) for each in product((0.5, 1.0, 2.0), (0.3, 1.0, 3.0), SMOOTHINGS))
SMOOTHING_ALONE = tuple(each for each in EVERY if each.scale == each.ridge == 1.0)


def nested_regrets(
    table: AdviceTable, pool: Sequence[Settings]
) -> tuple[np.ndarray, dict[str, int]]:
    """The regrets (D,), and how often each of the settings was chosen."""
    found = np.empty(len(table.data_sets))
    chosen: Counter[Settings] = Counter()
    lost = regrets(table.scores)
    for family in np.unique(table.families):
        own = table.families == family
        best = _best(table.without(str(family)), pool)
        chosen[best] += 1
        model = SkillModel.fit(
            table.meta[~own], _skills(table)[~own], table.families[~own],
            scale=best.scale, ridge=best.ridge,
        )  # fmt: skip
        predicted = _smoothed(table, model.predict(table.meta[own]), best.smoothing)
        found[own] = lost[np.flatnonzero(own), predicted.argmax(axis=1)]
    return found, {str(tuple(each)): count for each, count in chosen.most_common()}


def _best(table: AdviceTable, pool: Sequence[Settings]) -> Settings:
    lost, weight = regrets(table.scores), family_weights(table.families, len(table.data_sets))
    means = {}
    for scale, ridge in dict.fromkeys((each.scale, each.ridge) for each in pool):
        # Smoothing is over models and the prediction over data sets, so their order is free.
        left_out = left_out_skills(
            table.meta, _skills(table), table.families, scale=scale, ridge=ridge
        )
        for each in pool:
            if (each.scale, each.ridge) == (scale, ridge):
                order = _smoothed(table, left_out, each.smoothing).argmax(axis=1)
                means[each] = float(weight @ lost[np.arange(len(lost)), order])
    return min(means, key=lambda each: means[each])


def _skills(table: AdviceTable) -> np.ndarray:
    return np.asarray(skill(table.scores, table.meta[:, [_CLASSES]]))


def _smoothed(table: AdviceTable, skills: np.ndarray, ridge: float) -> np.ndarray:
    known = [configuration_of(each) for each in table.candidates]
    return smoothed_skills(skills, known, ridge) if ridge else skills
