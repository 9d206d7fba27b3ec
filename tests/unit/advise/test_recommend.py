"""Recommendations from the table of this installation: order, budget, and when it abstains."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_moons

from qstore_ray import DatasetLoader
from qstore_ray.advise.candidates import DEFAULT, Candidate, candidates
from qstore_ray.advise.evidence import evidence
from qstore_ray.advise.measure.training import train_candidate
from qstore_ray.advise.meta_features import meta_features
from qstore_ray.advise.recommend import choose, recommend, recommend_for
from qstore_ray.advise.table import load_table
from qstore_ray.errors import ConfigError, DataError, UsageError

MOONS = make_moons(120, noise=0.1, random_state=0)


def test_the_table_is_of_the_candidates_that_the_code_names():
    table = load_table()
    assert table.candidates == candidates()
    assert table.candidates[0] == DEFAULT
    assert table.scores.shape == (len(table.data_sets), len(candidates()))
    assert set(table.rivals) == {"logistic_regression", "rbf_svm", "gradient_boosting", "mlp"}
    assert {"seed", "commit", "numpy", "scikit-learn"} <= set(table.about)


def test_a_recommendation_is_the_same_each_time_and_within_its_interval():
    first, again = recommend(MOONS), recommend(MOONS)
    assert first == again
    assert len(first.ranked) == 5
    for each in first.ranked:
        assert each.low <= each.score <= each.high
        assert each.seconds > 0.0
        assert each.why


def test_data_that_were_measured_are_in_range_and_their_own_neighbour():
    found = recommend(load_iris(return_X_y=True))
    assert found.basis != "outside"
    assert found.nearest[0].name.startswith("iris")


def test_it_abstains_far_from_everything_measured():
    rng = np.random.default_rng(0)
    y = np.arange(200) % 50
    found = recommend((np.eye(200) * 1e6 + rng.exponential(size=(200, 200)) ** 9, y))
    assert found.basis == "outside"
    assert "not enough evidence" in found.reason
    assert [each.score for each in found.ranked] == [None] * 5
    portfolio = [evidence().table.candidates[c] for c in evidence().portfolio]
    assert [each.candidate for each in found.ranked] == portfolio[:5]


def test_it_abstains_where_the_gain_is_smaller_than_its_error():
    known = evidence()
    vector = meta_features(*MOONS).vector()
    skills = known.model.predict(vector)[: len(known.table.candidates)]
    flat = np.full_like(skills, skills.mean())
    assert choose(vector, flat, known)[0] == "portfolio"
    ahead = flat.copy()
    winner = next(c for c in range(len(flat)) if c not in known.portfolio)
    ahead[winner] += 2.0 * known.gap_error
    basis, order = choose(vector, ahead, known)
    assert (basis, order[0]) == ("ranked", winner)
    sure = dataclasses.replace(known, gap_error=0.0)
    assert choose(vector, ahead, sure)[0] == "ranked"


def test_every_order_names_each_candidate_once():
    known = evidence()
    for x, y in (MOONS, load_iris(return_X_y=True)):
        found = recommend_for(meta_features(x, y), known, count=1000)
        names = [each.candidate.name for each in found.ranked]
        assert sorted(names) == sorted({c.name for c in candidates()})


def test_a_budget_leaves_out_what_does_not_fit():
    whole = recommend(MOONS)
    budget = 1.5 * min(each.seconds for each in whole.ranked)
    found = recommend(MOONS, budget=budget)
    assert sum(each.seconds for each in found.ranked) <= budget
    assert len(found.ranked) < 5


def test_a_dataset_is_looked_at_before_its_preparation():
    x, y = load_iris(return_X_y=True)
    dataset = DatasetLoader.from_arrays(
        x, y, split={"train": 1.0}, preprocessing=[{"name": "pca", "components": 2}]
    )
    found = recommend(dataset)
    assert found.meta.columns == 4
    assert "linear" in " ".join(found.facts)


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        ({"dataset": (np.ones((9, 2)), np.zeros(9))}, DataError, "one class"),
        ({"dataset": (np.ones((3, 2)), [0, 1, 1])}, DataError, "needs 3 of each"),
        ({"dataset": MOONS, "task": "regression"}, UsageError, "classifications only"),
        ({"dataset": MOONS, "budget": 1e-9}, ConfigError, "the fastest candidate takes"),
        ({"dataset": MOONS, "budget": -1.0}, ConfigError, "above 0"),
        ({"dataset": MOONS, "count": 0}, ConfigError, "1 or more"),
        ({"dataset": "moons"}, UsageError, "a Dataset is needed"),
    ],
)
def test_what_it_cannot_advise_on(arguments, kind, said):
    with pytest.raises(kind, match=said):
        recommend(**arguments)


def test_a_training_of_the_table_is_repeatable_and_learns():
    x, y = MOONS
    one, other = (train_candidate(Candidate(), x[:80], y[:80], x[80:], seed=3) for _ in range(2))
    assert np.array_equal(one.predicted, other.predicted)
    assert np.mean(one.predicted == y[80:]) > 0.75
    assert one.circuits == 80 * Candidate().epochs
    assert one.seconds > 0.0
    assert one.peak_mb > 10.0
