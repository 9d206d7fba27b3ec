"""Model files and saved datasets in an object store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qstore_ray.cli.app import main
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import ConfigError, DataError, StorageError, UsageError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.storage import cloud
from qstore_ray.storage.address import StorageAddress, address_of
from qstore_ray.storage.cloud import open_objects
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.trainer import QuantumTrainer
from tests.object_store import FailingObjects, in_memory


@pytest.fixture(scope="module")
def data() -> Dataset:
    x = np.random.default_rng(0).normal(size=(20, 2))
    y = (x[:, 0] > 0).astype(int)
    return DatasetLoader.from_arrays(x, y, split={"train": 0.8, "test": 0.2})


@pytest.fixture(scope="module")
def model(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1), TrainerConfig(epochs=1),
        storage=tmp_path_factory.mktemp("runs"), track=TrackConfig(mlflow=False, figures=False),
    )  # fmt: skip
    return trainer.fit(data).model


def objects_at(text: str) -> cloud.CloudObjects:
    address = address_of(text)
    assert address is not None
    found = open_objects(address)
    assert isinstance(found, cloud.CloudObjects)
    return found


def test_a_model_file_is_saved_and_loaded_by_its_address(
    model: TrainedModel, bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = f"{bucket}/models/m.qsm"
    assert model.save(place) == place
    assert TrainedModel.load(place).to_bytes() == model.to_bytes()
    with pytest.raises(UsageError, match=r"ends in \.qsm"):
        model.save(f"{bucket}/models/m.bin")
    with pytest.raises(UsageError, match="no such model file"):
        TrainedModel.load(f"{bucket}/models/other.qsm")
    with pytest.raises(ConfigError, match="does not begin with a dot"):
        TrainedModel.load(f"{bucket}/models/../m.qsm")
    rows = tmp_path / "rows.csv"
    rows.write_text("0,1\n0.5,0.1\n-0.5,0.1\n")
    assert main(["predict", place, str(rows), "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["predict", place, str(rows), "--output", f"{bucket}/p.csv"]) == 2
    other = f"{bucket}/models/other.qsm"
    for words in (["predict", other, str(rows)], ["evaluate", other, "--data", str(rows)],
                  ["evaluate", other], ["serve", other]):  # fmt: skip
        assert main(words) == 2
        assert "there is no such model file" in capsys.readouterr().err


def test_a_dataset_is_saved_and_loaded_by_its_address(
    data: Dataset, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = f"{bucket}/datasets/d"
    assert data.save(place) == place
    assert "d/.saving" not in objects_at(f"{bucket}/datasets").listing()
    with pytest.raises(UsageError, match="something at this address"):
        data.save(place)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    loaded = Dataset.load(place)
    assert loaded.fingerprint == data.fingerprint
    for split in data.plans:
        np.testing.assert_array_equal(loaded.materialize(split).x, data.materialize(split).x)
    with pytest.raises(DataError):
        Dataset.load(f"{bucket}/datasets/nothing")


def test_a_damaged_copy_is_fetched_again_and_a_damaged_object_is_refused(
    data: Dataset, bucket: str
) -> None:
    place = f"{bucket}/d"
    data.save(place)
    Dataset.load(place)
    address = address_of(place)
    assert address is not None
    (address.stage / "train.parquet").write_bytes(b"no")
    assert Dataset.load(place).fingerprint == data.fingerprint
    objects_at(place).put("train.parquet", b"no")
    (address.stage / "train.parquet").unlink()
    with pytest.raises(DataError, match=r"train\.parquet is missing or not what was written"):
        Dataset.load(place)


@pytest.mark.parametrize("writes", range(6))
def test_a_saver_that_dies_leaves_no_dataset(
    data: Dataset, stage: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """It creates its mark, puts two files and the preparation, and creates the manifest."""
    whole = in_memory()
    monkeypatch.setattr(cloud, "open_objects", lambda address: FailingObjects(whole, writes))
    with pytest.raises(StorageError, match="dead before"):
        data.save("s3://memory")
    monkeypatch.setattr(cloud, "open_objects", lambda address: whole)
    if writes == 5:  # only its mark is left to be deleted
        assert Dataset.load("s3://memory").fingerprint == data.fingerprint
        return
    with pytest.raises(DataError):
        Dataset.load("s3://memory")
    if writes:
        with pytest.raises(UsageError, match="something at this address"):
            data.save("s3://memory")


def test_an_object_store_without_its_library_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, stage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "obstore.store", None)
    assert main(["runs", "--storage", "s3://runs"]) == 4
    said = capsys.readouterr().err
    assert "storage in s3:// needs obstore" in said
    assert "pip install 'qstore-ray[object-store]'" in said
    assert StorageAddress("gs", "b").stage == stage / "gs" / "b"
