"""Features in one text file and the labels of their rows in another are one dataset."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qstore_ray.data.inputs.signature import Signature
from qstore_ray.data.inputs.unlabelled import read_labelled, read_unlabelled
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.data.sources.local.other_files import paired
from qstore_ray.errors import ConfigError, DataError
from tests.local_files import load, rows

NAMES = np.array(["WALKING", "SITTING DOWN", "LAYING"])
SIZES = {"train": 30, "test": 12}


def _features(n: int) -> np.ndarray:
    return np.random.default_rng(n).normal(size=(n, 3))


def _pair(folder: Path, x: str, y: str, n: int, *, names: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.savetxt(folder / x, _features(n), fmt=" %.17e", delimiter="," if ".csv" in x else " ")
    np.savetxt(folder / y, NAMES[np.arange(n) % 3] if names else np.arange(n) % 3 + 1, fmt="%s")


def _recordings(folder: Path, *, names: bool = False) -> Path:
    """A folder as the archive of UCI gives several data sets."""
    for part, n in SIZES.items():
        _pair(folder / part, f"X_{part}.txt", f"y_{part}.txt", n, names=names)
        np.savetxt(folder / part / f"subject_{part}.txt", np.arange(n) % 4, fmt="%d")
        (folder / part / "Inertial Signals").mkdir()
        np.savetxt(folder / part / "Inertial Signals" / f"body_acc_x_{part}.txt", _features(n))
    (folder / "activity_labels.txt").write_text("1 WALKING\n2 SITTING\n3 LAYING\n")
    (folder / "features.txt").write_text("1 mean\n2 std\n3 max\n")
    return folder


def _check_recordings(dataset: Dataset) -> None:
    x, _ = dataset.materialize("test")
    np.testing.assert_array_equal(x, _features(12))
    assert sum(dataset.sizes.values()) == 42
    assert dataset.schema.table.parts == (("train", "X_train.txt"), ("test", "X_test.txt"))


@pytest.mark.parametrize("names", [False, True])
def test_official_parts_of_two_files_each(tmp_path: Path, names: bool):
    dataset = load(_recordings(tmp_path / "data", names=names))
    _check_recordings(dataset)
    kinds = sorted(NAMES.tolist()) if names else [1, 2, 3]
    assert list(dataset.classes) == kinds
    _, y = dataset.materialize("test")
    expected = NAMES[np.arange(12) % 3].tolist() if names else (np.arange(12) % 3 + 1).tolist()
    assert [dataset.classes[number] for number in y] == expected
    assert "labels from y_train.txt, y_test.txt" in dataset.provenance["labels"]
    for left_out in ("features.txt", "activity_labels.txt"):
        assert left_out in dataset.provenance["skipped"]


def test_rows_of_a_task_do_not_move_labels(tmp_path: Path):
    folder = _recordings(tmp_path / "data")
    whole, cut = load(folder), load(folder, rows_per_task=7)
    assert whole.fingerprint == cut.fingerprint
    for split in whole.sizes:
        for one, other in zip(whole.materialize(split), cut.materialize(split), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ("data.txt", "labels.txt"),
        ("X.dat", "y.dat"),
        ("features.data", "targets.data"),
        ("x_train.txt", "Y_train.txt"),
        ("X_train.csv", "y_train.csv"),
        ("train_X.csv", "train_y.csv"),
        ("train_x.txt", "train_y.txt"),
        ("train/X.csv", "train/y.csv"),
        ("xtrain.txt", "ytrain.txt"),
    ],
)
def test_two_files_without_a_test_are_split(tmp_path: Path, x: str, y: str):
    _pair((tmp_path / x).parent, Path(x).name, Path(y).name, 30)
    dataset = load(tmp_path)
    found, labels = rows(dataset)
    np.testing.assert_array_equal(found, _features(30))
    assert labels.tolist() == (np.arange(30) % 3 + 1).tolist()


def test_packed_files(tmp_path: Path):
    for name in ("X_train.txt", "y_train.txt"):
        _pair(tmp_path, "X_train.txt", "y_train.txt", 30)
        text = (tmp_path / name).read_bytes()
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text))
    for name in ("X_train.txt", "y_train.txt"):
        (tmp_path / name).unlink()
    np.testing.assert_array_equal(rows(load(tmp_path))[0], _features(30))


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("header", [True, False])
def test_what_pandas_writes(tmp_path: Path, index: bool, header: bool):
    """Tables with names and a category; the labels with and without a header and an index."""
    for part, n in SIZES.items():
        x = pd.DataFrame(_features(n), columns=["a", "b", "c"])
        x["town"] = ["Bonn", "Ulm"] * (n // 2)
        x.to_csv(tmp_path / f"X_{part}.csv", index=index)
        y = pd.Series(np.array(["no", "yes"])[np.arange(n) % 2], name="species")
        if not header:
            y.to_csv(tmp_path / f"y_{part}.csv", index=False, header=False)
        else:
            y.to_csv(tmp_path / f"y_{part}.csv", index=index)
    dataset = load(tmp_path)
    assert dataset.schema.feature_names == ("a", "b", "c", "town")
    assert dataset.classes == ("no", "yes")
    assert dataset.materialize("test").y.tolist() == [0, 1] * 6
    assert dataset.schema.table.label == ("species" if header else "label")


def test_a_weight_lies_among_the_features(tmp_path: Path):
    x = pd.DataFrame(_features(30), columns=["a", "b", "c"])
    x["w"] = np.arange(30) + 1.0
    x.to_csv(tmp_path / "X_train.csv", index=False)
    pd.Series(np.arange(30) % 2).to_csv(tmp_path / "y_train.csv", index=False)
    dataset = load(tmp_path, {"weight": "w"})
    assert dataset.schema.feature_names == ("a", "b", "c")
    assert dataset.plan("train").weight.tolist() == (dataset.rows("train") + 1.0).tolist()


@pytest.mark.parametrize("fmt", ["%.18e", "%.7e", "%d", "%.1f"])
def test_labels_that_numpy_writes_are_numbers(tmp_path: Path, fmt: str):
    _pair(tmp_path, "X_train.txt", "y_train.txt", 30)
    np.savetxt(tmp_path / "y_train.txt", np.arange(30) % 3 - 1, fmt=fmt)
    assert load(tmp_path).classes == (-1, 0, 1)


def test_a_regression(tmp_path: Path):
    _pair(tmp_path, "X_train.txt", "y_train.txt", 30)
    (tmp_path / "y_train.txt").write_text("".join(f"{i / 7}\n" for i in range(30)))
    assert rows(load(tmp_path, task="regression"))[1].tolist() == [i / 7 for i in range(30)]


@pytest.mark.parametrize("n_labels", [2, 11, 14])
def test_another_number_of_labels_is_refused_with_both_counts(tmp_path: Path, n_labels: int):
    folder = _recordings(tmp_path / "data")
    (folder / "test" / "y_test.txt").write_text("1\n" * n_labels)
    with pytest.raises(
        DataError, match=rf"X_test\.txt has 12 rows and y_test\.txt has {n_labels} labels"
    ):
        load(folder)


def test_arrays_of_different_lengths_are_refused_with_both_files(tmp_path: Path):
    np.save(tmp_path / "X_train.npy", _features(30))
    np.save(tmp_path / "y_train.npy", np.arange(29) % 3)
    with pytest.raises(DataError, match="30 rows but 29 labels") as caught:
        load(tmp_path)
    assert "X_train.npy" in str(caught.value.field)
    assert "y_train.npy" in str(caught.value.field)


@pytest.mark.parametrize("nested", [True, False])
def test_pairs_of_arrays_with_names_for_labels(tmp_path: Path, nested: bool):
    for part, n in SIZES.items():
        folder = tmp_path / part if nested else tmp_path
        folder.mkdir(exist_ok=True)
        np.save(folder / f"X_{part}.npy", _features(n))
        np.save(folder / f"y_{part}.npy", NAMES[np.arange(n) % 3])
    dataset = load(tmp_path)
    assert dataset.sizes["test"] == 12
    assert dataset.classes == tuple(sorted(NAMES.tolist()))


def test_several_columns_of_labels_are_refused(tmp_path: Path):
    _pair(tmp_path, "X_train.txt", "y_train.txt", 30)
    np.savetxt(tmp_path / "y_train.txt", np.zeros((30, 2)), fmt="%d")
    with pytest.raises(DataError, match=r"y_train\.txt has 2 columns, and labels are one"):
        load(tmp_path)


def test_a_missing_label_is_refused_with_its_row(tmp_path: Path):
    _pair(tmp_path, "X_train.txt", "y_train.txt", 30)
    (tmp_path / "y_train.txt").write_text("a\nb\nNA\n" + "a\n" * 27)
    with pytest.raises(DataError, match="a label is missing in row 2"):
        load(tmp_path)


def test_half_of_a_pair_is_refused_and_a_test_without_labels_is_left_out(tmp_path: Path):
    folder = _recordings(tmp_path / "data")
    (folder / "test" / "y_test.txt").unlink()
    dataset = load(folder)
    assert sum(dataset.sizes.values()) == 30
    assert "X_test.txt has no labels and is left out" in dataset.describe()
    assert "X_test.txt" not in dataset.provenance["skipped"]
    (folder / "test" / "X_test.txt").rename(folder / "test" / "X_val.txt")
    with pytest.raises(DataError, match=r"X_val\.txt has no other half"):
        load(folder)
    (folder / "test" / "X_val.txt").rename(folder / "test" / "y_test.txt")
    with pytest.raises(DataError, match=r"y_test\.txt has no other half"):
        load(folder)


def test_a_label_among_the_features_is_refused(tmp_path: Path):
    x = pd.DataFrame(_features(30), columns=["a", "b", "target"])
    x.to_csv(tmp_path / "X_train.csv", index=False)
    pd.Series(np.arange(30) % 2).to_csv(tmp_path / "y_train.csv", index=False)
    with pytest.raises(DataError, match="a column 'target' beside the features"):
        load(tmp_path)
    assert load(tmp_path, {"exclude": ["target"]}).schema.feature_names == ("a", "b")
    assert load(tmp_path, {"features": ["a", "target"]}).schema.n_raw_features == 2
    with pytest.raises(ConfigError, match=r"the labels are in y_train\.csv"):
        load(tmp_path, {"label": "target"})


def test_another_format_is_refused(tmp_path: Path):
    _pair(tmp_path, "X_train.txt", "y_train.txt", 30)
    with pytest.raises(ConfigError, match="files of the format libsvm have their own"):
        load(tmp_path, format="libsvm")


def test_one_file_and_its_labels_by_y_path(tmp_path: Path):
    folder = _recordings(tmp_path / "data") / "train"
    y_path = str(folder / "y_train.txt")
    dataset = load(folder / "X_train.txt", y_path=y_path)
    np.testing.assert_array_equal(rows(dataset)[0], _features(30))
    signature = Signature.of(dataset)
    found = read_labelled(str(folder / "X_train.txt"), signature, None, "test", {"y_path": y_path})
    assert found.y.tolist() == (np.arange(30) % 3 + 1).tolist()
    for name in "ab":
        np.savetxt(tmp_path / f"{name}.csv", _features(30), delimiter=",")
    with pytest.raises(ConfigError, match="belongs to one file, not to 2"):
        load(tmp_path / "*.csv", y_path=y_path)


def test_parts_that_are_named_are_read_too(tmp_path: Path):
    folder = _recordings(tmp_path / "data")
    from qstore_ray import DatasetConfig, DatasetLoader

    params = {part: str(folder / part) for part in SIZES}
    dataset = DatasetLoader.load(DatasetConfig(name="h", source="local", params=params))
    np.testing.assert_array_equal(dataset.materialize("test").x, _features(12))


def test_rows_to_score_and_to_predict_on(tmp_path: Path):
    folder = _recordings(tmp_path / "data", names=True)
    signature = Signature.of(load(folder))
    found = read_labelled(str(folder), signature, None, "test")
    np.testing.assert_array_equal(signature.raw(found.rows), _features(12))
    assert found.y.tolist() == NAMES[np.arange(12) % 3].tolist()
    alone = read_unlabelled(str(folder / "test" / "X_test.txt"), signature)
    np.testing.assert_array_equal(signature.raw(alone.rows), _features(12))


@pytest.mark.parametrize(
    "files",
    [
        ("a/X_train.txt", "b/y_train.txt"),
        ("X_train.txt", "y_test.txt"),
        ("data.csv", "labels.csv"),
        ("x.csv", "y.csv"),
        ("features.txt", "activity_labels.txt"),
        ("X.npy", "y.npy"),
    ],
)
def test_files_that_do_not_belong_together(files: tuple[str, str]):
    assert paired(files) == ()
