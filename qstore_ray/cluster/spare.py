"""Workers that have been started already, for the next training to come.

A worker belongs to the job that it first works for, and ends with it; Ray starts the first workers
of a node early (`start.py`) and no others. So the supervisor asks each node for new ones once
nothing runs there any more: a training that comes finds processes that have imported all it needs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ray._private.grpc_utils import init_grpc_channel
from ray.core.generated.common_pb2 import PYTHON, WORKER, CoreWorkerStats
from ray.core.generated.node_manager_pb2 import GetNodeStatsRequest, PrestartWorkersRequest
from ray.core.generated.node_manager_pb2_grpc import NodeManagerServiceStub

if TYPE_CHECKING:
    from ray._private.node import Node

_ANSWER_SECONDS = 5.0
_START_SECONDS = 60.0
"""How long workers may take to start, before they are asked for again."""

_KEPT_SECONDS = 10**8
_NO_JOB = b"\xff"


class SpareWorkers:
    """Keeps as many workers on a node as it has CPUs, whenever no job has workers there.

    Args:
        node: started by this process.
        cpus: of the node.
    """

    def __init__(self, node: Node, cpus: int) -> None:
        address = f"{node.node_ip_address}:{node.node_manager_port}"
        self._node = NodeManagerServiceStub(init_grpc_channel(address))  # type: ignore[no-untyped-call]
        self._cpus = cpus
        self._asked_at = float("-inf")

    def fill_up(self) -> None:
        """Ask for those that are missing, unless some are on their way; a node that does not answer
        is asked the next time.
        """
        asked = self._node.GetNodeStats.future(GetNodeStatsRequest(), timeout=_ANSWER_SECONDS)
        if asked.exception() is not None:
            return
        missing = missing_spares(asked.result().core_workers_stats, self._cpus)
        if not missing:
            self._asked_at = float("-inf")
        elif time.monotonic() - self._asked_at > _START_SECONDS:
            self._asked_at = time.monotonic()
            request = PrestartWorkersRequest(
                language=PYTHON, num_workers=missing, keep_alive_duration_secs=_KEPT_SECONDS
            )
            self._node.PrestartWorkers.future(request, timeout=_ANSWER_SECONDS).exception()


def missing_spares(present: Sequence[CoreWorkerStats], cpus: int) -> int:
    """How many workers to start on a node with these processes: none while a job has any."""
    workers = [each for each in present if each.worker_type == WORKER]
    if any(each.job_id.strip(_NO_JOB) for each in workers):
        return 0
    return max(0, cpus - len(workers))
