"""A bucket that is deleted while a run writes to it: an error at once, and nothing is lost here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import RunExistsError, StorageError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.storage import cloud
from qstore_ray.storage.address import StorageAddress
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.callbacks.base import Callback
from qstore_ray.train.callbacks.run import Run
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.run.find import find_run
from qstore_ray.train.trainer import QuantumTrainer
from tests.object_store import delete_bucket, make_bucket
from tests.unit.storage.test_runs import data, end, train, undisturbed

__all__ = ["data", "undisturbed"]  # fixtures


class Deletes(Callback):
    """Deletes the bucket of the run after its second epoch, when a checkpoint is in it."""

    def __init__(self, endpoint: str, bucket: str) -> None:
        self._endpoint, self._name = endpoint, bucket.removeprefix("s3://")

    def on_epoch_end(self, run: Run, record: object) -> None:
        if run.state.epoch == 2:
            delete_bucket(self._endpoint, self._name)


def _train(data: Dataset, storage: str | Path, *callbacks: Callback, existing: str = "error"):
    config = TrainerConfig(
        epochs=6, batch_size=12, learning_rate=0.2, seed=1, num_workers=0, schedule="constant",
        backend_options={"threads": 1},
    )  # fmt: skip
    return QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1), config, name="digits", storage=storage,
        track=TrackConfig(mlflow=False, figures=False), callbacks=callbacks,
    ).fit(data, existing=existing)  # fmt: skip


def _strand(data: Dataset, bucket: str, endpoint: str) -> StorageError:
    """Let a run lose its bucket."""
    with pytest.raises(StorageError) as caught:
        _train(data, bucket, Deletes(endpoint, bucket))
    return caught.value


def test_it_ends_the_run_and_what_is_kept_is_said(
    data: Dataset, bucket: str, endpoint: str
) -> None:
    error = _strand(data, bucket, endpoint)
    assert error.exit_code == 4
    assert not error.may_pass, "nobody tries for a minute whether it comes back"
    assert re.search("there is no bucket|have been deleted", error.message)
    kept = [note for note in error.__notes__ if note.startswith("This machine keeps")]
    (folder,) = re.findall(r"in (/\S+)\. It continues", kept[0])
    assert (Path(folder) / "run.json").is_file()
    with pytest.raises(StorageError, match="there is no bucket of this name"):
        _train(data, bucket, existing="resume")
    assert (Path(folder) / "run.json").is_file()


def test_the_run_continues_from_this_machines_copy_to_the_same_end(
    data: Dataset, bucket: str, endpoint: str, tmp_path: Path
) -> None:
    _strand(data, bucket, endpoint)
    make_bucket(endpoint, bucket.removeprefix("s3://"))
    with pytest.raises(RunExistsError, match="no run of this name to resume") as caught:
        _train(data, bucket, existing="resume")
    (storage,) = re.findall("storage = '(.*)'", caught.value.fix)
    assert find_run("digits", storage).is_dir()
    # Whoever begins anew there loses nothing either.
    assert len(_train(data, bucket).history) == 6
    plain = _train(data, tmp_path / "plain")
    resumed = _train(data, storage, existing="resume")
    assert resumed.model.theta.tobytes() == plain.model.theta.tobytes()


def test_a_run_that_is_in_the_object_store_is_not_copied(
    data: Dataset, bucket: str, stage: Path, undisturbed: dict[str, Any]
) -> None:
    train(data, bucket)
    assert end(find_run("digits", bucket)) == undisturbed
    assert not (stage.parent / "stranded").exists()
    objects = cloud.open_objects(StorageAddress("s3", bucket.removeprefix("s3://"), "digits"))
    for key in list(objects.listing()):
        objects.delete(key)
    train(data, bucket)
    assert end(find_run("digits", bucket)) == undisturbed
    assert end(next((stage.parent / "stranded").rglob("digits"))) == undisturbed
