"""Workers with GPUs: Ray counts them without looking, so two of them can be declared anywhere."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import ConfigError, ResourceError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.callbacks.base import Callback, Run
from qstore_ray.train.config import ClusterConfig, TrainerConfig
from qstore_ray.train.ray.session import ray_session
from qstore_ray.train.trainer import QuantumTrainer


class Sees(Callback):
    """Writes down which GPUs its worker sees."""

    def on_train_begin(self, run: Run) -> None:
        assert run.run_dir is not None
        (run.run_dir / "gpus").write_text(os.environ["CUDA_VISIBLE_DEVICES"])


def test_each_worker_sees_a_gpu_of_its_own(ray_cluster: None, tmp_path: Path):
    x = np.random.default_rng(0).normal(size=(40, 2))
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1),
        TrainerConfig(epochs=1, num_workers=2, batch_size=16),
        name="gpus",
        storage=tmp_path,
        cluster=ClusterConfig(cpus_per_worker=0.5, gpus_per_worker=1),
        track=TrackConfig(mlflow=False, figures=False),
        callbacks=[Sees()],
    )
    result = trainer.fit(DatasetLoader.from_arrays(x, (x[:, 0] > 0).astype(int)))
    assert (result.run_dir / "gpus").read_text() in ("0", "1")


def test_gpus_that_are_not_there_are_an_error(ray_cluster: None):
    cluster = ClusterConfig(cpus_per_worker=0.5, gpus_per_worker=2)
    with pytest.raises(ResourceError, match="need 4 GPUs, Ray has 2") as caught, \
            ray_session(cluster, 2):  # fmt: skip
        pass
    assert caught.value.field == "cluster.gpus_per_worker"


def test_one_and_a_half_gpus_are_an_error():
    with pytest.raises(ConfigError, match="share of one GPU, or whole ones"):
        ClusterConfig(gpus_per_worker=1.5)
