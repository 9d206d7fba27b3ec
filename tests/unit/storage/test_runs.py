"""Runs in an object store keep the laws of the run folder."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qstore_ray.cli.app import main
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.doctor.storage import examine_storage
from qstore_ray.errors import (
    CheckpointError,
    QStoreError,
    RunExistsError,
    StorageError,
    UsageError,
)
from qstore_ray.learn.config import ModelConfig
from qstore_ray.storage import cloud, lease
from qstore_ray.storage.address import StorageAddress, address_of
from qstore_ray.storage.cloud import CloudObjects, open_objects
from qstore_ray.storage.parts import PartedFile
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.result import TrainResult
from qstore_ray.train.run.find import find_run, run_folders
from qstore_ray.train.run.run_folder import Existing, check_run, open_run_folder
from qstore_ray.train.run.summary import summarize
from qstore_ray.train.trainer import QuantumTrainer
from tests.object_store import FailingObjects, in_memory

EPOCHS = 3
CALLBACKS = [{"name": "model_checkpoint", "best": 1, "every": 2, "monitor": "train_loss"}]


@pytest.fixture(scope="module")
def data() -> Dataset:
    return rows()


def rows() -> Dataset:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(24, 2))
    return DatasetLoader.from_arrays(x, (x[:, 0] > 0).astype(int), split={"train": 1.0})


def train(
    data: Dataset,
    storage: str | Path,
    existing: Existing = "error",
    epochs: int = EPOCHS,
    workers: int = 0,
) -> TrainResult:
    config = TrainerConfig(
        epochs=epochs, batch_size=12, learning_rate=0.2, seed=1, callbacks=CALLBACKS,
        num_workers=workers, schedule="constant", backend_options={"threads": 1},
    )  # fmt: skip
    return QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1), config, name="digits", storage=storage,
        track=TrackConfig(mlflow=False, figures=False),
    ).fit(data, existing=existing)  # fmt: skip


def end(folder: Path) -> dict[str, Any]:
    """What a run ends with, without its seconds."""
    records = epoch_records(read_records(folder / "metrics.jsonl"))
    index = json.loads((folder / "models" / "index.json").read_bytes())
    return {
        "theta": TrainedModel.load(folder).theta.tobytes(),
        "epochs": [{k: v for k, v in r.items() if k != "seconds"} for r in records],
        "kept": sorted(path.name for path in (folder / "checkpoints").iterdir()),
        "models": [{**entry, "why": sorted(entry["why"])} for entry in index],
        "folders": sorted(path.name for path in (folder / "models").glob("step-*")),
    }


@pytest.fixture(scope="module")
def undisturbed(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The end of the same run in a plain folder."""
    return end(train(data, tmp_path_factory.mktemp("plain")).run_dir)


_machines = itertools.count()


def on_another_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"machine-{next(_machines)}"))


def test_a_run_is_the_same_as_in_a_folder(
    data: Dataset, bucket: str, undisturbed: dict[str, Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    train(data, f"{bucket}/team")
    on_another_machine(monkeypatch, tmp_path)
    folder = find_run("digits", f"{bucket}/team")
    assert end(folder) == undisturbed
    assert summarize(folder).status == "finished"
    assert find_run(f"{bucket}/team/digits", "runs") == folder
    assert [path.name for path in run_folders(f"{bucket}/team")] == ["digits"]
    assert run_folders(f"{bucket}/nothing") == []


def test_a_finished_run_is_made_longer_on_another_machine(
    data: Dataset, bucket: str, undisturbed: dict[str, Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    train(data, bucket, epochs=2)
    on_another_machine(monkeypatch, tmp_path)
    with pytest.raises(RunExistsError, match="has finished"):
        train(data, bucket)
    result = train(data, bucket, "resume")
    assert end(result.run_dir)["theta"] == undisturbed["theta"]
    assert end(result.run_dir)["epochs"] == undisturbed["epochs"]
    assert summarize(result.run_dir).attempts == 2


class Store:
    """An object store in memory that holds one run; its writer may die before a write."""

    def __init__(self) -> None:
        self.begin(None)

    def begin(self, fails_at: int | None) -> None:
        """Empty it; the writer will die before this write."""
        self.whole = in_memory()
        self.writer = FailingObjects(self.whole, fails_at)

    def live(self) -> None:
        """The next writer does not die."""
        self.writer = FailingObjects(self.whole)

    def open(self, address: StorageAddress) -> FailingObjects:
        return self.writer


@pytest.fixture
def store(stage: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    found = Store()
    monkeypatch.setattr(cloud, "open_objects", found.open)
    monkeypatch.setattr("qstore_ray.train.run.lock.open_objects", found.open)
    return found


def test_a_run_that_dies_before_any_write_is_resumed_to_the_same_end(
    data: Dataset, store: Store, undisturbed: dict[str, Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Each death is followed by the same command on another machine, which has no stage of it."""
    monkeypatch.setattr(lease, "SECONDS", 0.0)  # the dead are known at once
    train(data, "s3://memory/digits-1")
    writes = list(store.writer.written)
    assert len(writes) > 15
    for dies_at in range(0, len(writes), 1 if "TEST_ALL" in os.environ else 6):
        store.begin(dies_at)
        on_another_machine(monkeypatch, tmp_path)
        try:
            train(data, "s3://memory/digits-1")
        except StorageError as error:
            assert "dead before" in str(error)  # noqa: PT017 - it may die after the end
        check_half(store.whole, tmp_path)
        on_another_machine(monkeypatch, tmp_path)
        store.live()
        begun = store.whole.read("run.json") is not None
        if begun and json.loads(store.whole.read("run.json").data)["status"] == "finished":  # type: ignore[union-attr]
            folder = find_run("digits", "s3://memory/digits-1")
        else:
            folder = train(data, "s3://memory/digits-1", "resume" if begun else "error").run_dir
        assert end(folder) == undisturbed, f"dead before {writes[dies_at]}"
        assert summarize(folder).status == "finished"


def check_half(objects: CloudObjects, tmp_path: Path) -> None:
    """No checkpoint is half visible, and the metrics have what the newest one implies."""
    keys = objects.listing("checkpoints")
    for key in keys:
        if key.endswith("manifest.json"):
            assert key.replace("manifest.json", "arrays.npz") in keys
    metrics = PartedFile(objects, tmp_path / "metrics.jsonl").fetch() or b""
    records = [json.loads(line) for line in metrics.splitlines()]
    steps = [record["step"] for record in records if record["event"] == "epoch"]
    assert steps == sorted(steps)
    saved = [int(key.split("step-")[1].split("/")[0]) for key in keys if "manifest" in key]
    assert max(saved, default=0) <= max(steps, default=0)


def test_a_run_is_replaced_record_last(data: Dataset, store: Store) -> None:
    train(data, "s3://memory", epochs=1)
    before = len(store.writer.written)
    train(data, "s3://memory", "replace", epochs=1)
    deleted = [what for what in store.writer.written[before:] if what.startswith("delete")]
    first = deleted.index("delete run.json")
    assert any("manifest" in what for what in deleted[:first])
    assert json.loads(store.whole.read("run.json").data)["generation"] == 1  # type: ignore[union-attr]


def opened(storage: str, existing: Existing = "error") -> Any:
    return open_run_folder(
        storage, "digits", recipe={}, data_fingerprint="d", config_toml="", existing=existing
    )


def test_a_second_driver_on_another_machine_is_refused(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(lease, "_PAUSE_SECONDS", 0.05)
    first = opened(bucket)
    with pytest.raises(RunExistsError, match="this process itself"):
        opened(bucket, "resume")
    here = str(tmp_path / "cache")
    on_another_machine(monkeypatch, tmp_path)
    for existing in ("error", "resume", "replace"):
        with pytest.raises(RunExistsError, match="has this run open") as caught:
            opened(bucket, existing)  # type: ignore[arg-type]
        assert caught.value.locked
    assert summarize(find_run("digits", bucket)).status == "running"
    monkeypatch.setenv("XDG_CACHE_HOME", here)
    first.set_status("interrupted")
    first.close()
    on_another_machine(monkeypatch, tmp_path)
    second = opened(bucket, "resume")
    assert second.generation == 2
    second.set_status("failed")
    second.close()


def test_a_driver_that_was_taken_over_from_writes_no_more(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "SECONDS", 0.0)
    first = opened(bucket)
    on_another_machine(monkeypatch, tmp_path)
    second = opened(bucket, "resume")
    with pytest.raises(StorageError, match="taken this run over"):
        first.set_status("finished")
    first.close()
    second.set_status("failed")
    second.close()
    address = address_of(f"{bucket}/digits")
    assert address is not None
    record = open_objects(address).read("run.json")
    assert record is not None
    assert json.loads(record.data)["status"] == "failed"
    assert json.loads(record.data)["generation"] == 2


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".lock"])
def test_a_name_that_leaves_the_storage_is_refused(stage: Path, name: str) -> None:
    with pytest.raises(QStoreError) as caught:
        check_run("s3://no-such-bucket", name)
    assert caught.value.exit_code == 2
    assert not stage.exists()


def test_the_commands_take_an_address(
    data: Dataset, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    train(data, bucket, epochs=1)
    assert main(["runs", "--storage", bucket, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["status"] == "finished"
    assert main(["runs", "show", "digits", "--storage", bucket]) == 0
    assert f"{bucket}/digits" in capsys.readouterr().out
    assert main(["runs", "show", f"{bucket}/nothing"]) == 2
    assert "there is no run here" in capsys.readouterr().err
    assert main(["runs", "--storage", "s3://no-such-bucket"]) == 4
    assert "no bucket of this name" in capsys.readouterr().err


def test_the_doctor_tries_the_conditional_writes(bucket: str) -> None:
    track = TrackConfig(mlflow=False)
    (found,) = examine_storage(f"{bucket}/team", track)
    assert (found.state, found.found.split(": ")[1]) == (
        "ok",
        "created, replaced and deleted an object",
    )


def test_the_doctor_finds_a_missing_bucket(bucket: str) -> None:
    (found,) = examine_storage("s3://no-such-bucket", TrackConfig(mlflow=False))
    assert (found.state, found.found) == ("fault", "there is no bucket of this name")


def test_a_job_is_trained_scored_exported_and_reported_by_its_address(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = tmp_path / "job.toml"
    job.write_text(
        f'name = "iris"\nstorage = "{bucket}/runs"\n'
        '[dataset]\nname = "iris"\nsource = "sklearn"\nparams = {dataset = "iris"}\n'
        "[model]\nn_qubits = 4\nlayers = 1\n"
        '[dataset.split]\ntrain = 0.8\ntest = 0.2\n'
        "[trainer]\nepochs = 1\nbatch_size = 60\nnum_workers = 0\n"
        "[track]\nmlflow = false\nfigures = false\n"
    )  # fmt: skip
    place = f"{bucket}/runs/iris"

    def said(*command: str) -> dict[str, Any]:
        assert main([*command, "--json"]) == 0
        return dict(json.loads(capsys.readouterr().out.splitlines()[-1]))

    assert said("train", str(job))["run_dir"] == place
    accuracy = said("evaluate", "iris", "--storage", f"{bucket}/runs")["accuracy"]
    assert said("export", place, "--card")["model"] == f"{place}/model.qsm"
    assert said("runs", "report", place)["report"] == f"{place}/report.html"
    rows = tmp_path / "rows.csv"
    names = ("sepal length", "sepal width", "petal length", "petal width")
    rows.write_text(",".join(f"{name} (cm)" for name in names) + "\n5.1,3.5,1.4,0.2\n")
    assert main(["predict", f"{place}/model.qsm", str(rows)]) == 0
    assert main(["predict", place, str(rows)]) == 0
    capsys.readouterr()
    again = said("train", str(job), "--name", "second", "--init-from", f"{place}/model.qsm")
    assert again["run_dir"] == f"{bucket}/runs/second"
    assert accuracy == said("evaluate", place)["accuracy"]
    kept = open_objects(StorageAddress("s3", bucket.removeprefix("s3://"), "runs/iris")).listing()
    assert {"model.qsm", "model_card.md", "report.html", "run.json", "config.toml"} <= set(kept)


def test_objects_that_are_no_run_are_left_alone_and_not_fetched(bucket: str, stage: Path) -> None:
    objects = open_objects(StorageAddress("s3", bucket.removeprefix("s3://")))
    for key in ("digits/photo.jpg", "digits/checkpoints/x", "digits/.lock-asked-1"):
        objects.put(key, b"somebody's")
    for existing in ("error", "replace"):
        with pytest.raises(RunExistsError, match="not a run"):
            opened(bucket, existing)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no run here"):
        find_run(f"{bucket}/digits", "runs")
    with pytest.raises(CheckpointError):
        TrainedModel.load(f"{bucket}/digits")
    assert run_folders(bucket) == []
    assert not list(stage.rglob("*photo*"))
    assert len(objects.listing()) == 3
