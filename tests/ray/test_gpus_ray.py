"""Workers with GPUs: Ray counts them without looking, so two of them can be declared anywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from qstore_ray.errors import ConfigError, ResourceError
from qstore_ray.train.config import ClusterConfig
from qstore_ray.train.ray.session import ray_session

DRIVER = """
import json, os, sys
import numpy as np, ray
from qstore_ray import DatasetLoader, ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.train.callbacks.base import Callback
from qstore_ray.train.config import ClusterConfig

class Sees(Callback):
    def on_train_begin(self, run):
        (run.run_dir / "gpus.json").write_text(json.dumps(os.environ["CUDA_VISIBLE_DEVICES"]))

ray.init("local", num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False,
         object_store_memory=100 * 2**20)
x = np.random.default_rng(0).normal(size=(40, 2))
trainer = QuantumTrainer(
    ModelConfig(n_qubits=2, layers=1), TrainerConfig(epochs=1, num_workers=2, batch_size=16),
    name="gpus", storage=sys.argv[1], cluster=ClusterConfig(gpus_per_worker=1),
    track=TrackConfig(mlflow=False, figures=False), callbacks=[Sees()],
)
result = trainer.fit(DatasetLoader.from_arrays(x, (x[:, 0] > 0).astype(int)))
print(json.dumps(json.loads((result.run_dir / "gpus.json").read_text())))
"""


def test_each_worker_sees_a_gpu_of_its_own(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) in ("0", "1")


def test_gpus_that_are_not_there_are_an_error(ray_cluster: None):
    cluster = ClusterConfig(cpus_per_worker=0.5, gpus_per_worker=1)
    with pytest.raises(ResourceError, match="need 2 GPUs, Ray has 0") as caught, \
            ray_session(cluster, 2):  # fmt: skip
        pass
    assert caught.value.field == "cluster.gpus_per_worker"


def test_one_and_a_half_gpus_are_an_error():
    with pytest.raises(ConfigError, match="share of one GPU, or whole ones"):
        ClusterConfig(gpus_per_worker=1.5)
