"""Skills are smoothed over models that are alike: luck goes, what a model is stays."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.advise.candidates import candidates
from qstore_ray.advise.configuration import configuration_of, smoothed_skills

KNOWN = [configuration_of(each) for each in candidates()]
RNG = np.random.default_rng(0)
SKILLS = RNG.normal(size=(5, len(KNOWN)))


def test_without_a_ridge_nothing_changes_and_with_a_large_one_all_models_are_alike():
    assert smoothed_skills(SKILLS, KNOWN, 1e-9) == pytest.approx(SKILLS, abs=1e-4)
    means = np.repeat(SKILLS.mean(axis=1, keepdims=True), len(KNOWN), axis=1)
    assert smoothed_skills(SKILLS, KNOWN, 1e9) == pytest.approx(means, abs=1e-6)


def test_it_is_linear_and_knows_no_scale():
    other = RNG.normal(size=SKILLS.shape)
    found = smoothed_skills(2.0 * SKILLS + other + 7.0, KNOWN)
    apart = 2.0 * smoothed_skills(SKILLS, KNOWN) + smoothed_skills(other, KNOWN) + 7.0
    assert found == pytest.approx(apart)


def test_it_takes_noise_out_of_what_depends_on_the_model():
    numbers = np.array([each.numbers() for each in KNOWN])
    truth = (numbers @ RNG.normal(size=(numbers.shape[1], 200))).T
    truth /= truth.std(axis=1, keepdims=True)
    noisy = truth + 0.7 * RNG.normal(size=truth.shape)
    before, after = (
        np.sqrt(np.mean((each - truth) ** 2)) for each in (noisy, smoothed_skills(noisy, KNOWN))
    )
    assert after < 0.9 * before
    lost = [
        (truth.max(axis=1) - truth[np.arange(200), each.argmax(axis=1)]).mean()
        for each in (noisy, smoothed_skills(noisy, KNOWN))
    ]
    assert lost[1] < lost[0]
