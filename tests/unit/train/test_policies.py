"""What Ray Train's controller is answered: restart or not, with how many workers, and when."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, OutOfMemoryError
from ray.train import ScalingConfig
from ray.train.v2._internal.exceptions import (
    WorkerGroupStartupTimeoutError,
    WorkerHealthCheckFailedError,
)
from ray.train.v2._internal.execution.controller.controller import TrainController
from ray.train.v2._internal.execution.controller.state import RestartingState, RunningState
from ray.train.v2._internal.execution.failure_handling import FailureDecision
from ray.train.v2._internal.execution.scaling_policy import NoopDecision, ResizeDecision
from ray.train.v2.api.config import FailureConfig
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

from qstore_ray.errors import CheckpointError, RegroupError, WorkerError
from qstore_ray.train.config import ClusterConfig
from qstore_ray.train.elastic import notice
from qstore_ray.train.elastic.limits import FailureLimits
from qstore_ray.train.elastic.room import GroupSize
from qstore_ray.train.ray import controller, policies
from qstore_ray.train.ray.controller import _DriverController
from qstore_ray.train.ray.failures import cause_of, training_error
from qstore_ray.train.ray.policies import FailuresByCause, RegroupingPolicy

DIED = ActorDiedError()
TAKEN = ActorDiedError()
TAKEN._preempted = True
MEMORY = OutOfMemoryError("Task was killed due to the node running low on memory.")
SIGTERM = RegroupError("a worker received SIGTERM", field="cluster.max_preemptions")
LARGER = RegroupError("there is room for 3 workers now, 2 trained")


def _asked(error: Exception) -> Exception:
    """As Ray Train wraps what it met when it asked a worker how it does."""
    return WorkerHealthCheckFailedError("A worker health check failed.", failure=error)


def _group_error(*failures: Exception) -> WorkerGroupError:
    return WorkerGroupError("some failed", dict(enumerate(failures)))


@pytest.mark.parametrize(
    ("failures", "cause"),
    [
        ([DIED], "failure"),
        ([CheckpointError("full"), DIED], "failure"),
        ([_asked(MEMORY)], "memory"),
        ([_asked(DIED), _asked(MEMORY)], "memory"),
        ([_asked(TAKEN), _asked(DIED)], "preemption"),
        ([SIGTERM, SIGTERM], "preemption"),
        ([DIED, SIGTERM], "preemption"),
        ([LARGER], "resize"),
    ],
    ids=str,
)
def test_the_cause_of_one_worker_is_that_of_the_group(failures, cause):
    assert cause_of(dict(enumerate(failures))) == cause


def test_each_cause_uses_up_its_own_limit_only():
    cluster = ClusterConfig(max_failures=1, max_memory_failures=0, max_preemptions=1)
    policy = FailuresByCause(FailureConfig(), FailureLimits(cluster))
    retry, give_up = FailureDecision.RETRY, FailureDecision.RAISE
    assert [policy.make_decision(_group_error(LARGER)) for _ in range(9)] == [retry] * 9
    assert [policy.make_decision(_group_error(SIGTERM)) for _ in range(2)] == [retry, give_up]
    assert [policy.make_decision(_group_error(DIED)) for _ in range(2)] == [retry, give_up]
    assert policy.make_decision(_group_error(_asked(MEMORY))) == give_up


def test_what_is_no_failure_of_workers_is_left_to_ray():
    policy = FailuresByCause(
        FailureConfig(controller_failure_limit=1), FailureLimits(ClusterConfig())
    )
    late = ControllerError(WorkerGroupStartupTimeoutError(num_workers=2))
    decisions = [policy.make_decision(late) for _ in range(2)]
    assert decisions == [FailureDecision.RETRY, FailureDecision.RAISE]


def test_full_memory_ends_the_run_with_which_fields_to_lower():
    error = training_error(_group_error(_asked(DIED), _asked(MEMORY)), ClusterConfig(), {})
    assert isinstance(error, WorkerError)
    assert (error.field, error.value) == ("cluster.max_memory_failures", 1)
    assert error.message.startswith("worker 1: ")
    for lower in ("trainer.num_workers", "trainer.batch_size", "model.n_qubits"):
        assert lower in error.fix


def test_too_many_preemptions_end_the_run_with_which_field_to_raise():
    error = training_error(_group_error(SIGTERM), ClusterConfig(max_preemptions=2), {})
    assert (error.field, error.value) == ("cluster.max_preemptions", 2)
    assert type(error) is WorkerError
    assert "SIGTERM" in error.message


# ----------------------------------------------------------------------------------- how many, when


class Clock:
    """The policy's clock; sleeping moves it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        patch.setattr(policies, "monotonic", lambda: self.now)
        patch.setattr(policies, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Worker:
    """A worker on a node; keeps what it is asked to do."""

    def __init__(self, node: str) -> None:
        self.metadata = SimpleNamespace(node_id=node)
        self.asked: list[tuple[Any, ...]] = []

    def execute_async(self, *call: Any) -> None:
        self.asked.append(call)


@pytest.fixture
def cluster_nodes(monkeypatch) -> list[dict[str, Any]]:
    """What Ray would say of the nodes; the test changes it."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(policies, "_nodes", lambda: found)
    monkeypatch.setattr(policies, "_answers", lambda node: node.get("answers", True))
    return found


def node(name: str, cpus: float, *, leaving: bool = False, answers: bool = True) -> dict[str, Any]:
    return {"NodeID": name, "free": {"CPU": cpus}, "leaving": leaving, "answers": answers}


def _policy(fewest: int, most: int, **options: Any) -> RegroupingPolicy:
    scaling = ScalingConfig(num_workers=most, resources_per_worker={"CPU": 1.0})
    cluster = ClusterConfig(**options)
    size = GroupSize(fewest, most, {"CPU": 1.0})
    return RegroupingPolicy(scaling, size, cluster, FailureLimits(cluster))


def _start(policy: RegroupingPolicy, state: Any = None) -> int:
    """How many workers start, after as many questions as it takes, as the controller asks them."""
    for _ in range(10_000):
        decision = policy.make_decision_for_non_running_worker_group()
        if isinstance(decision, ResizeDecision):
            assert decision.resources_per_worker == {"CPU": 1.0}
            return decision.num_workers
        assert isinstance(decision, NoopDecision)
        policy.after_controller_state_update(state, state)
    raise AssertionError("it waits for ever")


def test_a_node_that_does_not_answer_has_no_room_and_gets_no_worker(cluster_nodes, monkeypatch):
    Clock(monkeypatch)
    policy = _policy(1, 3)
    assert policy.on_controller_start_worker_group(scaling_config=None, num_workers=1) is None
    cluster_nodes[:] = [node("a", 1.0), node("lost", 5.0, answers=False), node("b", 1.0)]
    assert _start(policy) == 2
    selector = policy.on_controller_start_worker_group(scaling_config=None, num_workers=2)
    assert selector == {"ray.io/node-id": "!in(lost)"}


def test_too_little_room_is_an_error_after_the_time_to_start(cluster_nodes, monkeypatch):
    clock = Clock(monkeypatch)
    policy = _policy(2, 3, start_timeout=7.0)
    cluster_nodes[:] = [node("a", 1.0)]
    with pytest.raises(WorkerGroupStartupTimeoutError):
        _start(policy)
    assert 107.0 < clock.now < 108.0
    cluster_nodes[:] = [node("a", 1.0), node("b", 1.0)]
    assert _start(policy) == 2, "it may be tried again"


def test_the_second_restart_waits(cluster_nodes, monkeypatch):
    clock = Clock(monkeypatch)
    policy = _policy(2, 2, restart_pause=5.0)
    for wanted in (0.0, 5.0, 10.0):
        error = _group_error(DIED)
        policy._limits.allows("failure")
        restarting = RestartingState(training_failed_error=error)
        policy.after_controller_state_update(RunningState(), restarting)
        before = clock.now
        assert _start(policy, restarting) == 2
        assert clock.now - before == pytest.approx(wanted, abs=0.2)


def test_a_group_is_asked_once_when_a_node_leaves(cluster_nodes, monkeypatch):
    clock = Clock(monkeypatch)
    policy = _policy(1, 2)
    group = SimpleNamespace(start_time=1.0, workers=[Worker("a"), Worker("b")], num_workers=2)
    cluster_nodes[:] = [node("a", 0.0), node("b", 0.0)]
    for _ in range(50):
        assert isinstance(policy.make_decision_for_running_worker_group(group, None), NoopDecision)
        clock.sleep(0.1)
    assert [worker.asked for worker in group.workers] == [[], []]
    cluster_nodes[:] = [node("a", 0.0), node("b", 0.0, leaving=True)]
    for _ in range(50):
        policy.make_decision_for_running_worker_group(group, None)
        clock.sleep(0.1)
    for worker in group.workers:
        ((ask, reason),) = worker.asked
        assert ask is notice.ask
        assert reason.field == "cluster.max_preemptions"


def test_a_group_is_asked_when_there_is_room_for_more(cluster_nodes, monkeypatch):
    clock = Clock(monkeypatch)
    policy = _policy(1, 3, resize_every=20.0)
    group = SimpleNamespace(start_time=1.0, workers=[Worker("a")], num_workers=1)
    cluster_nodes[:] = [node("a", 0.0)]
    policy.make_decision_for_running_worker_group(group, None)
    cluster_nodes.append(node("new", 1.0))
    began = clock.now
    while not group.workers[0].asked:
        clock.sleep(0.5)
        assert clock.now < began + 60.0
        policy.make_decision_for_running_worker_group(group, None)
    assert clock.now - began == pytest.approx(20.0, abs=1.0)
    assert group.workers[0].asked[0][1].message == "there is room for 2 workers now, 1 trained"


def test_an_address_where_nothing_listens_does_not_answer():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert policies._answers({"NodeManagerAddress": "127.0.0.1", "NodeManagerPort": port})
    assert not policies._answers({"NodeManagerAddress": "127.0.0.1", "NodeManagerPort": port})


# ---------------------------------------------------------------------------------------- a worker


class Here:
    """A group of one worker: this process."""

    def __len__(self) -> int:
        return 1

    def execute_single(self, rank, call, *args):
        return call(*args)

    def execute(self, call, *args):
        return [call(*args)]


def test_before_it_trains_sigterm_asks_a_worker_to_make_place_and_does_not_end_it(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(controller, "_start_tracker", lambda workers: ("an address", workers))
    try:
        config = controller.SumsConfig()
        config.backend_cls().on_training_start(Here(), config)
        assert controller.tracker_address() == ("an address", 1)
        assert not notice.asked.is_set()
        signal.raise_signal(signal.SIGTERM)
        assert notice.asked.is_set()
    finally:
        signal.signal(signal.SIGTERM, before)
    reason = notice.regroup_error()
    assert (reason.message, reason.field) == (SIGTERM.message, SIGTERM.field)
    assert not notice.asked.is_set()


def test_a_worker_that_was_not_asked_itself_has_a_reason_too():
    assert "asked" in notice.regroup_error().message
    notice.ask(LARGER)
    notice.ask(SIGTERM)
    assert notice.regroup_error() is LARGER
    assert "asked" in notice.regroup_error().message


# -------------------------------------------------------------------------------- whose end it was


LEFT_BEHIND = ConnectionError("Connection reset by peer\n[bt] (8) _ctypes.so(+0xbd9e)")


def test_a_worker_that_is_left_behind_says_so_without_a_backtrace():
    error = training_error(_group_error(LEFT_BEHIND), ClusterConfig(), {})
    assert "worker 0: it lost the connection to another worker" in error.message


def _of(answer: Callable[[], object]) -> _DriverController:
    """A controller of workers that answer so."""
    made = object.__new__(_DriverController)
    made._worker_group = SimpleNamespace(look_seconds=1.0, poll_status=lambda timeout: answer())
    return made


def test_the_cause_is_awaited_when_only_workers_that_are_left_behind_have_failed():
    """Ray notices a death later than the other workers do."""
    errors = [{0: LEFT_BEHIND}, {0: LEFT_BEHIND}, {0: LEFT_BEHIND, 1: _asked(MEMORY)}]
    answers = iter([SimpleNamespace(errors=each) for each in errors])

    found = asyncio.run(_of(lambda: next(answers))._poll_workers())
    assert cause_of(found.errors) == "memory"


def test_a_group_that_only_lost_connections_is_not_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(controller, "_CAUSE_SECONDS", 0.0)
    found = asyncio.run(_of(lambda: SimpleNamespace(errors={0: LEFT_BEHIND}))._poll_workers())
    assert cause_of(found.errors) == "failure"


def test_a_failed_group_is_shut_down_before_the_room_is_counted(monkeypatch):
    """Ray's own leaves its workers alive until the next group starts: they hold the room for it."""
    asked: list[str] = []
    name = "_make_and_handle_scaling_decision_for_non_running_worker_group"
    monkeypatch.setattr(TrainController, name, lambda self, state: asked.append("next"))
    shut = lambda self: asked.append("shut down")  # noqa: E731
    monkeypatch.setattr(TrainController, "_shutdown_worker_group", shut)
    found = object.__new__(_DriverController)
    for group in (None, object()):
        found._worker_group = group
        getattr(found, name)(None)
    assert asked == ["next", "shut down", "next"]
