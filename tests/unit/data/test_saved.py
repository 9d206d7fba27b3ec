"""Datasets written to disk and read back: the same rows, bit for bit, or a clear refusal."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qstore_ray import DatasetConfig, DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import DataError


def _flowers() -> Dataset:
    steps = [{"name": "standard"}, {"name": "pca", "components": 2}]
    return DatasetLoader.load(
        DatasetConfig(name="iris", params={"dataset": "iris"}, preprocessing=steps)
    )


def _arrays(labels, task: str = "classification") -> Dataset:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(len(labels), 3))
    return DatasetLoader.from_arrays(x, labels, rows_per_task=7, task=task)


DATASETS = {
    "prepared": _flowers,
    "text labels": lambda: _arrays(np.array(["cat", "dog"] * 20)),
    "bool labels": lambda: _arrays(np.arange(40) % 2 == 0),
    "numbers with gaps": lambda: _arrays(np.array([-3, 7] * 20)),
    "regression": lambda: _arrays(np.linspace(0.0, 1.0, 40), "regression"),
}


@pytest.mark.parametrize("made", DATASETS.values(), ids=DATASETS.keys())
def test_a_loaded_dataset_is_the_saved_one(made, tmp_path) -> None:
    dataset = made()
    loaded = Dataset.load(dataset.save(tmp_path / "saved"))
    for split in dataset.plans:
        for mine, other in zip(dataset.materialize(split), loaded.materialize(split), strict=True):
            assert mine.dtype == other.dtype
            assert mine.tobytes() == other.tobytes()
        assert (dataset.rows(split) == loaded.rows(split)).all()
    assert loaded.fingerprint == dataset.fingerprint
    assert loaded.describe() == dataset.describe()
    assert (loaded.config, loaded.schema) == (dataset.config, dataset.schema)
    raw = np.linspace(-1.0, 1.0, dataset.schema.n_raw_features)[None]
    assert (loaded.preparation.transform(raw) == dataset.preparation.transform(raw)).all()


def test_a_folder_that_is_in_use_is_left_alone(tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty") as caught:
        _flowers().save(tmp_path)
    assert caught.value.fix
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_flipped_bit_is_refused_before_anything_is_parsed(tmp_path) -> None:
    folder = _flowers().save(tmp_path / "saved")
    for name in ("train.parquet", "preparation.npz"):
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        good = (folder / name).read_bytes()
        (folder / name).write_bytes(data)
        with pytest.raises(DataError, match="not what was written") as caught:
            Dataset.load(folder)
        assert name in caught.value.message
        (folder / name).write_bytes(good)
    Dataset.load(folder)


def test_what_is_no_dataset_is_said_to_be_none(tmp_path) -> None:
    with pytest.raises(DataError, match="no saved dataset"):
        Dataset.load(tmp_path)
    folder = _flowers().save(tmp_path / "saved")
    manifest = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(manifest | {"format": 99}))
    with pytest.raises(DataError, match="another version"):
        Dataset.load(folder)


def test_a_manifest_cannot_point_outside_its_folder(tmp_path) -> None:
    folder = _flowers().save(tmp_path / "saved")
    manifest = json.loads((folder / "dataset.json").read_text())
    manifest["sha256"]["../../elsewhere"] = "0" * 64
    (folder / "dataset.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"lists the files.*elsewhere"):
        Dataset.load(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.pop("sha256"),
        lambda manifest: manifest.update(sha256=["train.parquet"]),
        lambda manifest: manifest.update(sha256={}),
        lambda manifest: manifest["sha256"].pop("train.parquet"),
        lambda manifest: manifest.update(blocks={"../elsewhere": ["0"]}),
        lambda manifest: manifest.update(blocks={}),
        lambda manifest: manifest["blocks"]["train"].append("0"),
        lambda manifest: manifest["schema"].update(surprise=1),
        lambda manifest: manifest["preparation"].pop("steps"),
        lambda manifest: manifest.update(extra=1),
    ],
)
def test_a_damaged_manifest_is_our_error(change, tmp_path) -> None:
    folder = _flowers().save(tmp_path / "saved")
    manifest = json.loads((folder / "dataset.json").read_text())
    change(manifest)
    (folder / "dataset.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"not what Dataset\.save writes") as caught:
        Dataset.load(folder)
    assert (caught.value.field, caught.value.value) == ("folder", str(folder))
    assert "again" in caught.value.fix


def test_rows_that_change_after_loading_are_noticed(tmp_path) -> None:
    first, second = (_arrays(np.array([0, 1] * n)).save(tmp_path / f"{n}") for n in (20, 25))
    loaded = Dataset.load(first)
    (first / "train.parquet").write_bytes((second / "train.parquet").read_bytes())
    with pytest.raises(DataError, match="changed since"):
        loaded.materialize("train")
