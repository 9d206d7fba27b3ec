"""A choice of classes and rows, and what becomes of classes with few rows."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import ConfigError, DataError, UnknownNameError

N = 90
X = np.arange(2 * N, dtype=float).reshape(N, 2)
Y = np.arange(N) % 3


def _rows(dataset: Dataset) -> list[int]:
    return sorted(row for split in dataset.plans for row in dataset.rows(split).tolist())


def test_classes_and_the_first_rows():
    dataset = DatasetLoader.from_arrays(X, Y, select={"classes": [2, 0], "rows": 20})
    assert dataset.classes == (0, 2)
    assert _rows(dataset) == [row for row in range(N) if row % 3 != 1][:20]
    assert "20 rows, the first ones" in dataset.provenance.values()
    assert "classes 2, 0 only" in dataset.provenance.values()
    x, y = dataset.materialize("train")
    np.testing.assert_array_equal(y, (x[:, 0] / 2 % 3 == 2).astype(int))


def test_a_sample_of_rows_follows_the_seed():
    asked = {"rows": 30, "order": "random"}
    some = [DatasetLoader.from_arrays(X, Y, select=asked, seed=seed) for seed in (1, 1, 2)]
    assert _rows(some[0]) == _rows(some[1]) != _rows(some[2])
    assert some[0].fingerprint == some[1].fingerprint != some[2].fingerprint
    assert len(_rows(some[0])) == 30


def test_official_parts_keep_the_same_classes_and_all_rows():
    dataset = DatasetLoader.from_arrays(
        X, Y, test=(X[:30], Y[:30]), select={"classes": [0, 1], "rows": 20},
        split={"train": 0.8, "val": 0.2},
    )  # fmt: skip
    assert dataset.sizes == {"train": 16, "val": 4, "test": 20}


def test_a_choice_that_cannot_be_made():
    with pytest.raises(UnknownNameError, match="class"):
        DatasetLoader.from_arrays(X, Y, select={"classes": [7, 1]})
    with pytest.raises(DataError, match="91 rows are asked for, there are 90"):
        DatasetLoader.from_arrays(X, Y, select={"rows": 91})
    with pytest.raises(ConfigError, match="only a classification"):
        DatasetLoader.from_arrays(X, X[:, 0], task="regression", select={"classes": [1]})


RARE = np.where(np.arange(N) < 2, 7, Y)


def test_rows_of_a_rare_class_are_in_train_first():
    dataset = DatasetLoader.from_arrays(X, RARE)
    assert [counts[3] for counts in dataset.class_counts.values()] == [1, 1, 0]
    assert "test has no rows of 7" in dataset.describe()
    lonely = np.where(np.arange(N) < 1, 7, Y)
    assert DatasetLoader.from_arrays(X, lonely).class_counts["train"][3] == 1


def test_rare_classes_are_dropped_merged_or_refused(tmp_path):
    dropped = DatasetLoader.from_arrays(X, RARE, rare_classes="drop")
    assert dropped.classes == (0, 1, 2)
    assert _rows(dropped) == list(range(2, N))
    few = np.where(np.arange(N) < 2, 7, np.where(np.arange(N) < 4, 8, Y))
    merged = DatasetLoader.from_arrays(X, few, rare_classes="merge")
    assert merged.classes == (0, 1, 2, "other")
    assert sum(counts[3] for counts in merged.class_counts.values()) == 4
    _, y = merged.materialize("train")
    assert np.bincount(y).tolist() == list(merged.class_counts["train"])
    saved = Dataset.load(merged.save(tmp_path / "saved"))
    np.testing.assert_array_equal(saved.materialize("train").y, y)
    with pytest.raises(DataError, match="fewer than 3 rows: 7") as caught:
        DatasetLoader.from_arrays(X, RARE, rare_classes="error")
    assert 'rare_classes = "drop"' in caught.value.fix
    assert DatasetLoader.from_arrays(X, RARE, rare_classes="error", rare_below=2).classes[-1] == 7


def test_many_whole_numbers_suggest_a_regression():
    with pytest.raises(DataError, match="different whole numbers") as caught:
        DatasetLoader.from_arrays(np.ones((200, 2)), np.arange(200) * 37)
    assert 'task = "regression"' in caught.value.fix


@pytest.mark.parametrize("labels", [np.arange(40) % 3, np.arange(40) % 3 * 1.0])
@pytest.mark.parametrize("classes", [[0, 2], ["0", "2"]])
def test_classes_that_are_numbers_are_found_by_number_and_text(labels, classes):
    """On the command line and in MLflow every label is a text."""
    x = np.arange(40.0)[:, None]
    found = DatasetLoader.from_arrays(x, labels, select={"classes": classes})
    assert found.classes == (0, 2)


def test_an_unknown_class_is_told_the_classes_as_they_are_written():
    x = np.arange(40.0)[:, None]
    with pytest.raises(UnknownNameError) as caught:
        DatasetLoader.from_arrays(x, np.arange(40) % 3 * 1.0, select={"classes": ["7"]})
    assert "Known: 0, 1, 2." in caught.value.fix


def test_truths_are_classes_by_their_text():
    x = np.arange(40.0)[:, None]
    truths = np.arange(40) % 2 == 0
    found = DatasetLoader.from_arrays(x, truths, select={"classes": ["True", "False"]})
    assert found.classes == (False, True)
