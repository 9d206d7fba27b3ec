"""Training on Ray: the loop of `loop.py` in Ray Train workers.

This file, `controller.py` and `failures.py` know Ray Train. Its `DataParallelTrainer` (V2, without
torch) starts the workers, and starts the whole group again when one dies. The run folder holds the
checkpoints, so a restarted group resumes from there, and Ray keeps nothing. The rows travel once,
through the object store, and are shared by the workers of a node; those of a streamed dataset come
window by window (`feed.py`).
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import ray
from ray.exceptions import ObjectStoreFullError, OutOfDiskError, RayError
from ray.train import ScalingConfig, TrainingFailedError, UserCallback
from ray.train.v2.api.config import FailureConfig, LoggingConfig, RunConfig

from qstore_ray.deadline import ray_result
from qstore_ray.environment import environment
from qstore_ray.errors import DivergenceError, RegroupError
from qstore_ray.train.config import ClusterConfig
from qstore_ray.train.elastic import notice
from qstore_ray.train.elastic.limits import FailureLimits
from qstore_ray.train.elastic.room import GroupSize
from qstore_ray.train.job import AnyRows, Assignment, StreamedRows, WorkerResult
from qstore_ray.train.loop import loop
from qstore_ray.train.loop.reducer import CollectiveReducer, collective, entered
from qstore_ray.train.loop.reporter import STOP_FILE, RayTrainReporter
from qstore_ray.train.ray.beside import call_beside
from qstore_ray.train.ray.controller import DriverTrainer, SumsConfig, tracker_address
from qstore_ray.train.ray.errors import no_room_error
from qstore_ray.train.ray.failures import NO_ANSWER, causes, hung, is_lost, training_error
from qstore_ray.train.ray.feed import SplitFeed
from qstore_ray.train.ray.policies import FailuresByCause, RegroupingPolicy
from qstore_ray.train.ray.stage import record_loss, relayed, request_stop, staged
from qstore_ray.train.ray.watchdog import dump_sizes, stack_dumps, watched

_CONTROLLER_RESTARTS = 3
_SCRATCH = ".ray"


def fit_on_ray(
    job: Assignment,
    rows: AnyRows,
    cluster: ClusterConfig,
    stop: threading.Event,
) -> WorkerResult:
    """Run the loop in Ray Train workers. Called in the driver process.

    Ray is initialised: this runs inside a `ray_session`.

    Args:
        stop: when set, the workers are asked to write a checkpoint and stop.

    Raises:
        WorkerError: workers died more often than `cluster` allows, or did not start.
        ResourceError: Ray has no room for the rows.
        QStoreError: any that the loop raised.
    """
    defaults = {
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": f"{cluster.start_timeout:g}",
    }
    # Ray asks every worker whether it lives, which one that is stopped as a whole cannot answer.
    never = float("inf")
    values = {
        NO_ANSWER: f"{cluster.worker_timeout or never:g}",
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # an actor of its own; `policies.py` looks
    }
    try:
        with environment(values, defaults=defaults), relayed(job):
            return _fit(job, _handed(rows, cluster), cluster, stop)
    finally:
        stack_dumps(_run_dir(job))
        shutil.rmtree(_run_dir(job) / _SCRATCH, ignore_errors=True)


def _handed(rows: AnyRows, cluster: ClusterConfig) -> ray.ObjectRef[AnyRows]:
    try:
        return ray.put(rows)
    except (ObjectStoreFullError, OutOfDiskError) as exc:
        raise no_room_error(exc, cluster.object_store_mb) from exc


def _fit(
    job: Assignment,
    rows: ray.ObjectRef[AnyRows],
    cluster: ClusterConfig,
    stop: threading.Event,
) -> WorkerResult:
    stop_file, earlier = _run_dir(job) / STOP_FILE, dump_sizes(_run_dir(job))
    try:
        # After a second Ctrl-C the file stays: if Ray continues, the workers still stop.
        fit, on_stop = _trainer(job, rows, cluster).fit, partial(request_stop, job)
        result: Any = call_beside(fit, stop, on_stop)
        stop_file.unlink(missing_ok=True)
    except (TrainingFailedError, RayError) as exc:
        raise training_error(exc, cluster, stack_dumps(_run_dir(job), earlier)) from exc
    outcome: WorkerResult | DivergenceError = result.return_value
    if isinstance(outcome, DivergenceError):
        raise outcome
    return outcome


class _Trainer(DriverTrainer):
    """Ray's trainer with policies of ours, which say when to restart and with how many workers."""

    policies: Mapping[str, object] = MappingProxyType({})

    def _initialize_and_run_controller(self, **settings: Any) -> Any:
        return super()._initialize_and_run_controller(**{**settings, **self.policies})


class _Losses(UserCallback):
    """Leaves word of workers that failed for those that follow. In the driver process."""

    def __init__(self, job: Assignment, timeout: float) -> None:
        self._job, self._timeout, self._run_dir = job, timeout, _run_dir(job)
        self._path = _losses(job)
        self._known = dump_sizes(self._run_dir)

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Called when workers have failed, before Ray starts them again or gives up."""
        reasons = causes(worker_exceptions, self._timeout) | self._stuck()
        ends = {rank: "was lost" for rank in reasons if is_lost(worker_exceptions.get(rank))}
        said = [f"worker {n} {ends.get(n, 'failed')}: {reasons[n]}" for n in sorted(reasons)]
        made_place = [e for e in worker_exceptions.values() if isinstance(e, RegroupError)]
        said = [made_place[0].message] if made_place else said
        with suppress(OSError):  # the run, which writes there too, says so itself
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text("; ".join(said), encoding="utf-8")
        record_loss(self._job, "; ".join(said))

    def _stuck(self) -> dict[int, str]:
        """Workers that have ended themselves, since this was asked last, as they got nowhere."""
        before, self._known = self._known, dump_sizes(self._run_dir)
        new = [rank for rank, size in self._known.items() if size > before.get(rank, 0)]
        return hung(new, self._timeout)


def _trainer(job: Assignment, rows: ray.ObjectRef[AnyRows], cluster: ClusterConfig) -> _Trainer:
    scaling = ScalingConfig(
        num_workers=job.config.max_workers,
        use_gpu=bool(cluster.gpus_per_worker),
        resources_per_worker=cluster.worker_resources,
    )
    failures = FailureConfig(controller_failure_limit=_CONTROLLER_RESTARTS)
    limits = FailureLimits(cluster)
    size = GroupSize(job.config.min_workers, job.config.max_workers, cluster.worker_resources)
    trainer = _Trainer(
        _worker,
        train_loop_config={"job": job, "rows": rows, "timeout": cluster.worker_timeout},
        backend_config=SumsConfig(),
        scaling_config=scaling,
        run_config=RunConfig(  # type: ignore[arg-type]  # annotated with V1's class
            name=f"attempt-{job.generation}",
            storage_path=str(_run_dir(job) / _SCRATCH),
            failure_config=failures,
            callbacks=[_Losses(job, cluster.worker_timeout)],
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )
    trainer.policies = {
        "scaling_policy": RegroupingPolicy(scaling, size, cluster, limits),  # type: ignore[arg-type]
        "failure_policy": FailuresByCause(failures, limits),
    }
    return trainer


def _worker(config: dict[str, Any]) -> WorkerResult | DivergenceError:
    """One Ray Train worker.

    A divergence is met by all workers in the same step and would come again, so it is returned: Ray
    shall not retry it. Any other error may be met by one worker alone, while the others wait for
    its numbers; raised, it ends the whole group.
    """
    context = ray.train.get_context()
    reducer = CollectiveReducer(context.get_world_rank(), context.get_world_size())
    joins = collective(tracker_address(), reducer.rank)
    try:
        with (
            staged(config["job"], reducer.rank) as job,
            entered(reducer, joins, overlaps=_overlaps(job)) as sums,
            watched(sums, _run_dir(job), config["timeout"]) as under_deadline,
        ):
            rows: AnyRows = ray_result(config["rows"], "the rows of the training")
            if isinstance(rows, StreamedRows):
                feed = SplitFeed(config["rows"], reducer)
                rows = replace(rows, feed=feed)
            losses = _losses(job)
            lost = losses.read_text(encoding="utf-8") if losses.exists() else job.lost
            reporter = RayTrainReporter(_run_dir(job), notice.asked)
            result = loop.run(replace(job, lost=lost), rows, under_deadline, reporter)
    except DivergenceError as exc:
        return exc
    if result.status == "regroup":
        raise notice.regroup_error()
    return result


def _overlaps(job: Assignment) -> bool:
    """Whether sums are on their way while a worker computes."""
    averaging = job.config.averaging
    return averaging is not None and averaging.is_used and averaging.delay > 0


def _losses(job: Assignment) -> Path:
    """Why the last group of workers of this attempt ended, for worker 0 of the next group."""
    return _run_dir(job) / _SCRATCH / f"lost-{job.generation}.txt"


def _run_dir(job: Assignment) -> Path:
    """The run folder, which workers resume from."""
    assert job.run_dir is not None, "a run on Ray has a folder"
    return job.run_dir
