"""The source `local`: the same rows from every format, official parts kept, columns chosen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fsspec
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import ConfigError, DataError, MissingDependencyError, UnknownNameError
from tests.local_files import (
    IMAGES,
    KINDS,
    NAMES,
    NUMBERS,
    TABLES,
    N,
    X,
    csv_text,
    idx,
    load,
    rows,
    table,
    write_all,
    write_images,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("local")
    write_all(path)
    return path


def test_a_path_is_enough(folder: Path):
    config = DatasetConfig(
        name="mine",
        source="local",
        params={"path": str(folder / "t.npz")},
        split={"train": 0.7, "val": 0.1, "test": 0.2},
    )
    assert DatasetLoader.load(config).sizes == {"train": 42, "val": 6, "test": 12}


@pytest.mark.parametrize("rows_per_task", [7, 60])
@pytest.mark.parametrize("name", TABLES)
def test_every_format_gives_the_same_rows(folder: Path, name: str, rows_per_task: int):
    dataset = load(folder / name, rows_per_task=rows_per_task)
    x, y = rows(dataset)
    np.testing.assert_array_equal(x, X)
    assert y.tolist() == KINDS.tolist()
    named = name in ("t.csv", "t.jsonl", "t.parquet")
    assert dataset.schema.feature_names == (NAMES if named else None)


@pytest.mark.parametrize("name", [name for name in TABLES if name != "npy"])
def test_a_uri_gives_the_rows_of_the_path(folder: Path, name: str):
    there = f"/local-{name.replace('.', '-')}/{name}"
    fsspec.filesystem("memory").pipe(there, (folder / name).read_bytes())
    suffix = name.partition(".")[2]
    for uri in (
        f"memory:/{there}",
        f"memory:/{there.rpartition('/')[0]}",
        f"memory:/{there.rpartition('/')[0]}/*.{suffix}",
        f"file://{folder / name}",
    ):
        x, _ = rows(load(uri, rows_per_task=25))
        np.testing.assert_array_equal(x, X)


def test_mnist_s_files_with_their_official_test_part(folder: Path):
    dataset = load(folder / "mnist", rows_per_task=25)
    assert dataset.sizes == {"train": 54, "val": 6, "test": 12}
    assert dataset.schema.image_shape == (4, 3)
    np.testing.assert_array_equal(dataset.materialize("test").x, IMAGES[:12].reshape(12, -1))
    x, y = rows(load(folder / "mnist" / "train-images-idx3-ubyte.gz"))
    np.testing.assert_array_equal(x, IMAGES.reshape(N, -1))
    np.testing.assert_array_equal(y, NUMBERS)


def test_idx_with_a_labels_file_of_another_name(tmp_path: Path):
    (tmp_path / "pictures.idx").write_bytes(idx(IMAGES))
    (tmp_path / "kinds.idx").write_bytes(idx(NUMBERS))
    x, y = rows(
        load(tmp_path / "pictures.idx", y_path=str(tmp_path / "kinds.idx"), rows_per_task=7)
    )
    np.testing.assert_array_equal(x, IMAGES.reshape(N, -1))
    np.testing.assert_array_equal(y, NUMBERS)
    with pytest.raises(ConfigError, match=r"Set params\.y_path"):
        load(tmp_path / "pictures.idx")


def test_images_by_folder_and_by_a_file_of_labels(folder: Path, tmp_path: Path):
    order = np.argsort(KINDS, kind="stable")  # folders are read in the order of their names
    x, y = rows(load(folder / "images", rows_per_task=7))
    np.testing.assert_array_equal(x, IMAGES[order].reshape(N, -1))
    assert y.tolist() == KINDS[order].tolist()
    for number, image in enumerate(IMAGES):
        Image.fromarray(image).save(tmp_path / f"{number:03}.png")
    lines = [f"{number:03}.png,{kind}" for number, kind in enumerate(KINDS)]
    (tmp_path / "labels.csv").write_text("\n".join(["filename,label", *lines]))
    x, y = rows(load(tmp_path, y_path=str(tmp_path / "labels.csv"), rows_per_task=7))
    np.testing.assert_array_equal(x, IMAGES.reshape(N, -1))
    assert y.tolist() == KINDS.tolist()


def test_images_are_resized_to_height_and_width_and_to_a_mode(folder: Path, tmp_path: Path):
    assert load(folder / "images", size=[6, 2]).schema.image_shape == (6, 2)
    assert load(folder / "images", mode="RGB").schema.image_shape == (4, 3, 3)
    colour = np.stack([IMAGES, IMAGES, IMAGES], axis=-1)
    write_images(tmp_path, colour)
    assert load(tmp_path).schema.image_shape == (4, 3, 3)
    assert load(tmp_path, mode="L").schema.image_shape == (4, 3)
    np.testing.assert_array_equal(
        rows(load(tmp_path, mode="L"))[0], rows(load(folder / "images"))[0]
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz", ".h5", ".png"])
def test_folders_train_val_test_are_official_parts(tmp_path: Path, suffix: str):
    for part, keep in (("train", slice(0, 30)), ("val", slice(30, 45)), ("test", slice(45, 60))):
        home = tmp_path / part
        home.mkdir()
        x, y = X[keep], KINDS[keep]
        if suffix == ".csv":
            (home / "t.csv").write_text(csv_text(x, y))
        elif suffix == ".parquet":
            pyarrow.parquet.write_table(table()[keep], home / "t.parquet")
        elif suffix == ".npz":
            np.savez(home / "t.npz", x=x, y=y)
        elif suffix == ".h5":
            with h5py.File(home / "t.h5", "w") as file:
                file["x"], file["y"] = x, y.astype("S")
        else:
            write_images(home, IMAGES[keep], y)
    dataset = load(tmp_path, rows_per_task=7)
    assert dataset.sizes == {"train": 30, "val": 15, "test": 15}
    if suffix != ".png":
        np.testing.assert_array_equal(dataset.materialize("test").x, X[45:])


@pytest.mark.parametrize("suffix", ["npz", "h5"])
@pytest.mark.parametrize("main", ["x", "x_train"])
def test_arrays_named_for_a_part_are_that_part(tmp_path: Path, suffix: str, main: str):
    arrays = {main: X, main.replace("x", "y"): NUMBERS, "x_test": X[:9], "y_test": NUMBERS[:9]}
    path = tmp_path / f"t.{suffix}"
    if suffix == "npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
    dataset = load(path)
    assert dataset.sizes["test"] == 9
    assert dataset.sizes["train"] + dataset.sizes["val"] == N


def test_half_a_part_and_two_main_parts_are_errors(tmp_path: Path):
    np.savez(tmp_path / "half.npz", x=X, y=NUMBERS, x_test=X)
    np.savez(tmp_path / "two.npz", x=X, y=NUMBERS, x_train=X, y_train=NUMBERS)
    with pytest.raises(DataError, match="its other half is not"):
        load(tmp_path / "half.npz")
    with pytest.raises(DataError, match=r"Say which are meant: params\.x"):
        load(tmp_path / "two.npz")
    assert load(tmp_path / "two.npz", x="x", y="y").sizes["train"] == 42


def test_arrays_in_groups_of_an_hdf5_file(tmp_path: Path):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["set/x"], file["set/y"] = X, NUMBERS
    np.testing.assert_array_equal(rows(load(tmp_path / "t.h5", x="set/x", y="set/y"))[0], X)


def test_hdf5_without_h5py_says_what_to_install(folder: Path):
    code = (
        "import sys; sys.modules['h5py'] = None\n"
        "from tests.local_files import load\n"
        f"load({str(folder / 't.h5')!r})"
    )
    # tests.local_files needs h5py itself, so the module is hidden behind it
    code = code.replace("import sys; ", "import sys, tests.local_files; ")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert MissingDependencyError.__name__ in done.stderr
    assert "pip install 'qstore-ray[hdf5]'" in done.stderr


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_columns_are_chosen_by_name(folder: Path, name: str):
    dataset = load(folder / name, {"features": ["c", "a"], "label": "label"})
    assert dataset.schema.feature_names == ("c", "a")
    np.testing.assert_array_equal(rows(dataset)[0], X[:, [2, 0]])
    with pytest.raises(UnknownNameError, match="Known: a, b, c, label"):
        load(folder / name, {"features": ["d"]})
    with pytest.raises(UnknownNameError, match="Known: a, b, c, label"):
        load(folder / name, {"label": "kind"})
    with pytest.raises(DataError, match="the label is also a feature"):
        load(folder / name, {"features": ["a", "label"]})


def test_the_label_column_is_never_guessed(tmp_path: Path):
    (tmp_path / "none.csv").write_text(csv_text().replace("label", "kind"))
    (tmp_path / "two.csv").write_text(csv_text().replace("c,label", "y,label"))
    with pytest.raises(DataError, match=r"no column is called.*one of: a, b, c, kind"):
        load(tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"several columns.*one of: a, b, y, label"):
        load(tmp_path / "two.csv")
    assert load(tmp_path / "none.csv", {"label": "kind"}).classes == ("ant", "bee", "cow")


def test_a_regression_from_a_table(tmp_path: Path):
    (tmp_path / "t.csv").write_text(csv_text(X, X[:, 0] * 2).replace("label", "target"))
    x, y = rows(load(tmp_path / "t.csv", task="regression"))
    np.testing.assert_array_equal(y, x[:, 0] * 2)


def test_csv_in_other_dresses(tmp_path: Path):
    (tmp_path / "t.tsv").write_text(csv_text(delimiter="\t"))
    (tmp_path / "semi.csv").write_text(csv_text(delimiter=";"))
    (tmp_path / "crlf.csv").write_bytes(csv_text().replace("\n", "\r\n\r\n").encode())
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbf" + csv_text().encode())
    (tmp_path / "bare.csv").write_text(csv_text().partition("\n")[2].rstrip("\n"))
    quoted = csv_text(y=[f'"{kind},\n""x"""' for kind in KINDS])
    (tmp_path / "quoted.csv").write_text(quoted)
    (tmp_path / "latin.csv").write_bytes(csv_text().replace("ant", "fourmi é").encode("latin-1"))
    expected = {"quoted.csv": 'ant,\n"x"', "latin.csv": "fourmi é"}
    asked = {
        "semi.csv": {"delimiter": ";"},
        "latin.csv": {"encoding": "latin-1"},
        "bare.csv": {"header": False},
    }
    for path in tmp_path.iterdir():
        columns = {"label": "f3"} if path.name == "bare.csv" else None
        x, y = rows(load(path, columns, rows_per_task=7, **asked.get(path.name, {})))
        np.testing.assert_array_equal(x, X)
        assert y[0] == expected.get(path.name, "ant"), path.name


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["no", "yes"], ("no", "yes")),
        ([1.0, 2.0], (1, 2)),
        ([True, False], (False, True)),
        ([-3, 5], (-3, 5)),
        ([0, 7], (0, 7)),
    ],
)
def test_labels_of_every_kind_become_the_same_classes(tmp_path: Path, labels, classes):
    y = (labels * N)[:N]
    frame = pa.table({**dict(zip(NAMES, X.T, strict=True)), "label": y})
    pyarrow.parquet.write_table(frame, tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text(csv_text(y=y))
    np.savez(tmp_path / "t.npz", x=X, y=np.array(y))
    for path in tmp_path.iterdir():
        assert load(path).classes == classes


def test_one_hot_labels_are_numbers_of_columns(tmp_path: Path):
    np.savez(tmp_path / "t.npz", x=X, y=np.eye(3)[NUMBERS])
    assert rows(load(tmp_path / "t.npz", rows_per_task=7))[1].tolist() == NUMBERS.tolist()


def test_parquet_columns_keep_their_common_type(tmp_path: Path):
    small = pa.table({"a": pa.array([1, 2] * 9, pa.uint8()), "y": [0, 1] * 9})
    pyarrow.parquet.write_table(small, tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet").schema.dtype == "uint8"


def test_a_setting_that_the_format_would_ignore_is_an_error(folder: Path):
    with pytest.raises(ConfigError, match=r"params\.size.*csv do not take this"):
        load(folder / "t.csv", size=[2, 2])
    with pytest.raises(ConfigError, match=r"columns\.label"):
        load(folder / "t.npz", {"label": "y"})
    with pytest.raises(ConfigError, match="does not name its features") as caught:
        load(folder / "t.npz", {"features": ["a"]})
    assert (caught.value.value, caught.value.fix[:12]) == (("a",), "Leave it out")


def test_a_file_of_other_names_says_which_setting_is_meant(tmp_path: Path):
    np.savez(tmp_path / "t.npz", wide=np.eye(4), thin=np.arange(4))
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["wide"], file["thin"] = np.eye(4), np.arange(4)
    for name in ("t.npz", "t.h5"):
        with pytest.raises(UnknownNameError) as caught:
            load(tmp_path / name)
        assert caught.value.field == "params.x"
        assert "Name the two that are meant in params.x and params.y." in caught.value.fix
