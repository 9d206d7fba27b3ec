"""Official parts, by the names of files, folders and arrays; what is no data is left out."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qstore_ray.data.sources.array_pairs import array_name
from qstore_ray.data.sources.huggingface.layout import parts_of
from qstore_ray.data.sources.parts import part_of_name
from qstore_ray.errors import ConfigError, DataError, UnknownNameError
from tests.local_files import IMAGES, KINDS, NUMBERS, X, csv_text, idx, load, write_images

PARTS = (("train", slice(0, 30)), ("val", slice(30, 45)), ("test", slice(45, 60)))


def _csv(path: Path, keep: slice) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(csv_text(X[keep], KINDS[keep]))


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *((name, "train") for name in ("train", "Training", "train_set", "trainData", "X_train",
                                       "iris-train", "Xtrain", "train-00000-of-00002")),
        *((name, "val") for name in ("val", "VALID", "validation", "dev", "val_set")),
        *((name, "test") for name in ("test", "Testing", "eval", "hold-out", "t10k-images")),
        *((name, None) for name in ("latest", "contest", "test2", "trainval", "train_test")),
    ],
)  # fmt: skip
def test_the_words_of_a_name_say_the_part(name: str, part: str | None):
    assert part_of_name(name).part == part


@pytest.mark.parametrize(
    "names",
    [
        ("train.csv", "valid.csv", "test.csv"),
        ("iris-Train.csv", "iris-dev.csv", "iris-TEST.csv"),
        ("trainData.csv", "valData.csv", "testData.csv"),
        ("training/a.csv", "validation/a.csv", "testing/a.csv"),
        ("data/train/a.csv", "data/val/a.csv", "data/eval/a.csv"),
    ],
)
def test_files_and_folders_named_for_a_part_are_that_part(tmp_path: Path, names):
    for name, (_, keep) in zip(names, PARTS, strict=True):
        _csv(tmp_path / name, keep)
    dataset = load(tmp_path)
    assert dataset.sizes == {"train": 30, "val": 15, "test": 15}
    np.testing.assert_array_equal(dataset.materialize("test").x, X[45:])
    assert "train from " in dataset.provenance["parts"]
    assert "parts" in dataset.provenance
    assert dataset.provenance["parts"] in dataset.describe()
    pattern = f"{tmp_path}/**/*.csv"
    assert load(pattern).sizes == dataset.sizes


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("train.csv", "test.csv", "holdout.csv"), "several could be test: holdout, test"),
        (("train.csv", "test_a.csv", "test_b.csv"), "several could be test"),
        (("test.csv", "val.csv"), "without a train"),
        (("train.csv", "test.csv", "test2.csv"), "other files: test2.csv"),
        (
            ("train.csv", "more.csv"),
            "train is named for train, and there are other files: more.csv",
        ),
        (("a/train.csv", "b/train.csv"), "each of the folders a, b has train"),
    ],
)
def test_names_that_do_not_resolve_are_listed_with_what_to_write(tmp_path, names, expected):
    for name in names:
        _csv(tmp_path / name, slice(0, 30))
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert expected in str(caught.value)
    assert "params.train" in caught.value.fix


def _table(path: Path, columns: dict[str, list]) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
        return
    rows = list(zip(*columns.values(), strict=True))
    if path.suffix == ".csv":
        lines = [",".join(map(str, row)) for row in (tuple(columns), *rows)]
    else:
        lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_tables_of_parts_agree_by_name_and_need_a_label(tmp_path: Path, suffix: str):
    rows = range(40)
    columns = {
        "a": [i + 0.5 for i in rows],
        "b": [-i for i in rows],
        "label": [i % 2 for i in rows],
    }
    _table(tmp_path / f"train.{suffix}", columns)
    _table(tmp_path / f"test.{suffix}", dict(reversed(columns.items())))
    dataset = load(tmp_path)
    np.testing.assert_array_equal(dataset.materialize("test").x[:, 1], -np.arange(40.0))
    _table(tmp_path / f"test.{suffix}", {"a": [1.5], "b": [2]})
    dataset = load(tmp_path)
    assert "has no labels" in dataset.provenance["unlabelled"]
    assert sum(dataset.sizes.values()) == 40
    (tmp_path / f"test.{suffix}").rename(tmp_path / f"val.{suffix}")
    with pytest.raises(DataError, match="no column 'label', which is the label in") as caught:
        load(tmp_path)
    assert "params.train" in caught.value.fix


def test_the_user_says_which_files_are_which(tmp_path: Path):
    _csv(tmp_path / "one" / "a.csv", slice(0, 40))
    _csv(tmp_path / "two" / "b.csv", slice(40, 60))
    parts = {"train": str(tmp_path / "one"), "test": str(tmp_path / "two" / "*.csv")}
    from qstore_ray.data.config import DatasetConfig
    from qstore_ray.data.loader import DatasetLoader

    dataset = DatasetLoader.load(DatasetConfig(name="m", source="local", params=parts))
    assert dataset.sizes["test"] == 20
    np.testing.assert_array_equal(dataset.materialize("test").x, X[40:])
    for wrong in ({"test": "b.csv"}, {}, {"path": "a.csv", **parts}):
        with pytest.raises(ConfigError):
            DatasetConfig(name="m", source="local", params=wrong)
    with pytest.raises(DataError, match="in two parts"):
        DatasetLoader.load(
            DatasetConfig(name="m", source="local", params={**parts, "test": parts["train"]})
        )


def test_parts_of_images_are_no_classes(tmp_path: Path):
    for folder, (_, keep) in zip(("Training", "Val", "Testing"), PARTS, strict=True):
        write_images(tmp_path / "a" / folder, IMAGES[keep], KINDS[keep])
    dataset = load(tmp_path / "a")
    assert dataset.classes == ("ant", "bee", "cow")
    assert dataset.sizes == {"train": 30, "val": 15, "test": 15}
    for kind in ("ant", "bee"):
        write_images(tmp_path / "b" / kind, IMAGES[:20], np.array(["train", "test"] * 10))
    with pytest.raises(DataError, match=r"each of the folders ant, bee has test, train"):
        load(tmp_path / "b")
    write_images(tmp_path / "c", IMAGES, np.array(["ant", "test"] * 30))
    with pytest.raises(DataError, match="a class that is called test"):
        load(tmp_path / "c")
    from qstore_ray.data.config import DatasetConfig
    from qstore_ray.data.loader import DatasetLoader

    whole = {"train": str(tmp_path / "c")}
    config = DatasetConfig(name="m", source="local", params=whole)
    assert DatasetLoader.load(config).classes == ("ant", "test")


NAMINGS = [
    ("x_train", "y_train", "x_valid", "y_valid", "x_test", "y_test"),
    ("X_train", "y_train", "X_val", "y_val", "X_test", "y_test"),
    ("Xtrain", "ytrain", "Xval", "yval", "Xtest", "ytest"),
    ("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels"),
    ("train_set_x", "train_set_y", "dev_set_x", "dev_set_y", "test_set_x", "test_set_y"),
    ("train/x", "train/y", "val/x", "val/y", "test/x", "test/y"),
    (
        "d/train/data",
        "d/train/target",
        "d/val/data",
        "d/val/target",
        "d/test/data",
        "d/test/target",
    ),
]


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    if path.suffix == ".npz":
        np.savez(path, **arrays)
        return
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
@pytest.mark.parametrize("names", NAMINGS, ids=lambda names: names[0])
def test_arrays_of_any_usual_spelling(tmp_path: Path, suffix: str, names):
    if suffix == ".npz" and "/" in names[0]:
        names = tuple(name.replace("/", "_").removeprefix("d_") for name in names)
    arrays = {}
    for (x, y), (_, keep) in zip(zip(names[::2], names[1::2], strict=True), PARTS, strict=True):
        arrays |= {x: X[keep], y: NUMBERS[keep]}
    arrays["list_classes"] = np.arange(3)  # names of classes are no rows
    _write(tmp_path / f"t{suffix}", arrays)
    dataset = load(tmp_path / f"t{suffix}")
    assert dataset.sizes == {"train": 30, "val": 15, "test": 15}
    np.testing.assert_array_equal(dataset.materialize("val").x, X[30:45])
    assert names[0] in dataset.provenance["parts"]


@pytest.mark.parametrize("pair", [("features", "labels"), ("data", "target"), ("images", "labels")])
def test_pairs_of_other_names(tmp_path: Path, pair):
    np.savez(tmp_path / "t.npz", **dict(zip(pair, (X, NUMBERS), strict=True)))
    assert sum(load(tmp_path / "t.npz").sizes.values()) == 60


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"ids": np.arange(60)}, "arrays are left over: ids"),
        ({"test_stuff": np.arange(3)}, "arrays are left over: test_stuff"),
        ({"data": X}, "several arrays could be the features: x, data"),
        ({"x_test": X}, "its other half is not"),
    ],
)
def test_arrays_that_are_left_over_are_listed(tmp_path: Path, more, expected: str):
    np.savez(tmp_path / "t.npz", x=X, y=NUMBERS, **more)
    with pytest.raises(DataError, match=expected):
        load(tmp_path / "t.npz")
    if "x_test" not in more:
        assert sum(load(tmp_path / "t.npz", x="x", y="y").sizes.values()) == 60


def test_arrays_without_names_say_what_to_write(tmp_path: Path):
    np.savez(tmp_path / "t.npz", X, NUMBERS)
    with pytest.raises(UnknownNameError, match=r'set params\.x = "arr_0" and params\.y = "arr_1"'):
        load(tmp_path / "t.npz")
    assert array_name("arr_0") is None


def test_lists_of_a_pennylane_data_set_and_tables_of_pandas(tmp_path: Path):
    with h5py.File(tmp_path / "q.h5", "w") as file:
        for number in range(60):
            file[f"inputs/{number}"], file[f"labels/{number}"] = X[number], NUMBERS[number]
        file["labels"].attrs["qp.data.type_id"] = "list"
    x = load(tmp_path / "q.h5", rows_per_task=7).materialize("train").x
    assert x.shape == (42, 3)
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file.create_group("df").attrs["pandas_type"] = "frame"
    with pytest.raises(DataError, match="Save the table as Parquet or CSV"):
        load(tmp_path / "p.h5")


def test_parts_that_differ_name_both(tmp_path: Path):
    np.savez(
        tmp_path / "s.npz", x_train=X.reshape(60, 3, 1), y_train=NUMBERS, x_test=X, y_test=NUMBERS
    )
    np.savez(tmp_path / "k.npz", x_train=X, y_train=NUMBERS, x_test=X, y_test=KINDS)
    with pytest.raises(
        DataError, match=r"test split \(x_test and y_test\) has rows of shape \(3,\)"
    ):
        load(tmp_path / "s.npz")
    with pytest.raises(DataError, match=r"has text as labels, train .* has numbers"):
        load(tmp_path / "k.npz")


@pytest.mark.parametrize("name", ["t10k", "emnist-letters-test"])
def test_idx_files_are_parts_by_name(tmp_path: Path, name: str):
    train = "train" if name == "t10k" else "emnist-letters-train"
    for part, rows in ((train, slice(None)), (name, slice(12))):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(IMAGES[rows]))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(NUMBERS[rows]))
    assert load(tmp_path).sizes["test"] == 12


def test_what_is_no_data_is_skipped_and_said(tmp_path: Path):
    _csv(tmp_path / "a.csv", slice(None))
    for name in ("README.md", "desktop.ini", "LICENSE", "Thumbs.db", "SHA256SUMS", ".DS_Store"):
        (tmp_path / name).write_text("x")
    (tmp_path / "__MACOSX").mkdir()
    dataset = load(tmp_path)
    assert sum(dataset.sizes.values()) == 60
    assert "README.md" in dataset.provenance["skipped"] or "more" in dataset.provenance["skipped"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.pkl", "run any code"), ("a.pt", "run any code"), ("a.mat", "MATLAB"), ("a.xlsx", "as CSV"),
     ("a.zip", "Unpack"), ("a.csv.xz", "Unpack")],
)  # fmt: skip
def test_other_formats_are_refused_with_what_to_do(tmp_path: Path, name: str, expected: str):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=expected):
        load(tmp_path / name)


def test_complex_and_object_arrays_say_what_to_save(tmp_path: Path):
    np.savez(tmp_path / "c.npz", x=X + 1j, y=NUMBERS)
    np.savez(tmp_path / "o.npz", x=np.array([[1], [1, 2]] * 30, dtype=object), y=NUMBERS)
    with pytest.raises(DataError, match="real and imaginary parts"):
        load(tmp_path / "c.npz")
    with pytest.raises(DataError, match="pickles run code"):
        load(tmp_path / "o.npz")


def test_splits_of_a_hub_by_the_same_words():
    assert parts_of(("train", "valid", "eval"), None) == {
        "train": "train", "val": "valid", "test": "eval"
    }  # fmt: skip
    assert parts_of(("train", "dev"), None) == {"train": "train", "val": "dev"}
    with pytest.raises(ConfigError, match="exactly one split is train"):
        parts_of(("train", "test", "eval"), None)


@pytest.mark.parametrize(
    "header", ["id,label", "image_id,class", "filename,category", "path,target"]
)
@pytest.mark.parametrize("suffix", ["", ".png"])
def test_labels_of_images_with_other_columns_and_ids(tmp_path: Path, header: str, suffix: str):
    from PIL import Image

    (tmp_path / "images").mkdir()
    lines = [header]
    for number, kind in enumerate(KINDS):
        Image.fromarray(IMAGES[number]).save(tmp_path / "images" / f"{number:04}.png")
        lines.append(f"{number:04}{suffix},{kind}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    dataset = load(tmp_path / "images", y_path=str(tmp_path / "labels.csv"))
    assert dataset.classes == ("ant", "bee", "cow")
    (tmp_path / "labels.csv").write_text("\n".join(lines[:-3]))
    with pytest.raises(DataError, match="3 images have no label"):
        load(tmp_path / "images", y_path=str(tmp_path / "labels.csv"))
