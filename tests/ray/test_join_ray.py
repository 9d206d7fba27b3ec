"""A cluster that is already running is joined by its address, used, and left running."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ray.heads import ray_head

TRAIN = """
import json, sys
from qstore_ray import DatasetConfig, DatasetLoader, ModelConfig, QuantumTrainer
from qstore_ray import TrackConfig, TrainerConfig

data = DatasetLoader.load(DatasetConfig(name="iris", params={"dataset": "iris"}))
trainer = QuantumTrainer(
    ModelConfig(n_qubits=4, layers=1), TrainerConfig(epochs=2, num_workers=1),
    name="joined", storage=sys.argv[1], track=TrackConfig(mlflow=False, figures=False),
)
result = trainer.fit(data)
import ray
print(json.dumps({"epochs": result.metrics["epochs"], "left": not ray.is_initialized()}))
"""


LONGEST = 180.0
"""Seconds of a process that joins, on a machine that is busy with other tests."""


@pytest.fixture(scope="module")
def head() -> Iterator[dict[str, str]]:
    """The environment in which a Ray head of two CPUs is found; the head ends with the test."""
    with ray_head(os.environ) as (environment, _):
        yield environment


def test_ray_address_is_joined_and_left_running(head: dict[str, str], tmp_path: Path) -> None:
    """`RAY_ADDRESS` wins over starting a Ray of our own, and the cluster outlives the run."""
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(tmp_path)],
        env=head, capture_output=True, text=True, timeout=LONGEST, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:] + Path(head["HEAD_LOG"]).read_text()[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"epochs": 2, "left": True}


@pytest.mark.parametrize("token", ["0" * 64, None], ids=["wrong", "missing"])
def test_a_cluster_is_not_joined_without_its_token(head, token, tmp_path: Path) -> None:
    """An error that says where the token goes; nothing of the run is written."""
    # Ray asks five times, a second apart, before it says so; twice is enough here.
    environment = {**head, "RAY_gcs_server_port_wait_time_s": "2"}
    if token is not None:
        environment["RAY_AUTH_TOKEN"] = token
    else:
        del environment["RAY_AUTH_TOKEN"]
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(tmp_path)],
        env=environment, capture_output=True, text=True, timeout=LONGEST, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith("qstore_ray.errors.BackendError: cluster.address")
    assert "RAY_AUTH_TOKEN" in said
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_of_another_version_is_not_joined(head, tmp_path: Path) -> None:
    """The versions of both sides are named."""
    other = "import ray\nray.__version__ = '1.2.3'\n"
    done = subprocess.run(
        [sys.executable, "-c", other + TRAIN, str(tmp_path)],
        env=head, capture_output=True, text=True, timeout=LONGEST, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith("qstore_ray.errors.BackendError: cluster.address: cannot join")
    assert "1.2.3" in said
    assert sys.version.split()[0] in said
    assert "Install the cluster's versions" in said
    assert list(tmp_path.iterdir()) == []


def test_an_address_where_nothing_listens_is_a_backend_error(tmp_path: Path) -> None:
    """In seconds, naming the address; nothing is left running."""
    code = TRAIN.replace(
        "track=Track",
        "cluster=__import__('qstore_ray').ClusterConfig(address='127.0.0.1:1'), track=Track",
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True, text=True, timeout=LONGEST, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "BackendError" in done.stderr
    assert "127.0.0.1:1" in done.stderr


AFTER_ANOTHER = """
import os
os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="a" * 64)
from ray._raylet import AuthenticationTokenLoader
assert AuthenticationTokenLoader.instance().get_token_for_http_header()  # kept by Ray from here on
del os.environ["RAY_AUTH_TOKEN"]
from qstore_ray.train.config import ClusterConfig
from qstore_ray.train.ray.session import ray_session
with ray_session(ClusterConfig(address="local"), 0):
    import ray
    print(ray.cluster_resources()["CPU"])
"""


@pytest.mark.slow
def test_a_ray_of_its_own_starts_after_the_process_has_read_another_token() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AFTER_ANOTHER],
        capture_output=True, text=True, timeout=LONGEST, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout.splitlines()[-1]) > 0
