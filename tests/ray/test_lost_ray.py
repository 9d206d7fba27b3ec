"""A driver whose Ray is killed says so, ends with 4, and is resumed; Ray alone ends it with 1."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray._private import worker

from qstore_ray.cluster.processes import processes, wait_until
from qstore_ray.errors import LostClusterError
from qstore_ray.train.ray.beside import call_beside
from qstore_ray.train.ray.side_effects import ray_is_lost
from tests.ray.test_cluster_ray import _cluster
from tests.unit.cli.test_train import JOB

LONGEST = 240.0


LISTEN = """
import socket, sys, time
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
print("listens", flush=True)
time.sleep(600)
"""


@pytest.fixture
def raylet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What a raylet is to those that watch it: a socket that listens while it lives."""
    path = str(tmp_path / "raylet")
    process = subprocess.Popen([sys.executable, "-c", LISTEN, path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    node = SimpleNamespace(raylet_socket_name=path, dead_processes=list)
    monkeypatch.setattr(worker.global_worker, "node", node)
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_call_that_a_lost_ray_cannot_answer_is_left_alone(raylet: subprocess.Popen[bytes]):
    assert not ray_is_lost()
    for_ever = threading.Event()
    threading.Timer(0.3, raylet.kill).start()
    with pytest.raises(LostClusterError, match="the Ray on this machine has ended") as caught:
        call_beside(for_ever.wait, threading.Event(), on_stop=lambda: None)
    for_ever.set()
    assert (caught.value.exit_code, "existing='resume'" in caught.value.fix) == (4, True)
    raylet.wait()
    assert ray_is_lost()


def test_one_that_was_asked_to_stop_together_with_ray_is_interrupted(
    raylet: subprocess.Popen[bytes],
):
    for_ever, stop = threading.Event(), threading.Event()
    threading.Timer(0.3, lambda: (raylet.kill(), stop.set())).start()
    with pytest.raises(KeyboardInterrupt):
        call_beside(for_ever.wait, stop, on_stop=lambda: None)
    for_ever.set()


@pytest.mark.slow
@pytest.mark.parametrize("parent", ["lives", "has ended"])
def test_a_training_whose_warm_cluster_is_killed_ends_with_4_and_is_resumed(
    parent: str, tmp_path: Path
):
    """The supervisor is killed, and Ray's processes with it. Two starts of Ray: about a minute."""
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        environment.pop(name, None)
    job = tmp_path / "iris.toml"
    text = JOB.replace("epochs = 2", "epochs = 600\nnum_workers = 2")
    job.write_text(text.format(storage=tmp_path / "runs"), encoding="utf-8")
    run, ended, said = (tmp_path / name for name in ("runs/iris", "ended", "said"))
    train = [sys.executable, "-m", "qstore_ray", "train", str(job)]
    line = f"{' '.join(train)} > {said} 2>&1"
    line = f"{line}; echo $? > {ended}" if parent == "lives" else f"{line} &"
    try:
        up = _cluster(environment, "up", "--cpus", "2")
        shell = subprocess.Popen(["setsid", "sh", "-c", line], env=environment)
        manifests = run / "checkpoints"
        assert wait_until(lambda: any(manifests.glob("*/manifest.json")), LONGEST), said.read_text()
        os.kill(up["pid"], signal.SIGKILL)
        loss = "error     the Ray on this machine has ended"
        assert wait_until(lambda: loss in said.read_text(), LONGEST), said.read_text()
        assert shell.wait(LONGEST) == 0
        assert parent != "lives" or ended.read_text() == "4\n"
        assert "--resume" in said.read_text()
    finally:
        _cluster(environment, "down")
    assert json.loads((run / "run.json").read_text())["status"] == "failed"
    command = [*train, "--resume", "--workers", "0"]
    wait_until(lambda: not any(str(job) in each.command for each in processes()), LONGEST)
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    records = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    epochs = [record["epoch"] for record in records if record["event"] == "epoch"]
    assert epochs == list(range(600))
