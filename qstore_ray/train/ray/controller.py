"""Ray Train without its own processes: the driver controls the workers.

Ray starts a process for each of its controller, its coordinator for autoscalers, its guard of
placement groups, and its barrier, before and beside the workers, and each imports what they import.
Here the controller is an object in a thread of the driver, and a fit has the workers' processes and
no other. What the rest is for:

    coordinator  keeps Ray Data off the CPUs of the workers, which the placement group does
    guard        frees the workers of a controller that died: of a driver, Ray frees them itself
    barrier      `ray.train.report`, and nothing is reported that way: the run folder has it all
    environment  of the workers: settings for the controller. With one of their own, no worker
                 could be a process that has been started already

The workers are joined for the sums by xgboost's tracker, in the process of worker 0. Ray's own
backend starts it in the controller's, which would take a second to import xgboost.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayActorError
from ray.train import BackendConfig, Result
from ray.train.backend import Backend
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.constants import ENABLE_CONTROLLER_STRUCTURED_LOGGING_ENV_VAR
from ray.train.v2._internal.exceptions import (
    WorkerGroupStartupFailedError,
    WorkerGroupStartupTimeoutError,
)
from ray.train.v2._internal.execution.context import get_train_context
from ray.train.v2._internal.execution.controller.controller import (
    TrainController,
    TrainControllerLoopIterationResult,
)
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy
from ray.train.v2._internal.execution.worker_group import (
    RayTrainWorker,
    WorkerGroup,
    WorkerGroupState,
)
from ray.train.v2._internal.execution.worker_group.state import (
    WorkerGroupStateBuilder,
    _shutdown_workers,
)
from ray.train.v2._internal.util import invoke_context_managers
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from qstore_ray.deadline import ray_result
from qstore_ray.environment import environment
from qstore_ray.train.elastic import notice
from qstore_ray.train.loop.reducer import TrackerAddress, start_tracker
from qstore_ray.train.ray.errors import is_disconnected

if TYPE_CHECKING:
    from ray.train.v2._internal.execution.controller.state import TrainControllerState
    from ray.train.v2._internal.execution.worker_group import WorkerGroupPollStatus

_CAUSE_SECONDS = 2.0
"""The workers that a dead one leaves behind fail at once; Ray notices the death a little later."""

_LOOK_SECONDS = 1.0
"""The longest that a worker waits with its answer whether it still trains."""
_SHARE_OF_TIMEOUT = 0.25
_LATE_SECONDS = 0.25
"""How much later than that the driver looks at the answers that it has."""

_PAUSE_SECONDS = 0.1
"""Between two looks at workers of which some have ended already."""

_NO_BARRIER: Any = None


class DriverTrainer(DataParallelTrainer):
    """Ray's trainer; its controller runs in this process, in the thread that calls `fit`."""

    def _create_default_callbacks(self) -> list[Any]:
        in_driver = ray.get_runtime_context().get_actor_id() is None
        spared = (DatasetsCallback, *([PlacementGroupCleanerCallback] if in_driver else []))
        callbacks = super()._create_default_callbacks()
        return [found for found in callbacks if not isinstance(found, spared)]

    def _initialize_and_run_controller(self, **settings: Any) -> Result:
        if type(settings["scaling_policy"]) is FixedScalingPolicy:
            settings["scaling_policy"] = FixedWorkers(self.scaling_config)  # type: ignore[arg-type]  # V1's
        with environment({ENABLE_CONTROLLER_STRUCTURED_LOGGING_ENV_VAR: "0"}), _no_log():
            controller = _DriverController(**settings)
            asyncio.run(controller.run())  # type: ignore[no-untyped-call]
            return controller.get_result()


class UncoordinatedPolicy:
    """A base of scaling policies, before Ray's own: it asks no coordinator for resources."""

    def after_controller_start(self, train_run_context: object) -> None:
        """Does nothing: the placement group asks for the resources."""

    def _maybe_send_resource_request(self) -> None:
        """Does nothing."""


class FixedWorkers(UncoordinatedPolicy, FixedScalingPolicy):
    """Always as many workers."""


class _State(WorkerGroupState):
    """Workers and their placement group, without a barrier."""

    def shutdown(self) -> None:
        _shutdown_workers(self.workers)
        self.placement_group_handle.shutdown()


class _WaitingRayTrainWorker(RayTrainWorker):
    """A worker that answers a status request when its training ends, or after some seconds.

    So the driver learns of the end at once and need not ask often. Until then the main thread waits
    in the request: in an idle actor Ray wakes it about 100 times a second to look for signals.
    """

    def poll_status(self, seconds: float = 0.0) -> Any:
        """As Ray's, after the end of the training, or after so many seconds."""
        runner = get_train_context().execution_context.training_thread_runner
        if runner._thread is not None:  # noqa: SLF001
            runner._thread.join(seconds)  # noqa: SLF001
        return super().poll_status()


class _WorkersOnly(WorkerGroup):
    """Workers, which may be processes that have been started already."""

    _worker_cls = _WaitingRayTrainWorker

    @property
    def look_seconds(self) -> float:
        """How long a worker waits with its answer: less than what makes it count as hung."""
        return min(_LOOK_SECONDS, _SHARE_OF_TIMEOUT * self._worker_health_check_timeout_s)

    def _get_poll_tasks(self) -> list[Any]:
        """As Ray's, of workers that wait."""
        going, seconds = self._world_rank_to_ongoing_poll, self.look_seconds
        return [
            going[rank].task if rank in going else each.actor.poll_status.remote(seconds)
            for rank, each in enumerate(self.get_workers())
        ]

    def _start_impl(self, worker_group_state_builder: WorkerGroupStateBuilder) -> None:
        """As Ray's, step by step, without its barrier."""
        context = self._worker_group_context
        self._check_cluster_resources_and_raise_if_insufficient(
            context.resources_per_worker, context.num_workers
        )
        with invoke_context_managers(
            [each.on_worker_group_start for each in self._callbacks]  # type: ignore[misc]
        ):
            for callback in self._callbacks:
                callback.before_worker_group_start(context)
            places = self._create_placement_group(self._train_run_context.scaling_config, context)
            if not places.wait(self._worker_group_start_timeout_s):
                places.shutdown()
                raise WorkerGroupStartupTimeoutError(num_workers=context.num_workers)
            worker_group_state_builder.with_placement_group_handle(places)
            workers = self._create_workers(
                context.num_workers, places.placement_group, context.resources_per_worker
            )
            worker_group_state_builder.with_workers(workers)
            try:
                self._init_train_context(workers, _NO_BARRIER)
                self._worker_group_state = _State(time.monotonic(), places, workers, _NO_BARRIER)
                for callback in self._callbacks:
                    callback.after_worker_group_start(self)
            except RayActorError as exc:
                raise WorkerGroupStartupFailedError("a worker ended as it started") from exc
        begun = [each.actor.run_train_fn.remote(context.train_fn_ref) for each in workers]
        ray_result(begun, "the workers, to begin the training")
        for callback in self._callbacks:
            callback.after_worker_group_training_start(self)

    def _init_train_context_on_workers(
        self, workers: list[Any], sync_actor: Any, train_context_args: dict[str, list[Any]]
    ) -> None:
        """As Ray's, without a controller that the workers could call."""
        begun = [
            each.actor.init_train_context.remote(
                train_run_context=self._train_run_context,
                distributed_context=each.distributed_context,
                synchronization_actor=sync_actor,
                storage_context=self._storage_context,
                worker_callbacks=self._worker_callbacks_to_propagate,
                controller_actor=None,
                **{name: values[rank] for name, values in train_context_args.items()},
            )
            for rank, each in enumerate(workers)
        ]
        ray_result(begun, "the processes of the workers, to start")

    @staticmethod
    def _get_worker_runtime_env(custom_runtime_env: Any) -> dict[str, Any]:
        return dict(custom_runtime_env)


class _DriverController(TrainController):
    worker_group_cls = _WorkersOnly
    _worker_group: _WorkersOnly

    async def _poll_workers(self) -> WorkerGroupPollStatus:
        """As Ray's without its pauses, once it is known which end the other workers complain of."""
        status = self._answers()
        deadline = time.monotonic() + _CAUSE_SECONDS
        while status.errors and all(map(is_disconnected, status.errors.values())):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(_PAUSE_SECONDS)
            status = self._answers()
        return status

    def _answers(self) -> WorkerGroupPollStatus:
        """What the workers say, all of them as soon as the last one has answered."""
        group = self._worker_group
        return group.poll_status(timeout=group.look_seconds + _LATE_SECONDS)

    def _make_and_handle_scaling_decision_for_non_running_worker_group(
        self, controller_state: TrainControllerState
    ) -> TrainControllerLoopIterationResult:
        """As Ray's, once the workers that are left of a failed group hold no room any more."""
        if self._worker_group is not None:
            self._shutdown_worker_group()  # type: ignore[no-untyped-call]
        return super()._make_and_handle_scaling_decision_for_non_running_worker_group(
            controller_state
        )


@contextmanager
def _no_log() -> Iterator[None]:
    """Ray Train logs what it also raises; in an actor of its own, that went to a file."""
    logger = logging.getLogger("ray.train")
    usual = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(usual)


class SumsConfig(BackendConfig):
    """The workers add up by xgboost's collective, which each enters at `tracker_address()`."""

    @property
    def backend_cls(self) -> type[Backend]:
        """What Ray Train calls as workers start."""
        return _Sums


class _Sums(Backend):
    def on_training_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        worker_group.execute(
            _prepare, worker_group.execute_single(0, _start_tracker, len(worker_group))
        )


def _start_tracker(num_workers: int) -> TrackerAddress:
    host = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    return start_tracker(num_workers, host)


_meeting: list[TrackerAddress] = []
"""Of this worker: where it meets the others."""


def _prepare(address: TrackerAddress) -> None:
    """In each worker's main thread, before training starts in another one."""
    _meeting[:] = [address]
    notice.ask_on_sigterm()


def tracker_address() -> TrackerAddress:
    """Where this worker meets the others."""
    return _meeting[-1]
