"""The warm cluster: on loopback alone, joined by trainings by themselves, and gone afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

LONGEST = 180.0

TRAIN = """
import json, logging, sys
from qstore_ray import DatasetConfig, DatasetLoader, ModelConfig, QuantumTrainer
from qstore_ray import TrackConfig, TrainerConfig
from qstore_ray.train.ray import session
import ray

data = DatasetLoader.load(DatasetConfig(name="iris", params={"dataset": "iris"}))
logging.disable()
session._own_ray = None  # a Ray of our own would be a TypeError
found = []
for name in ("first", "second"):
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=4, layers=1), TrainerConfig(epochs=1, num_workers=2),
        name=name, storage=sys.argv[1], track=TrackConfig(mlflow=False, figures=False),
    )
    found.append(trainer.fit(data).metrics["epochs"])
print(json.dumps({"epochs": found, "left": not ray.is_initialized()}))
"""


def _cluster(environment: dict[str, str], *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "qstore_ray", "cluster", *words, "--json"],
        env=environment, capture_output=True, text=True, timeout=LONGEST, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _of_session(session: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):  # it has ended meanwhile
            continue
    return found


def test_a_warm_cluster_is_joined_twice_and_leaves_nothing(tmp_path: Path):
    state = tmp_path / "state"
    environment = {**os.environ, "XDG_STATE_HOME": str(state)}
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):  # those of the cluster are found
        environment.pop(name, None)
    up: dict[str, Any] = {}
    try:
        up = _cluster(environment, "up", "--nodes", "2", "--cpus", "2")
        assert up["started"]
        assert not _cluster(environment, "up")["started"]
        (token,) = (file.read_text() for file in state.rglob("token"))
        group = _of_session(up["pid"])
        assert len(group) > 5
        addresses = {
            each.laddr.ip.removeprefix("::ffff:")
            for process in group
            for each in process.net_connections()
            if each.status == psutil.CONN_LISTEN
        }
        assert addresses == {"127.0.0.1"}
        assert not any(token in " ".join(process.cmdline()) for process in group)
        assert token not in json.dumps(up)

        done = subprocess.run(
            [sys.executable, "-c", TRAIN, str(tmp_path / "runs")],
            env=environment, capture_output=True, text=True, timeout=LONGEST, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        assert json.loads(done.stdout.splitlines()[-1]) == {"epochs": [1, 1], "left": True}
        logs = [file.read_bytes() for file in state.rglob("*.txt")]
        logs += [file.read_bytes() for file in Path(up["temp_dir"]).rglob("*.log")]
        assert not any(token.encode() in log for log in [*logs, done.stderr.encode()])
    finally:
        assert _cluster(environment, "down")["stopped"] is bool(up)
    assert _of_session(up["pid"]) == []
    assert not [file for file in state.rglob("*") if file.is_file()]
    assert not Path(up["temp_dir"]).exists()
    assert _cluster(environment, "status") == {"running": False}


@pytest.mark.skipif("TEST_ALL" not in os.environ, reason="a second start of Ray: make test-all")
def test_what_a_killed_supervisor_leaves_is_removed(tmp_path: Path):
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    try:
        up = _cluster(environment, "up")
        os.kill(up["pid"], 9)
        assert _cluster(environment, "status") == {"running": False}
        assert _of_session(up["pid"]) == []
        assert not Path(up["temp_dir"]).exists()
        assert not [file for file in tmp_path.rglob("*") if file.is_file()]
    finally:
        _cluster(environment, "down")
