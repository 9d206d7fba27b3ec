"""Nodes with addresses of their own, of which some are cut off, die, leave and join in a training.

The parameters are those of an undisturbed run in one process, bit for bit; `Training.end` checks
the ledger of steps, the metrics and the checkpoints, too.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.chaos.driver import train
from tests.chaos.namespaces import needs_namespaces
from tests.chaos.training import check

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900), needs_namespaces]

ELASTIC = {"workers": [1, 2], "max_failures": 5}


def _kill(pids: list[int], part: str) -> None:
    found = [pid for pid in pids if part in Path(f"/proc/{pid}/cmdline").read_text()]
    assert found, f"no process of {part}"
    for pid in found:
        os.kill(pid, signal.SIGKILL)


def test_cut_off_killed_and_joined_nodes_change_no_bit(wires, begin, undisturbed):
    """Groups of 2, 1, 2, 1, 2 and 1 workers, and one more after a SIGTERM."""
    one, two = wires.nodes_ready(2)
    training = begin(**ELASTIC, holds=[8, 15, 24, 33, 42], asked=[15, 33])
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
    wires.start_node()
    training.go(33)

    training.held(42)
    assert training.starts()[-1][1] == 2
    before = len(training.starts())
    (victim,) = three.workers()
    os.kill(victim, signal.SIGTERM)
    training.go(42)
    assert training.end() == undisturbed
    assert len(training.starts()) == before + 1
    assert "a worker received SIGTERM" in training.reasons()[-1]


def test_a_node_that_is_drained_loses_no_step(wires, begin, undisturbed):
    """Its notice makes the workers save a checkpoint; the next group is on the node that stays."""
    stays, leaves = wires.nodes_ready(2)
    leaves.is_whole = False
    options = {"holds": [13], "asked": [13], "max_failures": 0, "resize_every": 1000.0}
    training = begin(workers=[1, 2], **options)
    training.held(13)
    assert training.starts() == [(0, 2)]
    assert stays.workers()
    stays.run(
        sys.executable, "-m", "ray.scripts.scripts", "drain-node",
        f"--address={wires.address}", f"--node-id={leaves.identity()}",
        "--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=a test",
        "--deadline-remaining-seconds=600",
    )  # fmt: skip
    training.go(13)
    assert training.end() == undisturbed
    assert training.starts() == [(0, 2), (14, 1)], "after the very next step"
    assert any("about to take away 1 of the machines" in reason for reason in training.reasons())


def test_streamed_rows_follow_the_workers_from_node_to_node(wires, begin, streamed):
    """A node dies within a window and another one joins within another."""
    one, _ = wires.nodes_ready(2)
    training = begin(**ELASTIC, holds=[12, 25, 38], asked=[25], stream=True)
    training.held(12)
    assert training.starts() == [(0, 2)]
    one.kill()
    training.go(12)
    training.held(25)
    assert [size for _, size in training.starts()] == [2, 1]
    wires.start_node()
    training.go(25)
    training.held(38)
    assert [size for _, size in training.starts()] == [2, 1, 2]
    training.go(38)
    assert training.end() == streamed


def test_a_network_that_is_gone_for_a_moment_costs_no_group(wires, begin, undisturbed):
    """For less than Ray's health checks wait: packets are sent again."""
    one, _ = wires.nodes_ready(2)
    training = begin(workers=2, holds=[25])
    training.held(25)
    one.cut_off()
    training.go(25)
    time.sleep(1.5)
    one.rejoin()
    assert training.end() == undisturbed
    assert training.starts() == [(0, 2)]


def test_killed_raylets_workers_drivers_and_heads_cost_no_batch(
    wires, begin, undisturbed, tmp_path
):
    """One after the other; when the head is gone, this process resumes."""
    one, two = wires.nodes_ready(2)
    training = begin(**ELASTIC, holds=[7, 18, 29])
    training.held(7)
    os.kill(one.workers()[0], signal.SIGKILL)
    training.go(7)
    training.held(18)
    assert len(training.starts()) == 2
    two.is_whole = False
    _kill(two.processes(), "raylet/raylet")
    training.wait(lambda: not two.workers(), "a worker ends after its raylet")
    training.go(18)
    training.held(29)
    assert training.starts()[-1][1] == 1
    _kill(wires.nodes[0].processes(), "tests.chaos.driver")
    training.process.wait(60)
    training.go(29)

    again = begin(**ELASTIC, holds=[44])
    again.held(44)
    assert again.starts()[-1][1] == 1
    _kill(wires.nodes[0].processes(), "gcs_server")
    wires.nodes[0].kill()
    one.kill()
    theta = train(tmp_path)
    assert theta == undisturbed
    check(tmp_path, theta)
