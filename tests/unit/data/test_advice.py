"""Errors about data say what a user would have to change, not the next thing that fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse

from qstore_ray import DatasetConfig, DatasetLoader
from qstore_ray.data.inputs.frame import by_position, frame_of
from qstore_ray.data.inputs.learnt import learnt
from qstore_ray.errors import ConfigError, DataError

N = 60
X = np.random.default_rng(0).random((N, 2))


def test_quantities_without_a_task_are_told_of_regression():
    """Each whole number is a class of one row, however the rows are divided."""
    with pytest.raises(DataError, match="every class has too few rows") as caught:
        DatasetLoader.from_arrays(X, np.arange(N))
    assert 'task = "regression"' in caught.value.fix


def test_a_label_that_never_holds_is_named():
    y = np.stack([X[:, 0] > 0.5, np.zeros(N)], axis=1).astype(int)
    with pytest.raises(DataError, match="label 1 holds in no row of train"):
        DatasetLoader.from_arrays(X, y, task="multilabel")


def test_a_path_that_does_not_exist_is_not_of_a_wrong_format(tmp_path: Path):
    with pytest.raises(DataError, match="no such file") as caught:
        _load(tmp_path / "data")
    assert caught.value.value == str(tmp_path / "data")
    (tmp_path / "data").write_text("1 2")
    with pytest.raises(DataError, match="no format has this suffix"):
        _load(tmp_path / "data")


def test_a_folder_of_this_machine_is_no_data_set_of_the_hub(tmp_path: Path):
    with pytest.raises(ConfigError, match="on the hub") as caught:
        DatasetConfig(name="t", source="huggingface", params={"path": str(tmp_path)})
    assert 'source = "local"' in caught.value.fix


def test_a_dictionary_of_tables_is_not_taken_for_one_of_columns():
    parts = {"train": pd.DataFrame(X), "test": pd.DataFrame(X)}
    with pytest.raises(DataError, match="a dictionary of tables") as caught:
        DatasetLoader.from_arrays(parts, np.arange(N) % 2)
    assert "x['train']" in caught.value.fix


def test_a_sparse_matrix_says_how_to_make_it_dense():
    with pytest.raises(DataError, match=r"a sparse matrix.*toarray\(\)"):
        DatasetLoader.from_arrays(scipy.sparse.csr_matrix(X), np.arange(N) % 2)


def test_an_array_of_texts_of_another_width_is_told_so():
    schema = learnt(frame_of({"a": [1.0, 2.0], "b": ["u", "v"]}))
    with pytest.raises(DataError, match="rows have 3 features, 2 are expected"):
        by_position(np.array([[7, 1.0, "u"]], dtype=object), schema)


@pytest.mark.parametrize(
    ("train", "test", "pair"),
    [("01", ["0.0", "1.0"], "'0.0' as '0'"), ("ab", ["A", "b."], "'A' as 'a'")],
)
def test_labels_of_parts_that_are_written_otherwise(tmp_path: Path, train, test, pair):
    """pandas writes 0 as 0.0 in a column where another value is missing."""
    for name, labels in (("train", train), ("test", test)):
        rows = (f"{a},{labels[i % 2]}" for i, (a, _) in enumerate(X.tolist()))
        (tmp_path / f"{name}.csv").write_text("\n".join(["a,y", *rows]))
    with pytest.raises(DataError, match="not among the classes") as caught:
        _load(tmp_path)
    assert f"Write the labels of one class alike in every part: {pair}" in caught.value.fix


def _load(path: Path):
    return DatasetLoader.load(DatasetConfig(name="t", source="local", params={"path": str(path)}))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.arange(N) // 2 + 17, True),  # 30 ages of 60 people
        (np.array([f"name {k // 2}" for k in range(N)]), False),
        (np.arange(N) % 10, False),
    ],
)
def test_many_whole_numbers_are_called_what_they_may_be(labels, said: bool):
    dataset = DatasetLoader.from_arrays(X, labels, split={"train": 0.5, "test": 0.5})
    assert ("many" in dataset.provenance) == said
    assert ('set task = "regression"' in dataset.describe()) == said


def test_parts_in_memory_are_not_told_of_files():
    with pytest.raises(DataError, match="has text as labels, train has numbers") as caught:
        DatasetLoader.from_arrays(X, np.arange(N) % 2, val=(X, ["0", "1"] * (N // 2)))
    assert caught.value.fix == "Give parts of one kind."


@pytest.mark.parametrize("part", [pd.DataFrame(X), (X,), (X, X, X), X])
def test_a_part_is_a_pair(part):
    with pytest.raises(ConfigError, match="a pair of rows and labels") as caught:
        DatasetLoader.from_arrays(X, np.arange(N) % 2, val=part)
    assert caught.value.field == "val"


@pytest.mark.parametrize(
    ("names", "message"),
    [(("a", "a"), "the same name"), ("ab", "list of texts"), ((0, 1), "list of texts")],
)
def test_names_of_features_are_distinct_texts(names, message: str):
    with pytest.raises(ConfigError, match=message):
        DatasetLoader.from_arrays(X, np.arange(N) % 2, feature_names=names)
    named = DatasetLoader.from_arrays(X, np.arange(N) % 2, feature_names=["a", "b"])
    assert named.schema.feature_names == ("a", "b")


def test_intervals_are_no_categories_and_say_what_to_write():
    frame = pd.DataFrame(X, columns=["a", "b"]).assign(c=pd.cut(X[:, 0], 3))
    with pytest.raises(DataError, match="no numbers and no text") as caught:
        DatasetLoader.from_arrays(frame, np.arange(N) % 2)
    assert "astype(str)" in caught.value.fix
    assert DatasetLoader.from_arrays(frame.astype({"c": str}), np.arange(N) % 2)
    with pytest.raises(DataError, match="numbers, bools or text") as caught:
        DatasetLoader.from_arrays(X, frame["c"])
    assert "astype(str)" in caught.value.fix


def test_a_stream_of_rows_has_to_be_read():
    batch = pa.RecordBatch.from_pydict({"a": X[:, 0]})
    stream = pa.RecordBatchReader.from_batches(batch.schema, [batch])
    with pytest.raises(DataError, match=r"a stream.*read_all\(\)"):
        DatasetLoader.from_arrays(stream, np.arange(N) % 2)


@pytest.mark.parametrize(("x", "y"), [(X, "species"), ("data.csv", [0, 1]), (Path("a"), [0])])
def test_names_and_paths_are_no_values(x, y):
    with pytest.raises(DataError, match="an array of rows is needed") as caught:
        DatasetLoader.from_arrays(x, y)
    assert 'x["name"] for a column' in caught.value.fix


def test_several_labels_of_a_table_keep_their_names():
    y = pd.DataFrame({"cat": np.arange(N) % 2, "dog": np.arange(N) // 2 % 2})
    dataset = DatasetLoader.from_arrays(X, y, task="multilabel")
    assert dataset.schema.class_names == ("cat", "dog")
    assert dataset.materialize("train").y.shape[1] == 2
    assert DatasetLoader.from_arrays(X, y.to_numpy(), task="multilabel").schema.class_names == (
        "0",
        "1",
    )


def test_several_columns_of_labels_are_told_of_arrays():
    with pytest.raises(ConfigError, match="one column of labels") as caught:
        DatasetConfig(name="t", source="local", params={"path": "t"}, columns={"label": ["a", "b"]})
    assert caught.value.field == "columns.label"
    assert "y (N, T)" in caught.value.fix


def test_a_folder_of_prose_is_told_to_make_numbers(tmp_path: Path):
    for kind in ("neg", "pos"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "0.txt").write_text("What a nice film.\nIt was, really, so good!\n")
    with pytest.raises(DataError, match="no column is called") as caught:
        _load(tmp_path)
    assert "make numbers of the texts first" in caught.value.fix
