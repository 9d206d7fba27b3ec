"""Faults of machines and of services under a training on two nodes, with its ledger checked."""

from __future__ import annotations

import pytest

from qstore_ray.train.run.find import find_run
from tests.chaos.driver import train
from tests.chaos.memory import MemoryLimit, needs_memory_limits
from tests.chaos.namespaces import needs_namespaces

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900), needs_namespaces]


@pytest.mark.parametrize("fault", ["clock", "slow"])
def test_a_clock_that_jumps_and_a_slow_disk_change_no_bit(wires, begin, undisturbed, fault):
    """In the driver and in worker 0, which writes all there is to write."""
    wires.nodes_ready(2)
    training = begin(workers=2, fault=fault)
    assert training.end() == undisturbed
    assert training.starts() == [(0, 2)]


def test_late_packets_change_no_bit(wires, begin, undisturbed):
    one, two = wires.nodes_ready(2)
    with one.delayed(20), two.delayed(40):
        training = begin(workers=2)
        assert training.end() == undisturbed
    assert training.starts() == [(0, 2)]


def test_rows_are_streamed_past_a_full_object_store(wires, begin, streamed):
    """Objects in use fill it on the node of worker 0; Ray puts others on the disk."""
    wires.nodes_ready(2)
    training = begin(workers=2, fault="store", stream=True)
    assert training.end() == streamed
    assert training.starts() == [(0, 2)]


@pytest.mark.parametrize("fault", ["", "503", "cut", "lost"])
def test_a_store_with_faults_has_the_run_of_several_nodes(
    wires, begin, store, undisturbed, fault, monkeypatch, tmp_path
):
    """The driver and both workers each have a folder for copies of their own.

    Every third request fails, uploads of checkpoints and the lease among them. Another machine
    finds the whole run.
    """
    wires.nodes_ready(2)
    store.proxy.plan = lambda number, method, path: fault if number % 3 == 0 else ""
    training = begin(workers=2, storage=store.address)
    for name, value in wires.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    training.wait_for_end()
    store.proxy.plan = lambda *_: ""
    training.run_dir = find_run("run", store.address)
    assert training.end() == undisturbed
    assert training.starts() == [(0, 2)]
    assert not fault or f"{fault} PUT" in store.proxy.met


def test_a_service_that_ends_hands_streamed_rows_over(wires, begin, tmp_path_factory):
    """All workers change to the next backend of the chain after the same step."""
    alone = train(tmp_path_factory.mktemp("alone"), stream=True, down_after=25)
    wires.nodes_ready(2)
    training = begin(workers=2, stream=True, down_after=25)
    assert training.end() == alone
    assert training.starts() == [(0, 2), (25, 2)], "the same workers go on"
    assert any("the service does not answer" in reason for reason in training.reasons())


@pytest.fixture
def limited(wires, request):
    """The head, and a node with a limit on its memory; only there is room for a worker."""
    limit = MemoryLimit(1500)
    wires.nodes_ready(0)
    node = wires.start_node(limit=limit, environment=request.param)
    yield limit
    node.kill()
    limit.close()


MONITOR = {"RAY_memory_monitor_refresh_ms": "50"}
NO_MONITOR = {"RAY_memory_monitor_refresh_ms": "0"}


@needs_memory_limits
@pytest.mark.parametrize("limited", [MONITOR], indirect=True)
def test_memory_that_is_nearly_full_is_counted_with_advice(limited, begin, undisturbed, tmp_path):
    """Ray ends the worker twice, before the kernel does; the second time is one too many."""
    for number in range(2):
        (tmp_path / f"take-{number}").touch()
    training = begin(workers=1, fault="memory", max_failures=0, max_memory_failures=1)
    error = training.error()
    assert error["field"] == "cluster.max_memory_failures", error
    assert "the memory of its machine was nearly full" in error["message"]
    assert "put fewer workers on a machine" in error["fix"]
    assert limited.kills() == 0
    assert [step for step, _ in training.starts()] == [0, 0]
    again = begin(workers=1, fault="memory", max_failures=0)
    assert again.end() == undisturbed


@needs_memory_limits
@pytest.mark.parametrize("limited", [NO_MONITOR], indirect=True)
def test_a_worker_that_the_kernel_kills_is_started_again(limited, begin, undisturbed, tmp_path):
    """Nobody is told why it died, so it is a failure like others."""
    (tmp_path / "take-0").touch()
    training = begin(workers=1, fault="memory", max_failures=1)
    assert training.end() == undisturbed
    assert limited.kills() == 1
    assert "its process was killed or crashed" in training.reasons()[0]
