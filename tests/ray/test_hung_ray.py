"""A worker that hangs is a worker that died: counted, explained, and started again."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import WorkerError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.jsonl import read_records
from qstore_ray.train.callbacks.base import Callback
from qstore_ray.train.callbacks.run import Run
from qstore_ray.train.config import ClusterConfig, TrainerConfig
from qstore_ray.train.trainer import QuantumTrainer

pytestmark = pytest.mark.timeout(400)  # a group of workers is started three times

TIMEOUT = 5.0
"""Of a worker. A step takes milliseconds."""


class Waits(Callback):
    """Waits at the first epoch's end: for ever the first time, then not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_epoch_end(self, run: Run, record: object) -> None:
        if not self._path.exists():
            self._path.touch()
            wait_for_what_never_comes()


def wait_for_what_never_comes() -> None:
    threading.Event().wait()


@pytest.fixture(scope="module")
def data() -> Dataset:
    x = np.random.default_rng(0).normal(size=(96, 2))
    return DatasetLoader.from_arrays(x, (x[:, 0] > 0).astype(int), split={"train": 1.0})


def _trainer(storage: Path, failures: int, workers: int, callbacks=()) -> QuantumTrainer:
    return QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1),
        TrainerConfig(epochs=60, batch_size=32, num_workers=workers, seed=1),
        name="run",
        storage=storage,
        cluster=ClusterConfig(cpus_per_worker=0.5, worker_timeout=TIMEOUT, max_failures=failures),
        track=TrackConfig(mlflow=False, figures=False),
        callbacks=callbacks,
    )


def test_a_worker_that_hangs_once_is_ended_and_the_run_goes_on(ray_cluster, data, tmp_path):
    alone = _trainer(tmp_path / "alone", 0, 0).fit(data)
    waits = Waits(tmp_path / "waited")
    result = _trainer(tmp_path / "ray", 2, 2, [waits]).fit(data)
    assert waits._path.exists()
    assert result.model.theta.tobytes() == alone.model.theta.tobytes()
    starts = [r for r in read_records(result.run_dir / "metrics.jsonl") if r["event"] == "start"]
    assert len(starts) >= 2
    stack = (result.run_dir / "stuck-worker-0.txt").read_text()
    assert "wait_for_what_never_comes" in stack


class AlwaysWaits(Callback):
    """Waits forever at the end of the first epoch."""

    def on_epoch_end(self, run: Run, record: object) -> None:
        wait_for_what_never_comes()


@pytest.mark.slow
def test_a_worker_that_hangs_too_often_ends_the_run_with_what_to_do(ray_cluster, data, tmp_path):
    with pytest.raises(WorkerError, match="worker 0: it made no progress for 5 s") as caught:
        _trainer(tmp_path, 0, 1, [AlwaysWaits()]).fit(data)
    assert (caught.value.field, caught.value.value) == ("cluster.max_failures", 0)
    stack = tmp_path / "run" / "stuck-worker-0.txt"
    assert str(stack) in caught.value.fix
    assert "cluster.worker_timeout" in caught.value.fix
    assert "wait_for_what_never_comes" in stack.read_text()


class Stopper(threading.Thread):
    """Stops the run's workers as wholes, at its first epoch's end."""

    def __init__(self, metrics: Path) -> None:
        super().__init__(daemon=True)
        self._metrics = metrics
        self.stopped: list[psutil.Process] = []

    def run(self) -> None:
        while not any(r["event"] == "epoch" for r in read_records(self._metrics)):
            time.sleep(0.01)
        for process in psutil.Process().children(recursive=True):
            if any("RayTrainWorker" in part for part in process.cmdline()):
                os.kill(process.pid, signal.SIGSTOP)
                self.stopped.append(process)


@pytest.mark.slow
def test_a_frozen_process_ends_the_run_with_what_to_do(ray_cluster, data, tmp_path):
    stopper = Stopper(tmp_path / "run" / "metrics.jsonl")
    stopper.start()
    trainer = _trainer(tmp_path, 0, 1)
    trainer.trainer = trainer.trainer.model_copy(update={"epochs": 20_000})
    with pytest.raises(WorkerError, match="worker 0: no answer for 5 s") as caught:
        trainer.fit(data)
    assert (caught.value.field, caught.value.value) == ("cluster.max_failures", 0)
    assert "cluster.worker_timeout" in caught.value.fix
    assert "existing='resume'" in caught.value.fix
    assert len(stopper.stopped) == 1
    gone, alive = psutil.wait_procs(stopper.stopped, timeout=30)
    assert gone
    assert not alive
