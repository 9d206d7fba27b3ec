"""Rows as people have them: advice answers, or it says what is wrong with them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from qstore_ray import DatasetLoader, JobConfig, QStoreError, TrackConfig, predict_job, recommend
from qstore_ray.advise.advantage.check import check_advantage, check_rows
from qstore_ray.advise.as_job import job_of
from qstore_ray.advise.meta_features import meta_features
from qstore_ray.advise.rows import as_dataset, described_rows, split_steps, training_rows
from qstore_ray.data.read.plan import ReadPlan
from qstore_ray.errors import DataError
from qstore_ray.train.checks import checked

RNG = np.random.default_rng(0)
X, Y = RNG.random((40, 3)), np.arange(40) % 2

REFUSED = {
    "no rows": (np.zeros((0, 3)), []),
    "no columns": (np.zeros((40, 0)), Y),
    "one column without a row axis": (X[:, 0], Y),
    "text": (np.array([["a", "b"]] * 40), Y),
    "mixed columns": (np.array([[1, "b"]] * 40, dtype=object), Y),
    "ragged": ([[1, 2], [3]] * 20, Y),
    "complex": (X + 1j, Y),
    "dates": (np.full((40, 3), np.datetime64("2020-01-01")), Y),
    "NaN": (np.where(X > 0.9, np.nan, X), Y),
    "infinity": (np.full((40, 3), np.inf), Y),
    "labels of two kinds": (X, np.array([0, "dog"] * 20, dtype=object)),
    "missing labels": (X, np.array([0, None] * 20, dtype=object)),
    "NaN labels": (X, np.where(Y > 0, np.nan, 0.0)),
    "quantities": (X, RNG.random(40)),
    "fewer labels": (X, Y[:39]),
    "one class": (X, np.zeros(40)),
}


@pytest.mark.parametrize("rows", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_classification_of_numbers_is_refused_alike(rows):
    for ask in (recommend, lambda pair: check_rows(job({}), *pair)):
        with pytest.raises(QStoreError) as caught:
            ask(rows)
        assert caught.value.message


@pytest.mark.parametrize(
    "rows",
    [
        (X, np.array(["cat", "dog"])[Y]),
        (X, Y.astype(bool)),
        (X, np.eye(2)[Y]),
        (X, Y[:, None]),
        (X.tolist(), Y.tolist()),
        (X > 0.5, Y),
        (np.ones((40, 3)), Y),
        (X * 1e300, Y),
        (X * 1e-300, Y),
        (RNG.random((40, 8, 8)), Y),
        (RNG.integers(0, 256, (40, 4, 4, 3)).astype(np.uint8), Y),
        (RNG.random((12, 2000)), np.arange(12) % 2),
        (RNG.random((600, 2)), np.arange(600) % 200),
    ],
)
def test_unusual_rows_and_labels_are_answered_without_a_warning(rows):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = recommend(rows)
    assert np.isfinite(found.meta.vector()).all()
    assert found.ranked


def test_the_numbers_do_not_depend_on_the_unit_of_a_column():
    one = meta_features(X, Y).vector()
    for factor in (2.0**700, 2.0**-700):
        assert np.array_equal(meta_features(X * [factor, 1.0, 1.0], Y).vector(), one)


@pytest.mark.parametrize("budget", ["5", True, float("nan"), 0, -1])
def test_a_budget_is_a_positive_number(budget):
    with pytest.raises(QStoreError, match="budget"):
        recommend((X, Y), budget=budget)


@pytest.mark.parametrize("count", ["3", True, 1.5, 0])
def test_a_count_is_a_whole_number(count):
    with pytest.raises(QStoreError, match="count"):
        recommend((X, Y), count=count)


# ------------------------------------------------------- missing values, categories, few rows


def job(dataset, **model):
    return JobConfig.from_dict(
        {
            "name": "rows",
            "dataset": {
                "name": "iris", "source": "sklearn", "params": {"dataset": "iris"},
                "split": {"train": 1.0}, **dataset,
            },
            "model": {"n_qubits": 4, **model},
            "trainer": {"epochs": 10},
            "track": {"mlflow": False, "figures": False},
        }
    )  # fmt: skip


@pytest.fixture
def gaps(tmp_path):
    """A file with missing numbers, missing categories and three columns, one of them text."""
    rng, lines = np.random.default_rng(0), ["u,v,colour,label"]
    for i in range(90):
        u = "" if i % 9 == 0 else f"{rng.random() + i % 2:.3f}"
        colour = "" if i % 11 == 0 else ["red", "green", "blue"][i % 3]
        lines.append(f"{u},{rng.random():.3f},{colour},{['no', 'yes'][i % 2]}")
    path = tmp_path / "gaps.csv"
    path.write_text("\n".join(lines) + "\n")
    return {
        "source": "local", "params": {"path": str(path)}, "columns": {"label": "label"},
        "preprocessing": [
            {"name": "impute"}, {"name": "standard"}, {"name": "pca", "components": 4},
        ],
    }  # fmt: skip


def test_rows_are_filled_and_encoded_as_the_job_does_it(gaps):
    config = job(gaps)
    dataset = DatasetLoader.load(config.dataset)
    x, y = training_rows(dataset)
    assert x.shape == (90, 5)  # two numbers, three colours
    assert np.isfinite(x).all()
    assert set(y) == {0, 1}
    leading, rest = split_steps(config.dataset.preprocessing)
    assert [step.name for step in leading] == ["impute"]
    assert [step.name for step in rest] == ["standard", "pca"]


def test_every_advice_takes_a_job_that_fills_missing_values(gaps):
    config = job(gaps, n_qubits=4)
    found = recommend(DatasetLoader.load(config.dataset))
    assert found.meta.columns == 5
    assert predict_job(config).circuits == 900
    assert check_advantage(config, folds=2, repeats=1, tuned=False).rows == 90


def test_every_candidate_gives_a_job_that_the_trainer_accepts(gaps, tmp_path):
    config = job(gaps)
    dataset = DatasetLoader.load(config.dataset)
    for each in recommend(dataset, count=64).ranked:
        path = tmp_path / "advised.toml"
        path.write_text(job_of(each.candidate, config, dataset).to_toml())
        advised = JobConfig.load(path)
        loaded = DatasetLoader.load(advised.dataset)
        assert checked(advised.model, advised.trainer, loaded).held.n_rows == 90
        assert advised.track == TrackConfig(mlflow=False, figures=False)


def test_a_job_of_three_rows_is_predicted_without_a_score(tmp_path):
    path = tmp_path / "few.csv"
    path.write_text("u,v,label\n0.1,0.2,0\n0.3,0.4,1\n0.5,0.6,0\n")
    config = job(
        {"source": "local", "params": {"path": str(path)}, "columns": {"label": "label"}},
        n_qubits=2,
    )
    found = predict_job(config)
    assert found.circuits == 30
    assert found.accuracy is None
    assert "a class has 1 rows" in found.outside[0]
    with pytest.raises(DataError, match="a class has 1 rows"):
        recommend(DatasetLoader.load(config.dataset))


def test_a_dataset_stays_what_it_is():
    dataset = DatasetLoader.from_arrays(X, Y, split={"train": 1.0})
    assert as_dataset(dataset) is dataset


def test_of_streamed_rows_a_sample_is_read_block_by_block(monkeypatch):
    """Sorted by class, so that one block alone would have one class; all rows are counted."""
    rng = np.random.default_rng(0)
    y = np.arange(600) // 300
    x = rng.normal(size=(600, 3)) + y[:, None]

    def loaded(stream: bool):
        steps = [{"name": "impute"}, {"name": "standard"}]
        return DatasetLoader.from_arrays(
            x, y, split={"train": 1.0}, preprocessing=steps, rows_per_task=50, stream=stream
        )

    streamed = loaded(True)
    every, labels = training_rows(streamed)
    np.testing.assert_array_equal(every, training_rows(loaded(False))[0])
    monkeypatch.setattr("qstore_ray.advise.rows.STREAMED_ROWS", 60)
    monkeypatch.setattr(ReadPlan, "read_raw", None)  # it would hold all rows
    sample, classes = training_rows(streamed)
    assert np.bincount(classes).tolist() == [30, 30]
    known = {tuple(row): label for row, label in zip(every, labels, strict=True)}
    assert all(known[tuple(row)] == label for row, label in zip(sample, classes, strict=True))
    assert described_rows(streamed).rows == 600
    assert recommend(streamed).facts[0].startswith("600 rows, 3 columns")
