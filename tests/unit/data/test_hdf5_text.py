"""Labels of variable length in HDF5 files: read, bounded, and harmless where they are damaged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qstore_ray.data.sources.local.hdf5 import text
from qstore_ray.data.sources.local.hdf5.text import read_texts
from qstore_ray.errors import DataError, QStoreError
from tests.local_files import KINDS, NUMBERS, N, X, load, rows

NAMES = np.array(["ant", "Käfer 🐞", ""])[NUMBERS]


def _write(path: Path, labels=KINDS, x=X) -> Path:
    with h5py.File(path, "w") as file:
        file["x"] = x
        file.create_dataset("y", data=labels.tolist(), dtype=h5py.string_dtype())
    return path


@pytest.mark.parametrize("rows_per_task", [25, 60])
def test_they_are_the_labels(tmp_path: Path, rows_per_task: int):
    dataset = load(_write(tmp_path / "t.h5"), rows_per_task=rows_per_task)
    x, y = rows(dataset)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, KINDS)
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["x"], file["y"] = X, KINDS.astype("S")
    assert load(tmp_path / "t.h5").fingerprint == dataset.fingerprint


def test_any_text_and_no_text(tmp_path: Path):
    path = str(_write(tmp_path / "t.h5", NAMES))
    np.testing.assert_array_equal(read_texts(path, "/y", 7, 31, 10**6), NAMES[7:31])
    assert read_texts(path, "/y", 3, 3, 10**6).shape == (0,)


def test_texts_have_a_largest_size(tmp_path: Path):
    labels = np.array(["a" * 1000, *(["b"] * (N - 1))])
    path = _write(tmp_path / "t.h5", labels)
    with pytest.raises(DataError, match="60 texts, the longest of 1,000 characters") as caught:
        load(path, max_bytes=100_000)
    assert (caught.value.field, caught.value.value) == (str(path), "/y")
    assert "rows_per_task" in caught.value.fix
    with pytest.raises(DataError, match="longer than 1,000 bytes"):
        read_texts(str(path), "/y", 0, N, 1000)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (h5py.vlen_dtype(np.float64), "which is refused"),
        (h5py.ref_dtype, "which is refused"),
        (h5py.string_dtype(), "text of variable length, of shape"),
    ],
)
def test_other_things_of_variable_length_stay_refused(tmp_path: Path, array, message: str):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["x"] = X
        shape = (N, 2) if h5py.check_string_dtype(array) else (N,)
        file.create_dataset("y", shape, array)
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path / "t.h5")
    assert (caught.value.field, caught.value.value) == (str(tmp_path / "t.h5"), "y")


def test_text_that_is_not_unicode(tmp_path: Path):
    path = _write(tmp_path / "t.h5", np.array(["good"] * N))
    path.write_bytes(path.read_bytes().replace(b"good", b"g\xff\xfed", 1))
    with pytest.raises(DataError, match="utf-8") as caught:
        load(path)
    assert "fixed length" in caught.value.fix


def test_a_file_on_another_machine(tmp_path: Path):
    with pytest.raises(DataError, match="of this machine only") as caught:
        read_texts("s3://bucket/t.h5", "y", 0, 1, 100)
    assert "Copy the file here" in caught.value.fix


def test_a_reader_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    slow = tmp_path / "slow.py"
    slow.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(text, "_READER", slow)
    monkeypatch.setattr(text, "SECONDS", 0.5)
    with pytest.raises(DataError, match=r"longer than 0\.5 s"):
        read_texts(str(tmp_path / "t.h5"), "y", 0, 1, 100)


def test_a_reader_that_crashes_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    crash = tmp_path / "crash.py"
    crash.write_text("import os\nos.abort()\n")
    monkeypatch.setattr(text, "_READER", crash)
    with pytest.raises(DataError, match="status -6"):
        read_texts(str(tmp_path / "t.h5"), "y", 0, 1, 100)


def test_the_reader_takes_no_more_memory_than_it_may(tmp_path: Path):
    path = _write(tmp_path / "t.h5", np.array(["a" * 10**6] * N))
    program = [sys.executable, "-P", str(text._READER), str(path), "/y", "0", str(N)]
    done = subprocess.run([*program, "1000"], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(tmp_path_factory.mktemp("damage") / "t.h5")


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0.0, 1.0), gone=st.sampled_from([0, 1, 4]), new=st.binary(max_size=8))
def test_damage_gives_rows_or_an_error(monkeypatch, good: Path, where: float, gone: int, new):
    monkeypatch.setattr(text, "SECONDS", 10.0)
    content = good.read_bytes()
    at = int(where * len(content))
    good.write_bytes(content[:at] + new + content[at + gone :])
    try:
        x, y = rows(load(good))
    except QStoreError:
        return
    finally:
        good.write_bytes(content)
    assert len(x) == len(y)


@pytest.mark.parametrize("size", [0, 2**16, 2**62, 2**64 - 1])
def test_a_heap_that_says_it_is_of_another_size(tmp_path: Path, monkeypatch, size: int):
    monkeypatch.setattr(text, "SECONDS", 10.0)
    path = _write(tmp_path / "t.h5")
    content = path.read_bytes()
    heap = content.index(b"GCOL")  # signature, version, 3 bytes, then the size of the collection
    first = heap + 16  # the first object: number, references, 4 bytes, then its size
    for at in (heap + 8, first + 8):
        damaged = content[:at] + size.to_bytes(8, "little") + content[at + 8 :]
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="damaged"):
            load(path)
