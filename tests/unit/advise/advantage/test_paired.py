"""The corrected test: no more false findings than it says, where the plain t test has many."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from qstore_ray.advise.advantage.check import verdict_of
from qstore_ray.advise.advantage.paired import PairedDifference, paired_difference

J, SHARE = 10, 0.25


def test_with_no_shared_rows_it_is_students_test():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, J))
    found = paired_difference(one, other, 0.0)
    known = stats.ttest_rel(one, other)
    low, high = known.confidence_interval(0.95)
    assert found.p_value == pytest.approx(known.pvalue)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_equal_scores_are_no_difference_and_a_constant_gain_is_one():
    scores = np.linspace(0.5, 0.9, J)
    assert paired_difference(scores, scores, SHARE) == PairedDifference(0.0, 0.0, 0.0, 1.0)
    assert paired_difference(scores + 0.1, scores, SHARE).low == pytest.approx(0.1)


def test_folds_that_share_their_chance_are_not_taken_for_a_difference():
    """Correlation n_test / (n_test + n_train) between folds is what the correction is made for."""
    rng = np.random.default_rng(0)
    correlation = SHARE / (1.0 + SHARE)
    corrected = plain = 0
    for _ in range(2000):
        shared = rng.normal() * np.sqrt(correlation)
        gain = shared + rng.normal(size=J) * np.sqrt(1.0 - correlation)
        corrected += paired_difference(gain, np.zeros(J), SHARE).p_value < 0.05
        plain += paired_difference(gain, np.zeros(J), 0.0).p_value < 0.05
    assert corrected / 2000 == pytest.approx(0.05, abs=0.015)
    assert plain / 2000 > 0.15


BETTER = PairedDifference(0.1, 0.05, 0.15, 0.001)
SAME = PairedDifference(0.01, -0.02, 0.04, 0.6)


@pytest.mark.parametrize(
    ("found", "flags", "verdict"),
    [
        ({("model", "mlp"): BETTER, ("model", "model_twin"): BETTER}, (), "evidence"),
        (
            {("model", "mlp"): BETTER, ("model", "model_twin"): BETTER},
            ("it fits into memory",),
            "evidence, simulable",
        ),
        ({("model", "mlp"): SAME, ("model", "model_twin"): BETTER}, (), "no evidence"),
        ({("model", "mlp"): BETTER, ("model", "model_twin"): SAME}, (), "no evidence"),
        ({("model", "mlp"): SAME, ("kernel", "mlp"): BETTER}, (), "evidence"),
    ],
)
def test_the_verdict_needs_every_comparison_of_one_contender(found, flags, verdict):
    outcome, reason = verdict_of(found, flags)
    assert outcome == verdict
    assert reason
    if outcome == "no evidence":
        assert "not clearly better" in reason
