"""Several labels or numbers a row: read, split, saved; refused where they are something else."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import DataError, UsageError

N = 60
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 4))
LABELS = (X[:, :3] > 0).astype(np.int8)
NUMBERS = X[:, :2] @ RNG.normal(size=(2, 2))


def _multilabel(y: np.ndarray = LABELS, **fields) -> Dataset:
    return DatasetLoader.from_arrays(X, y, task="multilabel", rows_per_task=7, **fields)


def _joined(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The labels of all splits, and their rows in the source."""
    parts = [dataset.materialize(split).y for split in dataset.plans]
    return np.concatenate(parts), np.concatenate([dataset.rows(s) for s in dataset.plans])


def test_every_row_keeps_its_labels():
    dataset = _multilabel()
    y, rows = _joined(dataset)
    assert y.dtype == np.int64
    assert y.flags.c_contiguous
    np.testing.assert_array_equal(y, LABELS[rows])
    assert dataset.classes == (0, 1, 2)
    assert dataset.schema.n_targets == 3
    for split, counts in dataset.class_counts.items():
        np.testing.assert_array_equal(counts, LABELS[dataset.rows(split)].sum(axis=0))


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float32])
def test_labels_may_be_bools_integers_or_floats(dtype: type):
    y, rows = _joined(_multilabel(LABELS.astype(dtype)))
    np.testing.assert_array_equal(y, LABELS[rows])


def test_rows_with_one_label_each_are_not_read_as_one_hot():
    one_hot = np.eye(3)[np.arange(N) % 3]
    y, rows = _joined(_multilabel(one_hot))
    np.testing.assert_array_equal(y, one_hot[rows])
    classes = DatasetLoader.from_arrays(X, one_hot)
    assert classes.materialize("train").y.ndim == 1


def test_a_regression_may_have_several_numbers_a_row():
    dataset = DatasetLoader.from_arrays(X, NUMBERS, task="regression", rows_per_task=7)
    y, rows = _joined(dataset)
    np.testing.assert_array_equal(y, NUMBERS[rows])
    assert (dataset.schema.n_targets, dataset.classes) == (2, ())
    column = DatasetLoader.from_arrays(X, NUMBERS[:, :1], task="regression")
    assert column.materialize("train").y.shape == (42,)
    assert column.schema.n_targets == 1


@pytest.mark.parametrize("task", ["multilabel", "regression"])
@pytest.mark.parametrize("ending", [".npz", ".npy"])
def test_numpy_files_may_hold_several_labels(task: str, ending: str, tmp_path):
    y = LABELS if task == "multilabel" else NUMBERS
    path = tmp_path / f"x{ending}"
    params = {"path": str(path), "rows_per_task": 11}
    if ending == ".npz":
        np.savez(path, x=X, y=y)
    else:
        np.save(path, X)
        np.save(tmp_path / "y.npy", y)
        params["y_path"] = str(tmp_path / "y.npy")
    config = DatasetConfig(name="several", source="local", params=params, task=task)
    found, rows = _joined(DatasetLoader.load(config))
    np.testing.assert_array_equal(found, y[rows])


@pytest.mark.parametrize(("task", "y"), [("multilabel", LABELS), ("regression", NUMBERS)])
def test_a_saved_dataset_comes_back_with_its_labels(task: str, y: np.ndarray, tmp_path):
    dataset = DatasetLoader.from_arrays(X, y, task=task, rows_per_task=7)
    loaded = Dataset.load(dataset.save(tmp_path / "saved"))
    assert loaded.fingerprint == dataset.fingerprint
    assert loaded.schema == dataset.schema
    for split in dataset.plans:
        for one, other in zip(dataset.materialize(split), loaded.materialize(split), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("task", "y"), [("multilabel", LABELS), ("regression", NUMBERS)])
def test_a_copy_of_a_row_has_all_its_labels(task: str, y: np.ndarray):
    copies = {"copies": 2, "steps": [{"name": "gaussian_noise"}]}
    dataset = DatasetLoader.from_arrays(X, y, task=task, augmentation=copies)
    np.testing.assert_array_equal(dataset.materialize("train").y, y[dataset.rows("train")])
    assert dataset.sizes["train"] == 3 * len(dataset.plan("train").source_rows)


def test_the_fingerprint_sees_every_label():
    changed = LABELS.copy()
    changed[5, 2] ^= 1
    assert _multilabel(changed).fingerprint != _multilabel().fingerprint


@pytest.mark.parametrize(
    ("y", "message", "value"),
    [
        (np.arange(N) % 2, "one column a label", (N,)),
        (LABELS * 2, "label . of a row is neither", 2),
        (NUMBERS, "label 0 of a row is neither", None),
        (np.where(LABELS, "yes", "no"), "one a row", (N, 3)),
        (np.where(LABELS, 1.0, np.nan), "a label is missing", None),
        (LABELS[:, :, None], "one a row", (N, 3, 1)),
    ],
    ids=["one label", "twos", "numbers", "text", "NaN", "three dimensions"],
)
def test_what_is_no_row_of_zeros_and_ones_is_refused(y, message: str, value: object):
    with pytest.raises(DataError, match=message) as caught:
        _multilabel(y)
    assert caught.value.field == "y"
    if value is not None:
        assert caught.value.value == value


def test_a_source_of_single_labels_says_what_to_set():
    config = DatasetConfig(name="iris", params={"dataset": "iris"}, task="multilabel")
    with pytest.raises(UsageError, match='task = "classification"'):
        DatasetLoader.load(config)


def test_widths_that_differ_from_block_to_block_are_refused(tmp_path):
    for number, width in enumerate((2, 3)):
        np.savez(tmp_path / f"{number}.npz", x=X, y=LABELS[:, :width])
    config = DatasetConfig(
        name="several", source="local", params={"path": str(tmp_path)}, task="multilabel"
    )
    with pytest.raises(DataError, match="block to block") as caught:
        DatasetLoader.load(config)
    assert caught.value.field == "y"


def test_checks_and_profile_say_that_they_know_one_label_a_row():
    from qstore_ray.data.quality.parts import read_splits

    with pytest.raises(UsageError, match="one label") as caught:
        read_splits(_multilabel())
    assert caught.value.field == "dataset.task"
