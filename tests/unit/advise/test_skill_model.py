"""Skill predicted from meta-features, and what a family that is left out can tell of it."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.advise.evidence import error_interval
from qstore_ray.advise.meta_features import NAMES
from qstore_ray.advise.skill_model import SkillModel, left_out_distances, left_out_skills

D, C = 24, 5
RNG = np.random.default_rng(0)
META = RNG.normal(size=(D, len(NAMES)))
FAMILIES = np.repeat(np.arange(8), 3)
SIMPLE = [place for place, name in enumerate(NAMES) if name.endswith("_skill")]


def _skills(meta):
    """Harder data for all, and one candidate that is better where the first number is large."""
    base = meta[:, SIMPLE].mean(axis=1, keepdims=True) + np.linspace(0.0, 0.4, C)
    base[:, 1] += np.tanh(meta[:, 0])
    return base


def test_what_all_data_have_in_common_is_found_exactly():
    plain = META[:, SIMPLE].mean(axis=1, keepdims=True) + np.linspace(0.0, 0.4, C)
    new = RNG.normal(size=(3, len(NAMES)))
    found = SkillModel.fit(META, plain).predict(new)
    assert found == pytest.approx(
        new[:, SIMPLE].mean(axis=1, keepdims=True) + np.linspace(0, 0.4, C)
    )


def test_far_from_all_data_it_answers_the_mean():
    model = SkillModel.fit(META, _skills(META))
    far = META[0].copy()
    far[0] = 1e6
    assert model.predict(far) == pytest.approx(far[SIMPLE].mean() + model.mean)


def test_near_data_that_were_measured_it_leans_towards_them():
    model = SkillModel.fit(META, _skills(META))
    place = int(np.argmax(META[:, 0]))
    known = _skills(META)[place] - META[place, SIMPLE].mean()
    found = model.predict(META[place]) - META[place, SIMPLE].mean()
    assert np.abs(found - known)[1] < np.abs(model.mean - known)[1]


def test_a_prediction_of_a_family_does_not_see_the_familys_skills():
    skills = _skills(META)
    changed = skills.copy()
    changed[FAMILIES == 2] += RNG.normal(size=(3, C))
    before, after = (left_out_skills(META, each, FAMILIES) for each in (skills, changed))
    assert np.array_equal(before[FAMILIES == 2], after[FAMILIES == 2])
    assert not np.array_equal(before[FAMILIES == 3], after[FAMILIES == 3])


def test_the_distance_of_a_left_out_set_is_not_to_its_own_variants():
    meta = META.copy()
    meta[1] = meta[0]  # a twin of the same family
    assert left_out_distances(meta, FAMILIES)[0] > 0.5
    assert left_out_distances(meta, np.arange(D))[0] == pytest.approx(0.0, abs=1e-9)


def test_the_interval_holds_most_errors_of_families_that_were_never_seen():
    covered = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        errors = 0.3 * rng.normal(size=(30, 1)) + rng.normal(size=(30, 20))
        low, high = error_interval(errors[:-1], np.arange(29))
        covered.append(np.mean((errors[-1] >= low) & (errors[-1] <= high)))
    assert 0.87 <= np.mean(covered) <= 0.92
