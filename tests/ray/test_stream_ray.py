"""Rows streamed by Ray Data to real workers: the same bits as in this process, also after a kill."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.config import ClusterConfig, TrainerConfig
from qstore_ray.train.trainer import QuantumTrainer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
N = 300_000


@pytest.fixture
def dataset(tmp_path, ray_cluster):
    """Three windows of 131,072 rows at most, of two blocks each; fitted by tasks of Ray."""
    x = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
    table = pa.table({**{f"x{i}": x[:, i] for i in range(4)}, "y": (x[:, 0] > x[:, 1]) * 1})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=65_536)
    return DatasetLoader.load(
        DatasetConfig(
            name="rows",
            source="local",
            params={"path": str(tmp_path / "rows.parquet")},
            columns={"label": "y"},
            split={"train": 0.96, "val": 0.02, "test": 0.02},
            preprocessing=[{"name": "standard"}, {"name": "pca", "components": 3}],
            stream=True,
        )
    )


def _fit(dataset, storage: Path, workers: int):
    return QuantumTrainer(
        ModelConfig(n_qubits=3, layers=1),
        TrainerConfig(epochs=2, batch_size=4000, num_workers=workers, checkpoint_every_seconds=0.5),
        name="run",
        storage=storage,
        # Both processors are the workers': the rows are read nevertheless.
        cluster=ClusterConfig(cpus_per_worker=1, max_failures=3),
        track=TrackConfig(mlflow=False, figures=False),
    ).fit(dataset)


def _epochs(run_dir: Path) -> list[dict]:
    records = epoch_records(read_records(run_dir / "metrics.jsonl"))
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


def _kill_a_worker(run_dir: Path, done: threading.Event) -> None:
    """SIGKILL a worker in the middle of the run's first epoch."""
    while not done.is_set():
        steps = [r for r in read_records(run_dir / "metrics.jsonl") if r.get("event") == "step"]
        workers = [
            process
            for process in psutil.Process().children(recursive=True)
            if process.name().startswith("ray::RayTrainWo")
        ]
        if len(steps) > 10 and workers:
            os.kill(workers[-1].pid, signal.SIGKILL)
            done.set()
        time.sleep(0.05)


def test_workers_that_are_killed_go_on_at_their_window_with_the_same_bits(dataset, tmp_path):
    alone = _fit(dataset, tmp_path / "alone", 0)
    done = threading.Event()
    run_dir = tmp_path / "workers" / "run"
    killer = threading.Thread(target=_kill_a_worker, args=(run_dir, done))
    killer.start()
    try:
        together = _fit(dataset, tmp_path / "workers", 2)
        assert done.is_set(), "no worker was killed"
    finally:
        done.set()
        killer.join()
    np.testing.assert_array_equal(together.model.theta, alone.model.theta)
    assert _epochs(run_dir) == _epochs(tmp_path / "alone" / "run")
    starts = [r for r in read_records(run_dir / "metrics.jsonl") if r.get("event") == "start"]
    assert len(starts) > 1
