"""Features in one text file and labels in another: the error says what to write instead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.sources.local.other_files import paired
from qstore_ray.errors import DataError


def _load(path: Path):
    return DatasetLoader.load(
        DatasetConfig(name="rows", source="local", params={"path": str(path)})
    )


def _pair(folder: Path, x: str, y: str, n: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.savetxt(folder / x, np.random.default_rng(0).normal(size=(n, 3)))
    np.savetxt(folder / y, np.arange(n) % 3 + 1, fmt="%d")


def _recordings(folder: Path) -> Path:
    """A folder as the archive of UCI gives several data sets."""
    for part, n in (("train", 30), ("test", 12)):
        _pair(folder / part, f"X_{part}.txt", f"y_{part}.txt", n)
        np.savetxt(folder / part / f"subject_{part}.txt", np.arange(n) % 4, fmt="%d")
    (folder / "activity_labels.txt").write_text("1 WALKING\n2 SITTING\n3 LAYING\n")
    (folder / "features.txt").write_text("1 mean\n2 std\n3 max\n")
    return folder


def test_what_the_error_says_to_write_is_loaded(tmp_path: Path, monkeypatch):
    with pytest.raises(
        DataError, match=r"features are in X_test\.txt and their labels in"
    ) as caught:
        _load(_recordings(tmp_path / "recordings"))
    monkeypatch.chdir(tmp_path)
    code = caught.value.fix.removeprefix("Write ").partition(", and give ")[0]
    exec(code, {"np": np})
    dataset = _load(tmp_path / "data.npz")
    assert sum(dataset.sizes.values()) == 42
    assert dataset.sizes["test"] == 12
    assert dataset.classes == (1, 2, 3)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ("data.txt", "labels.txt"),
        ("X.dat", "y.dat"),
        ("features.data", "targets.data"),
        ("x_train.txt", "Y_train.txt"),
        ("X_train.csv", "y_train.csv"),
    ],
)
def test_two_files_that_belong_together_are_named(tmp_path: Path, x: str, y: str):
    _pair(tmp_path, x, y, 12)
    with pytest.raises(DataError, match=f"features are in {x} and their labels in {y}"):
        _load(tmp_path)


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
