"""Rows streamed by Ray Data to real workers: the bits of a run without Ray, also after a kill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
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
from tests.ray.test_train_ray import Killer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
N = 200_000


@pytest.fixture
def dataset(tmp_path, ray_cluster):
    """Two windows, of two blocks each; fitted by tasks of Ray."""
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
        ModelConfig(n_qubits=4, layers=2),
        TrainerConfig(epochs=2, batch_size=1000, num_workers=workers, checkpoint_every_seconds=0.5),
        name="run",
        storage=storage,
        # Both processors are the workers': the rows are read nevertheless.
        cluster=ClusterConfig(cpus_per_worker=1, max_failures=3),
        track=TrackConfig(mlflow=False, figures=False),
    ).fit(dataset)


def _epochs(run_dir: Path) -> list[dict]:
    records = epoch_records(read_records(run_dir / "metrics.jsonl"))
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


def test_workers_that_are_killed_go_on_at_their_window_with_the_same_bits(dataset, tmp_path):
    alone = _fit(dataset, tmp_path / "alone", 0)
    run_dir = tmp_path / "workers" / "run"
    killer = Killer(run_dir, at=[130])  # in the second window of the first epoch
    killer.start()
    together = _fit(dataset, tmp_path / "workers", 2)
    killer.join(5)
    assert len(killer.killed) == 1
    np.testing.assert_array_equal(together.model.theta, alone.model.theta)
    assert _epochs(run_dir) == _epochs(tmp_path / "alone" / "run")
    starts = [r for r in read_records(run_dir / "metrics.jsonl") if r.get("event") == "start"]
    assert starts[-1]["resumed_from_step"] > 0
