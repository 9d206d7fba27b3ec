"""The two sources: scikit-learn's sets, and NumPy files that may come from anywhere."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import ConfigError, DataError, UnknownNameError

X = np.random.default_rng(2).normal(size=(30, 4))
Y = np.arange(30) % 3


def _sklearn(task: str = "classification", **params) -> Dataset:
    return DatasetLoader.load(
        DatasetConfig(name="set", params=params, task=task, split={"train": 1.0})
    )


def _numpy(path: Path, **params) -> Dataset:
    params = {"path": str(path), **params}
    return DatasetLoader.load(DatasetConfig(name="file", source="local", params=params))


@pytest.mark.parametrize("name", ["breast_cancer", "digits", "iris", "wine"])
def test_bundled_sets_are_scikit_learn_s(name: str):
    bunch = getattr(sklearn.datasets, f"load_{name}")()
    dataset = _sklearn(dataset=name)
    x, y = dataset.materialize("train")
    np.testing.assert_array_equal(x, bunch.data)
    np.testing.assert_array_equal(y, bunch.target)
    assert dataset.schema.feature_names == tuple(map(str, bunch.feature_names))
    assert dataset.schema.class_names == tuple(map(str, bunch.target_names))


def test_diabetes_is_a_regression():
    x, y = _sklearn("regression", dataset="diabetes").materialize("train")
    bunch = sklearn.datasets.load_diabetes()
    np.testing.assert_array_equal(x, bunch.data)
    np.testing.assert_array_equal(y, bunch.target)


def test_generators_take_their_arguments():
    x, y = _sklearn(dataset="make_moons", n_samples=40, noise=0.1, random_state=3).materialize(
        "train"
    )
    expected = sklearn.datasets.make_moons(n_samples=40, noise=0.1, random_state=3)
    np.testing.assert_array_equal(x, expected[0])
    np.testing.assert_array_equal(y, expected[1])


def test_what_a_generator_refuses_is_an_error_of_ours():
    with pytest.raises(ConfigError, match="make_classification refuses"):
        _sklearn(dataset="make_classification", n_features=3, n_informative=5)


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    path = tmp_path / "data.npz"
    np.savez_compressed(path, x=X, y=Y)
    return path


def test_npz_and_npy_give_the_same_rows(tmp_path: Path, npz: Path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    one = _numpy(npz)
    other = _numpy(tmp_path / "x.npy", y_path=str(tmp_path / "y.npy"))
    assert one.fingerprint == other.fingerprint
    np.testing.assert_array_equal(one.materialize("train").x, X[one.rows("train")])


def test_arrays_of_other_names(tmp_path: Path):
    np.savez(tmp_path / "d.npz", a=X, b=Y, c=X[:6], d=Y[:6])
    dataset = _numpy(tmp_path / "d.npz", x="a", y="b", x_test="c", y_test="d")
    np.testing.assert_array_equal(dataset.materialize("test").x, X[:6])
    with pytest.raises(UnknownNameError, match="Known: a, b, c, d"):
        _numpy(tmp_path / "d.npz")
    with pytest.raises(ConfigError, match="go together"):
        _numpy(tmp_path / "d.npz", x="a", y="b", x_test="c")


def test_a_test_set_in_the_file_is_never_overlooked(tmp_path: Path):
    np.savez(tmp_path / "d.npz", x=X, y=Y, x_test=X[:6], y_test=Y[:6])
    assert _numpy(tmp_path / "d.npz").sizes["test"] == 6


def test_a_file_that_changes_is_an_error(npz: Path):
    dataset = _numpy(npz)
    np.savez_compressed(npz, x=X + 1.0, y=Y)
    with pytest.raises(DataError, match="changed since the dataset was loaded"):
        dataset.materialize("train")
    npz.unlink()
    with pytest.raises(DataError, match="no such file"):
        dataset.materialize("train")


def test_objects_are_never_unpickled(tmp_path: Path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    trap = np.array([Trap()] * 30, dtype=object)
    np.savez(tmp_path / "trap.npz", x=trap, y=Y)
    np.save(tmp_path / "trap.npy", trap)
    np.save(tmp_path / "y.npy", Y)
    with pytest.raises(DataError, match="type object are refused"):
        _numpy(tmp_path / "trap.npz")
    with pytest.raises(DataError, match="type object are refused"):
        _numpy(tmp_path / "trap.npy", y_path=str(tmp_path / "y.npy"))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("dtype", ["c16", "M8[s]", "V4", "S3", [("a", "f8")]])
def test_types_that_are_no_numbers_are_refused(tmp_path: Path, dtype):
    np.savez(tmp_path / "d.npz", x=np.zeros((30, 2), dtype=dtype), y=Y)
    with pytest.raises(DataError, match="refused"):
        _numpy(tmp_path / "d.npz")


def _npy(shape: str, dtype: str = "<f8", content: bytes = b"", version: int = 1) -> bytes:
    """A `.npy` file whose header says anything at all."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    padded = header.ljust(117).encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + len(padded).to_bytes(2, "little") + padded + content


def _write_npz(path: Path, x: bytes) -> Path:
    y = io.BytesIO()
    np.save(y, Y)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", x)
        archive.writestr("y.npy", y.getvalue())
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_npy("(100000000000, 2)"), "1,600,000,000,000 bytes, 1,073,741,824 are allowed"),
        (_npy("(30, 2)"), "declares 480 bytes, the file holds 0"),
        (_npy("(30, 2)", content=b"\0" * 481), "declares 480 bytes, the file holds 481"),
        (_npy("(-30, -2)", content=b"\0" * 480), "negative"),
        (_npy("(100000000000, 0)"), "rows without content"),
        (_npy("(100000000000,)", dtype="<U0"), "rows without content"),
        (_npy("(30, 2)", version=9), "version"),
        (_npy("(30, 'a')"), "damaged or foreign"),
        (_npy("()", content=b"\0" * 8), "array of rows"),
        (b"", "damaged or foreign"),
        (b"\x93NUMPY", "damaged or foreign"),
        (b"PK\x03\x04 something else", "damaged or foreign|a zip archive"),
    ],
)
def test_a_header_is_not_believed(tmp_path: Path, content: bytes, message: str):
    with pytest.raises(DataError, match=message):
        _numpy(_write_npz(tmp_path / "lie.npz", content))
    (tmp_path / "lie.npy").write_bytes(content)
    np.save(tmp_path / "y.npy", Y)
    with pytest.raises(DataError, match=message):
        _numpy(tmp_path / "lie.npy", y_path=str(tmp_path / "y.npy"))


def test_a_compression_bomb_is_refused(tmp_path: Path):
    bomb = _write_npz(tmp_path / "bomb.npz", _npy("(30, 100000)", content=bytes(24_000_000)))
    assert bomb.stat().st_size < 40_000
    with pytest.raises(DataError, match="times its size"):
        _numpy(bomb)


def test_the_cap_on_one_array_is_a_parameter(npz: Path):
    with pytest.raises(DataError, match=r"Raise params\.max_bytes"):
        _numpy(npz, max_bytes=100)


@given(st.data())
def test_a_damaged_file_is_a_data_error_or_the_same_rows(tmp_path_factory, data):
    """Any byte changed or the end cut off: refused, or noticed to be the same content."""
    good = tmp_path_factory.mktemp("damage") / "good.npz"
    np.savez_compressed(good, x=X, y=Y)
    content = bytearray(good.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] ^= data.draw(st.integers(1, 255))
    bad = good.with_name("bad.npz")
    bad.write_bytes(content)
    try:
        fingerprint = _numpy(bad).fingerprint
    except (DataError, UnknownNameError):
        return
    assert fingerprint == _numpy(good).fingerprint


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"path": "x.npy"}, "params.y_path"),
        ({"path": "d.npz", "x": "a"}, "params.x"),
        ({"path": "d.npz", "in_memory": True}, "params.in_memory"),
        ({"path": "d.npz", "max_bytes": 0}, "params.max_bytes"),
        ({"path": "d.npz", "allow_pickle": True}, "params.allow_pickle"),
    ],
)
def test_wrong_parameters_are_refused_when_configured(params: dict, field: str):
    with pytest.raises(ConfigError) as caught:
        DatasetConfig(name="file", source="local", params=params)
    assert caught.value.field == field


def test_files_are_not_the_source_numpy():
    with pytest.raises(ConfigError, match='source = "local"') as caught:
        DatasetConfig(name="file", source="numpy", params={"path": "d.npz"})
    assert caught.value.field == "params.path"


def test_a_labels_file_beside_an_npz_file_is_not_ignored(npz: Path):
    with pytest.raises(ConfigError, match="do not take this"):
        _numpy(npz, y_path="y.npy")


def test_a_missing_file(tmp_path: Path):
    with pytest.raises(DataError, match="no such file"):
        _numpy(tmp_path / "absent.npz")


FASHION = Path(__file__).resolve().parents[4] / "shared" / "data" / "fashion_mnist_600.npz"


@pytest.mark.skipif(not FASHION.exists(), reason="the 600 Fashion-MNIST images are not here")
def test_real_images():
    dataset = DatasetLoader.load(
        DatasetConfig(
            name="fashion",
            source="local",
            params={"path": str(FASHION)},
            preprocessing=[{"name": "standard"}, {"name": "pca", "components": 8}],
        )
    )
    assert dataset.schema.image_shape == (28, 28)
    assert dataset.materialize("train").x.shape == (dataset.sizes["train"], 8)
    assert len(dataset.classes) == 10
