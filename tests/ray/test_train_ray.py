"""Training on real Ray Train workers: the same bits as in this process, also when workers die."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import (
    CheckpointError,
    DivergenceError,
    QStoreError,
    ResourceError,
    WorkerError,
)
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.jsonl import read_records
from qstore_ray.train.config import ClusterConfig, TrainerConfig
from qstore_ray.train.result import TrainResult
from qstore_ray.train.trainer import QuantumTrainer

EPOCHS = 10
HALF = ClusterConfig(cpus_per_worker=0.5)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return DatasetLoader.load(
        DatasetConfig(
            name="digits",
            params={"dataset": "digits"},
            preprocessing=[{"name": "standard"}, {"name": "pca", "components": 8}],
            split={"train": 0.6, "val": 0.1, "test": 0.3},
        )
    )


def _trainer(storage: Path, name: str, cluster: ClusterConfig = HALF, **options) -> QuantumTrainer:
    """A training of a few seconds; the batches of 100 rows fill no whole number of blocks."""
    options = {"epochs": EPOCHS, "batch_size": 100, "seed": 3, **options}
    return QuantumTrainer(
        ModelConfig(n_qubits=8, layers=6),
        TrainerConfig(**options),
        name=name,
        storage=storage,
        cluster=cluster,
        track=TrackConfig(mlflow=False, figures=False),
    )


def _bits(result: TrainResult) -> tuple[bytes, list[dict]]:
    history = [
        {name: value for name, value in record.items() if name != "seconds"}
        for record in result.history
    ]
    return result.model.theta.tobytes(), history


@pytest.fixture(scope="module")
def in_process(digits, tmp_path_factory) -> tuple[bytes, list[dict]]:
    found = _bits(_trainer(tmp_path_factory.mktemp("runs"), "alone").fit(digits))
    assert len(found[1]) == EPOCHS
    return found


def _starts(run_dir: Path) -> list[dict]:
    return [r for r in read_records(run_dir / "metrics.jsonl") if r["event"] == "start"]


def _steps_done(run_dir: Path) -> int:
    steps = [int(r.get("step", 0)) for r in read_records(run_dir / "metrics.jsonl")]
    return max(steps, default=0)


def _wait_until(condition: Callable[[], object], seconds: float) -> bool:
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.02)
    return True


def _train_workers() -> list[psutil.Process]:
    """The processes of Ray Train workers below this one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if any("RayTrainWorker" in part for part in process.cmdline()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


class Killer(threading.Thread):
    """Kills one worker, without warning, each time the run has got a number of steps further.

    Args:
        at: steps done when a worker is killed.
    """

    def __init__(self, run_dir: Path, at: list[int]) -> None:
        super().__init__(daemon=True)
        self._run_dir, self._at = run_dir, at
        self.killed: list[int] = []

    def run(self) -> None:
        for step in self._at:
            if not _wait_until(lambda step=step: _steps_done(self._run_dir) >= step, 180):
                return
            fresh = [p for p in _train_workers() if p.pid not in self.killed]
            if fresh:
                victim = max(fresh, key=lambda process: process.pid)
                os.kill(victim.pid, signal.SIGKILL)
                self.killed.append(victim.pid)


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_any_number_of_workers_ends_with_the_bits_of_this_process(
    ray_cluster, digits, in_process, tmp_path, workers
):
    result = _trainer(tmp_path, "ray", num_workers=workers).fit(digits)
    assert _bits(result) == in_process
    (start,) = _starts(result.run_dir)
    assert start["workers"] == workers
    assert not (result.run_dir / ".ray").exists(), "Ray was asked to keep nothing"


@pytest.mark.slow  # `test_driver_ray.py` kills a worker, too
def test_a_run_whose_worker_is_killed_ends_with_the_same_bits(
    ray_cluster, digits, in_process, tmp_path
):
    killer = Killer(tmp_path / "ray", at=[25])
    killer.start()
    result = _trainer(tmp_path, "ray", num_workers=2).fit(digits)
    killer.join(5)
    assert len(killer.killed) == 1
    first, *later = _starts(result.run_dir)
    assert first["resumed_from_step"] == 0
    assert later, "the workers were started again"
    assert all(start["resumed_from_step"] > 0 for start in later)
    assert _bits(result) == in_process


@pytest.mark.slow
def test_workers_that_die_too_often_end_the_run_with_what_to_do(ray_cluster, digits, tmp_path):
    cluster = ClusterConfig(cpus_per_worker=0.5, max_failures=0)
    killer = Killer(tmp_path / "ray", at=[15])
    killer.start()
    with pytest.raises(WorkerError) as caught:
        _trainer(tmp_path, "ray", cluster, num_workers=2).fit(digits)
    assert (caught.value.field, caught.value.value) == ("cluster.max_failures", 0)
    assert "ran out of memory, first put fewer workers on a machine" in caught.value.fix
    assert "a smaller trainer.batch_size or model.n_qubits needs a new run" in caught.value.fix
    assert "existing='resume'" in caught.value.fix
    assert len(killer.killed) == 1


def test_a_divergence_in_the_workers_reaches_the_driver_whole_and_at_once(
    ray_cluster, digits, tmp_path
):
    with pytest.raises(DivergenceError) as caught:
        _trainer(tmp_path, "ray", num_workers=2, learning_rate=1e300).fit(digits)
    assert set(caught.value.value) == {"loss", "gradient_norm"}
    assert "learning_rate" in caught.value.fix
    assert len(_starts(tmp_path / "ray")) == 1, "it would come again, so it is not tried again"


@pytest.mark.slow
def test_an_error_of_one_worker_alone_does_not_leave_the_others_waiting(
    ray_cluster, digits, tmp_path
):
    def put_a_file_in_the_way() -> None:
        """While the workers start: where worker 0 will want a folder for its checkpoints."""
        deadline = time.monotonic() + 180
        while not (tmp_path / "ray" / "run.json").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        (tmp_path / "ray" / "checkpoints").write_text("in the way")

    once = ClusterConfig(cpus_per_worker=0.5, max_failures=0)
    trainer = _trainer(tmp_path, "ray", once, num_workers=2)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(put_a_file_in_the_way)
        with pytest.raises(CheckpointError, match="cannot write"):
            trainer.fit(digits)


def test_an_error_in_a_task_keeps_its_fields(ray_cluster):
    import ray
    from ray.exceptions import RayTaskError

    @ray.remote(num_cpus=0, max_retries=0)
    def fail() -> None:
        raise CheckpointError("it broke", field="run", value=3, fix="Mend it.")

    with pytest.raises(RayTaskError) as caught:
        ray.get(fail.remote())
    assert isinstance(caught.value.cause, CheckpointError)
    assert isinstance(caught.value, QStoreError)
    assert caught.value.cause.as_dict() == {
        "error": "CheckpointError",
        "message": "it broke",
        "field": "run",
        "value": "3",
        "fix": "Mend it.",
        "exit_code": 1,
    }


def test_more_workers_than_the_cluster_holds_are_refused_before_anything_is_written(
    ray_cluster, digits, tmp_path
):
    with pytest.raises(ResourceError) as caught:
        _trainer(tmp_path, "ray", ClusterConfig(), num_workers=3).fit(digits)
    assert caught.value.field == "trainer.num_workers"
    assert "num_workers to 2 or less" in caught.value.fix
    assert list(tmp_path.iterdir()) == [], "nothing was written"


def test_workers_that_others_leave_no_room_for_are_an_error_about_the_start(
    ray_cluster, digits, tmp_path
):
    import ray

    @ray.remote(num_cpus=2)
    class Other:
        def ready(self) -> None:
            pass

    other = Other.remote()
    ray.get(other.ready.remote())
    try:
        soon = ClusterConfig(cpus_per_worker=0.5, start_timeout=0.5)
        with pytest.raises(WorkerError, match=r"did not start within 0\.5 s") as caught:
            _trainer(tmp_path, "ray", soon, num_workers=2).fit(digits)
    finally:
        ray.kill(other)
    assert (caught.value.field, caught.value.value) == ("cluster.start_timeout", 0.5)
    assert "take fewer workers" in caught.value.fix
