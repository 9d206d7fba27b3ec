"""A training across nodes with addresses of their own, of which some leave, die and join.

The parameters are those of an undisturbed run in one process, bit for bit; the ledger of steps, the
metrics and the checkpoints are checked too (`tests/ledger.py`).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qstore_ray.track.jsonl import read_records
from tests.ledger import check_run
from tests.ray.namespaces import Network, Node, needs_namespaces, network
from tests.ray.nodes_driver import EPOCHS, STEPS, train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), needs_namespaces]

_LONGEST = 300.0


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> str:
    return train(tmp_path_factory.mktemp("alone"))


@pytest.fixture
def wires(repository: Path) -> Iterator[Network]:
    with network({"PYTHONPATH": str(repository)}) as found:
        found.start_head()
        yield found


class Training:
    """A driver on the head."""

    def __init__(self, wires: Network, storage: Path, **options: Any) -> None:
        self.storage, self.run_dir = storage, storage / "run"
        cluster = {"resize_every": 1.0, "start_timeout": 120.0, **options}
        self.said = storage / "said.txt"
        self.process = wires.nodes[0].begin(
            "tests.ray.nodes_driver", str(storage), json.dumps(cluster), log=self.said
        )

    def held(self, step: int) -> None:
        """Return when the training waits after this step."""
        self.wait((self.storage / f"held-{step}").exists, f"step {step}")

    def go(self, step: int) -> None:
        """It need not wait there any more."""
        (self.storage / f"go-{step}").touch()

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Return when a condition holds, while the driver lives."""
        deadline = time.monotonic() + _LONGEST
        while not condition():
            assert self.process.poll() is None, self.outcome() + self.said.read_text()
            assert time.monotonic() < deadline, f"{what}: {self.starts()} {self.said.read_text()}"
            time.sleep(0.05)

    def outcome(self) -> str:
        path = self.storage / "result.json"
        return path.read_text() if path.exists() else ""

    def starts(self) -> list[tuple[int, int]]:
        """Each group of workers: the step that it began with, and its size."""
        records = read_records(self.run_dir / "metrics.jsonl")
        found = [record for record in records if record["event"] == "start"]
        return [(record["resumed_from_step"], record["workers"]) for record in found]

    def reasons(self) -> list[str]:
        """Why groups ended."""
        records = read_records(self.run_dir / "metrics.jsonl")
        return [record["message"] for record in records if record["event"] == "warning"]

    def end(self) -> str:
        """The parameters, as bits."""
        assert self.process.wait(_LONGEST) == 0, self.outcome() + self.said.read_text()
        return json.loads(self.outcome())["theta"]


def _of_worker(nodes: list[Node]) -> list[int]:
    return [pid for node in nodes for pid in node.workers()]


def test_cut_off_killed_joined_and_drained_nodes_change_no_bit(wires, tmp_path, undisturbed):
    """Groups of 2, 1, 2, 1, 2 and 1 workers, and one more after a SIGTERM."""
    one, two = wires.start_node(), wires.start_node()
    holds = [8, 15, 24, 33, 42]
    options = {"workers": [1, 2], "holds": holds, "asked": [15, 33], "max_failures": 3}
    training = Training(wires, tmp_path, **options)
    training.held(8)
    assert training.starts() == [(0, 2)]
    two.cut_off()
    training.go(8)

    training.held(15)  # on the node that is left
    assert [size for _, size in training.starts()] == [2, 1]
    three = wires.start_node()
    training.go(15)

    training.held(24)
    assert [size for _, size in training.starts()] == [2, 1, 2]
    assert any("there is room for 2 workers now" in reason for reason in training.reasons())
    one.kill()
    training.go(24)

    training.held(33)
    assert training.starts()[-1][1] == 1
    four = wires.start_node()
    training.go(33)

    training.held(42)
    assert training.starts()[-1][1] == 2
    before = len(training.starts())
    (victim,) = three.workers()
    os.kill(victim, signal.SIGTERM)
    training.go(42)
    theta = training.end()
    assert len(training.starts()) == before + 1
    assert any("SIGTERM" in reason for reason in training.reasons())
    assert four.processes()
    assert theta == undisturbed
    check_run(
        training.run_dir, tmp_path / "ledger.jsonl", bytes.fromhex(theta),
        epochs=EPOCHS, batches=STEPS,
    )  # fmt: skip


def test_a_node_that_is_drained_loses_no_step(wires, tmp_path, undisturbed):
    """Its notice makes the workers save a checkpoint; the next group is on the node that stays."""
    stays, leaves = wires.start_node(), wires.start_node()
    options = {"holds": [13], "asked": [13], "max_failures": 0, "resize_every": 1000.0}
    training = Training(wires, tmp_path, workers=[1, 2], **options)
    training.held(13)
    assert training.starts() == [(0, 2)]
    assert stays.workers()
    stays.run(
        sys.executable, "-m", "ray.scripts.scripts", "drain-node",
        f"--address={wires.environment['RAY_ADDRESS']}", f"--node-id={leaves.identity()}",
        "--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=a test",
        "--deadline-remaining-seconds=600",
    )  # fmt: skip
    training.go(13)
    theta = training.end()
    assert training.starts() == [(0, 2), (14, 1)], "after the very next step"
    assert any("about to take away 1 of the machines" in reason for reason in training.reasons())
    assert theta == undisturbed
