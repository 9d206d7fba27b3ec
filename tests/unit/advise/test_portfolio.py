"""A greedy portfolio against the best one that there is."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qstore_ray.advise.portfolio import family_weights, greedy_portfolio, regrets

SCORES = arrays(np.float64, (6, 5), elements=st.floats(0.0, 1.0))


@given(SCORES, st.integers(1, 4))
def test_it_gains_at_least_63_percent_of_what_the_best_portfolio_gains(scores, length):
    lost = regrets(scores)

    def gain(chosen):
        return lost.max() - lost[:, list(chosen)].min(axis=1).mean()

    best = max(gain(chosen) for chosen in combinations(range(5), length))
    assert gain(greedy_portfolio(scores, length)) >= (1.0 - 1.0 / np.e) * best - 1e-12


@given(SCORES)
def test_the_whole_portfolio_names_every_candidate_once_and_has_no_regret(scores):
    chosen = greedy_portfolio(scores, 99)
    assert sorted(chosen) == list(range(5))
    assert regrets(scores)[:, list(chosen)].min(axis=1).max() == 0.0


@given(SCORES, st.integers(1, 5))
def test_a_shorter_portfolio_is_the_beginning_of_a_longer_one(scores, length):
    assert greedy_portfolio(scores, 5)[:length] == greedy_portfolio(scores, length)


def test_variants_of_one_source_do_not_outvote_the_others():
    scores = np.array([[1.0, 0.9], [1.0, 0.9], [1.0, 0.9], [0.0, 0.9]])
    families = np.array(["one", "one", "one", "other"])
    assert greedy_portfolio(scores, 1, families) == (1,)
    assert family_weights(families, 4).sum() == pytest.approx(1.0)
    assert family_weights(families, 4)[3] == pytest.approx(0.5)
