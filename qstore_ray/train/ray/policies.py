"""What Ray Train asks while it trains: whether to restart, with how many workers, and when.

Ray's own policy for a changing number of workers ends the running group wherever it stands, and
counts a node that has just died among those with room. Here the workers are asked to save a
checkpoint first, and a node counts only if something answers at its address.
"""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import ray
from ray._private import state
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError
from ray.train.v2._internal.execution.controller.state import RestartingState
from ray.train.v2._internal.execution.failure_handling import DefaultFailurePolicy, FailureDecision
from ray.train.v2._internal.execution.scaling_policy import (
    NoopDecision,
    ResizeDecision,
    ScalingPolicy,
)
from ray.train.v2.api.exceptions import TrainingFailedError, WorkerGroupError

from qstore_ray.train.config import ClusterConfig
from qstore_ray.train.elastic import notice
from qstore_ray.train.elastic.limits import FailureLimits
from qstore_ray.train.elastic.room import GroupSize, NodeRoom
from qstore_ray.train.ray.controller import UncoordinatedPolicy
from qstore_ray.train.ray.failures import cause_of

if TYPE_CHECKING:
    from ray.train.v2.api.config import FailureConfig, ScalingConfig

_LOOK_SECONDS = 1.0
_PROBE_SECONDS = 1.0
_WAIT_SECONDS = 0.1


class FailuresByCause(DefaultFailurePolicy):
    """Restarts a group of workers unless the limit of its cause is reached."""

    def __init__(self, failure_config: FailureConfig, limits: FailureLimits) -> None:
        super().__init__(failure_config)
        self._limits = limits

    def make_decision(self, training_failed_error: TrainingFailedError) -> FailureDecision:
        """Whether to restart; what is no failure of workers is left to Ray."""
        if not isinstance(training_failed_error, WorkerGroupError):
            return super().make_decision(training_failed_error)
        cause = cause_of(training_failed_error.worker_failures)
        return FailureDecision.RETRY if self._limits.allows(cause) else FailureDecision.RAISE


class RegroupingPolicy(UncoordinatedPolicy, ScalingPolicy):
    """Starts as many workers as there is room for; asks them to make place when that changes.

    Args:
        size: how many workers a group has.
        cluster: the seconds for a start, and between looks for more room.
        limits: what was counted, which says how long to wait before a restart.
    """

    def __init__(
        self,
        scaling: ScalingConfig,
        size: GroupSize,
        cluster: ClusterConfig,
        limits: FailureLimits,
    ) -> None:
        super().__init__(scaling)
        self._size, self._cluster, self._limits = size, cluster, limits
        self._wanted_since: float | None = None
        self._not_before = 0.0
        self._avoid: tuple[str, ...] = ()
        self._group: float | None = None  # when the group began that has been greeted
        self._looked = self._grown = 0.0
        self._has_asked = False

    def _get_num_workers_for_resource_request(self) -> int:
        return self._size.most

    def make_decision_for_non_running_worker_group(self) -> NoopDecision | ResizeDecision:
        """Wait for the pause and for room, then start a group.

        Raises:
            WorkerGroupStartupTimeoutError: no room for the fewest workers in time.
        """
        now = monotonic()
        if self._wanted_since is None:
            self._wanted_since = now
            self._size.forget()
        if now < self._not_before:
            sleep(_WAIT_SECONDS)
            return NoopDecision()
        nodes, self._avoid = _answering(_nodes())
        found = self._size.next(nodes, now)
        if found is not None:
            self._wanted_since = None
            return ResizeDecision(
                num_workers=found,
                resources_per_worker=self.scaling_config._resources_per_worker_not_none,  # noqa: SLF001
            )
        if now - max(self._wanted_since, self._not_before) > self._cluster.start_timeout:
            self._wanted_since = None
            raise WorkerGroupStartupTimeoutError(num_workers=self._size.fewest)
        sleep(_WAIT_SECONDS)
        return NoopDecision()

    def on_controller_start_worker_group(self, **_: Any) -> dict[str, str] | None:
        """Keeps the workers away from nodes that do not answer, although Ray counts them."""
        if not self._avoid:
            return None
        return {ray._raylet.RAY_NODE_ID_KEY: f"!in({','.join(self._avoid)})"}  # type: ignore[attr-defined]  # noqa: SLF001

    def make_decision_for_running_worker_group(
        self, worker_group_state: Any, worker_group_status: Any
    ) -> NoopDecision:
        """Ask the workers to make place if they have to; the group ends itself."""
        now = monotonic()
        if self._group != worker_group_state.start_time:
            self._group, self._has_asked = worker_group_state.start_time, False
            self._grown = now
        if self._has_asked or now - self._looked < _LOOK_SECONDS:
            return NoopDecision()
        self._looked = now
        used = {worker.metadata.node_id for worker in worker_group_state.workers}
        every, age = self._cluster.resize_every, now - self._grown
        if age >= every:
            self._grown = now
        number = worker_group_state.num_workers
        found = [_as_room(node) for node in _nodes()]
        reason = self._size.regroup_error(found, used, workers=number, age=age, every=every)
        if reason is not None:
            self._has_asked = True
            for worker in worker_group_state.workers:
                worker.execute_async(notice.ask, reason)
        return NoopDecision()

    def after_controller_state_update(self, previous_state: Any, current_state: Any) -> None:
        """Begins the pause before a restart, once: Ray enters the same state again and again."""
        begins = not isinstance(previous_state, RestartingState)
        if begins and isinstance(current_state, RestartingState):
            self._not_before = monotonic() + self._limits.pause


def _nodes() -> list[dict[str, Any]]:
    """What Ray knows about the nodes that it counts, with what they have free."""
    free = state.available_resources_per_node()  # type: ignore[no-untyped-call]
    leaving = state.state.get_draining_nodes()
    return [
        {**node, "free": free.get(node["NodeID"], {}), "leaving": node["NodeID"] in leaving}
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
    ]


def _as_room(node: dict[str, Any]) -> NodeRoom:
    return NodeRoom(node["NodeID"], node["free"], node["leaving"])


def _answering(nodes: list[dict[str, Any]]) -> tuple[list[NodeRoom], tuple[str, ...]]:
    """The nodes at whose address something listens, and the names of the others.

    Ray counts a node that is lost until it has missed several of its health checks.
    """
    if len(nodes) <= 1:
        return [_as_room(node) for node in nodes], ()
    with ThreadPoolExecutor(min(32, len(nodes))) as pool:
        answers = list(pool.map(_answers, nodes))
    pairs = list(zip(nodes, answers, strict=True))
    return (
        [_as_room(node) for node, answer in pairs if answer],
        tuple(sorted(node["NodeID"] for node, answer in pairs if not answer)),
    )


def _answers(node: dict[str, Any]) -> bool:
    address = (node["NodeManagerAddress"], node["NodeManagerPort"])
    try:
        with socket.create_connection(address, timeout=_PROBE_SECONDS):
            return True
    except OSError:
        return False
