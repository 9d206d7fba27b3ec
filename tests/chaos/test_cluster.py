"""What can happen to the processes of a cluster under a training, with its ledger checked."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ledger import check_run
from tests.ray.namespaces import Network, needs_namespaces, network, why_not
from tests.ray.nodes_driver import EPOCHS, STEPS, train
from tests.ray.test_nodes_ray import Training

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900), needs_namespaces]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> str:
    return train(tmp_path_factory.mktemp("alone"))


@pytest.fixture
def wires(repository: Path) -> Iterator[Network]:
    """A network of its own for each test: some kill the head."""
    with network({"PYTHONPATH": str(repository)}) as found:
        found.start_head()
        yield found


def _check(storage: Path, theta: str) -> None:
    check_run(
        storage / "run", storage / "ledger.jsonl", bytes.fromhex(theta),
        epochs=EPOCHS, batches=STEPS,
    )  # fmt: skip


def _kill(pids: list[int], part: str) -> None:
    found = [pid for pid in pids if part in Path(f"/proc/{pid}/cmdline").read_text()]
    assert found, f"no process of {part}"
    for pid in found:
        os.kill(pid, signal.SIGKILL)


def test_killed_raylets_workers_and_drivers_cost_no_batch(wires, tmp_path, undisturbed):
    """On one node after the other; at last the head is killed, and this process resumes."""
    one, two = wires.start_node(), wires.start_node()
    options = {"workers": [1, 2], "max_failures": 5, "start_timeout": 120.0}
    training = Training(wires, tmp_path, holds=[7, 18, 29], **options)
    training.held(7)
    os.kill(one.workers()[0], signal.SIGKILL)
    training.go(7)
    training.held(18)
    assert len(training.starts()) == 2
    _kill(two.processes(), "raylet/raylet")
    training.wait(lambda: not two.workers(), "a worker ends after its raylet")
    training.go(18)
    training.held(29)
    assert training.starts()[-1][1] == 1
    _kill(wires.nodes[0].processes(), "nodes_driver")
    training.process.wait(60)
    training.go(29)

    again = Training(wires, tmp_path, holds=[44], **options)
    again.held(44)
    assert again.starts()[-1][1] == 1
    _kill(wires.nodes[0].processes(), "gcs_server")
    wires.nodes[0].kill()
    one.kill()
    theta = train(tmp_path)
    assert theta == undisturbed
    _check(tmp_path, theta)


def test_a_network_that_is_gone_for_a_moment_costs_no_group(wires, tmp_path, undisturbed):
    """For less than Ray's health checks wait: packets are sent again."""
    one, _ = wires.start_node(), wires.start_node()
    training = Training(wires, tmp_path, workers=2, holds=[25])
    training.held(25)
    one.cut_off()
    training.go(25)
    time.sleep(1.5)
    one.rejoin()
    theta = training.end()
    assert theta == undisturbed
    assert training.starts() == [(0, 2)]
    _check(tmp_path, theta)


NO_DELAY = why_not("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms")


@pytest.mark.skipif(bool(NO_DELAY), reason=f"packets cannot be delayed here: {NO_DELAY}")
def test_a_slow_network_changes_no_bit(wires, tmp_path, undisturbed):
    one, two = wires.start_node(), wires.start_node()
    one.delay(30)
    two.delay(60)
    training = Training(wires, tmp_path, workers=2)
    theta = training.end()
    assert theta == undisturbed
    assert training.starts() == [(0, 2)]
    _check(tmp_path, theta)
