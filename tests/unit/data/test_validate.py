"""Checks of rows and labels: each fault is a `DataError` that says where it is."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.data.columns import TableSchema
from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.inputs.values import column_of, labels_of
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.rows.labels import ClassLabels, Targets, flat_labels, join_labels
from qstore_ray.data.rows.validate import as_features, check_finite, check_width, first_bad_value
from qstore_ray.errors import DataError

X = np.arange(40.0).reshape(20, 2)
Y = np.arange(20) % 2


def _refused(x, y, **fields) -> str:
    with pytest.raises(DataError) as caught:
        DatasetLoader.from_arrays(x, y, **fields)
    return str(caught.value)


@pytest.mark.parametrize(("value", "kind"), [(np.nan, "NaN"), (np.inf, "infinite")])
@pytest.mark.parametrize("rows_per_task", [3, 100])
def test_a_bad_value_is_named_with_split_column_and_first_row(value, kind, rows_per_task):
    x = X.copy()
    x[[11, 13], 1] = value
    message = _refused(x, Y, feature_names=("a", "b"), rows_per_task=rows_per_task)
    dataset = DatasetLoader.from_arrays(X, Y)
    (split,) = (name for name in dataset.sizes if 11 in dataset.rows(name))
    assert kind in message
    assert f"split {split!r}, column 1 ('b'), first in row 11" in message


def test_a_bad_value_in_an_official_split_names_that_split():
    bad = X.copy()
    bad[4, 0] = np.nan
    assert "split 'test', column 0, first in row 24" in _refused(X, Y, test=(bad, Y))


@given(st.integers(0, 19), st.integers(0, 1))
def test_the_first_bad_value_is_found(row, column):
    x = X.copy()
    x[row, column] = np.nan
    x[19, 1] = np.inf
    assert first_bad_value(x)[:2] == (row, column)
    with pytest.raises(DataError, match=f"column {column}, first in row {row + 100}"):
        check_finite(x, rows=np.arange(100, 120))


def test_finite_rows_have_no_bad_value():
    assert first_bad_value(X) is None


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((0, 2)), [], "0 rows"),
        ([], [], "0 rows|two dimensions"),
        (np.zeros((5, 0)), [0, 1, 0, 1, 0], "0 features"),
        ([[1.0], [1.0, 2.0]], [0, 1], "different lengths"),
        (X, Y[:-1], "20 rows but 19 labels"),
        (X[:, 0], Y, "two dimensions"),
        (X.astype(str), Y, "real numbers"),
        (X.astype(complex), Y, "real numbers"),
        (X.astype(object), Y, "real numbers"),
        (X, np.zeros(20), "all 20 rows have one class, 0"),
        (X, np.where(Y, np.nan, 1.0), "a label is missing in row 1, and in 9 more"),
        (X, Y + 0.5, "not a whole number"),
        (X, np.ones((20, 3)), "one a row, or one-hot"),
        (X, [None, *Y[1:]], "a label is missing in row 0"),
        (X, Y.astype("S1"), "numbers, bools or text"),
    ],
)
def test_faulty_data_is_refused(x, y, message: str):
    import re

    assert re.search(message, _refused(x, y))


def test_splits_of_other_widths_are_refused():
    assert "official test split has rows of 3 features, train of 2" in _refused(
        X, Y, test=(np.zeros((3, 3)), [0, 1, 0])
    )


def test_a_label_of_the_test_set_that_train_does_not_have():
    message = _refused(X, Y, test=(X, Y + 1))
    assert "not among the classes" in message
    assert "(got 2)" in message


def test_a_class_that_missed_train_is_named():
    y = np.array([0] * 19 + [1])
    seeds = [s for s in range(20) if 19 not in _rows_in_train(s)]
    message = _refused(X, y, stratify=False, seed=seeds[0])
    assert "no row of class 1 fell into train" in message
    assert "Set stratify = true" in message
    in_time = {"train": 0.5, "test": 0.5, "method": "time"}
    assert 'split.method = "seed"' in _refused(X, y, split=in_time)


def _rows_in_train(seed: int) -> np.ndarray:
    return DatasetLoader.from_arrays(X, Y, stratify=False, seed=seed).rows("train")


def test_features_become_float64_rows():
    images = np.arange(12, dtype=np.uint8).reshape(2, 3, 2)
    out = as_features(images)
    assert out.dtype == np.float64
    np.testing.assert_array_equal(out, np.arange(12.0).reshape(2, 6))
    np.testing.assert_array_equal(as_features([[True, False]]), [[1.0, 0.0]])
    with pytest.raises(DataError, match="6 features, 5 are expected"):
        check_width(out, 5)


class Flower(str, Enum):  # noqa: UP042 - the text of a StrEnum is its value
    """Values that numpy would cut `Flower.SETOSA` and `Flower.SETA` to: one class of two."""

    SETOSA = "a"
    SETA = "b"
    OTHER = "c"


@pytest.mark.parametrize("form", [list, tuple, lambda labels: np.array(labels, dtype=object)])
def test_the_labels_of_an_enum_are_its_values(form):
    labels = form([list(Flower)[row % 3] for row in range(30)])
    dataset = DatasetLoader.from_arrays(np.arange(60.0).reshape(30, 2), labels)
    assert dataset.schema.class_names == ("a", "b", "c")


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([3, -1, 7, 3], (-1, 3, 7)),
        ([1.0, 2.0, 1.0, 2.0], (1, 2)),
        ([True, False, True, False], (False, True)),
        (["b", "a", "b", "c"], ("a", "b", "c")),
        (np.array(["b", "a"], dtype=object), ("a", "b")),
        ([[5], [4]], (4, 5)),
        ([[0, 1], [1, 0]], (0, 1)),
        ([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], (0, 2)),
        (np.array([0, 255], dtype=np.uint8), (0, 255)),
    ],
)
def test_classes_are_the_sorted_labels_as_plain_values(labels, classes):
    flat = flat_labels(labels)
    found = ClassLabels.of(flat)
    assert found.classes == classes
    assert [type(label) for label in found.classes] == [type(label) for label in classes]
    numbers = found.encode(flat)
    assert numbers.dtype == np.int64
    assert [classes[k] for k in numbers] == flat.tolist()


@pytest.mark.parametrize("label", [9, -9, 0.5, "a"])
def test_a_label_that_is_no_class_is_named(label):
    with pytest.raises(DataError) as caught:
        ClassLabels((0, 1)).encode(np.array([label, label]))
    assert caught.value.value == label


def test_blocks_may_not_mix_numbers_and_text():
    with pytest.raises(DataError, match="numbers in one block and text in another"):
        join_labels([np.array([1]), np.array(["a"])])
    assert join_labels([np.array([1]), np.array([], dtype=str)]).tolist() == [1]


def test_a_regression_keeps_its_numbers():
    targets = Targets().encode(np.array([1, 2], dtype=np.int32))
    assert targets.dtype == np.float64
    with pytest.raises(DataError, match="needs numbers"):
        Targets().encode(np.array(["a"]))


LARGE = (2**53, 2**53 + 1)


def test_large_labels_that_are_integers_are_classes_of_their_own():
    dataset = DatasetLoader.from_arrays(X, np.array(LARGE)[Y])
    assert dataset.classes == LARGE
    column = column_of(np.array(LARGE)[Y], "y")
    found = labels_of(column, dataset.classes, "y", "row {}".format, TableSchema(()))
    np.testing.assert_array_equal(ClassLabels(LARGE).encode(found), Y)


def test_large_labels_that_are_floats_are_refused(tmp_path: Path):
    message = _refused(X, np.array(LARGE, float)[Y])
    assert "a label is too large to be distinguished from its neighbours" in message
    assert "row 0" in message
    with pytest.raises(DataError, match="too large to be distinguished"):
        ClassLabels(LARGE).encode(np.array([float(2**53)]))
    path = tmp_path / "rows.libsvm"
    path.write_text("".join(f"{LARGE[y]} 1:{x}\n" for x, y in zip(X[:, 0], Y, strict=True)))
    with pytest.raises(DataError, match="too large to be distinguished"):
        DatasetLoader.load(DatasetConfig(name="d", source="local", params={"path": str(path)}))


@pytest.mark.parametrize("values", [[1, 0, 2], [1.0, 0.0, 0.5]])
def test_a_number_that_is_neither_true_nor_false_is_no_label_of_booleans(values: list[float]):
    column = column_of(np.array(values), "sick")
    with pytest.raises(DataError, match="row 2, column 'sick': a label is neither true nor false"):
        labels_of(column, (False, True), "sick", "row {}".format, TableSchema(()))
    kept = labels_of(column[:2], (False, True), "sick", "row {}".format, TableSchema(()))
    assert kept.tolist() == [True, False]
