"""Training on Ray: the loop of `loop.py` in Ray Train workers.

This is the one file that knows Ray Train. Its `DataParallelTrainer` (V2, without torch) starts the
workers, and starts the whole group again when one dies; its XGBoost backend joins them for the sums.
The run folder holds the checkpoints, so a restarted group goes on from there, and Ray is asked to keep
nothing. The rows travel once, through the object store, and are shared by the workers of a node.
"""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from ray.train.xgboost import XGBoostConfig

from qstore_ray.errors import QStoreError, WorkerError
from qstore_ray.train import loop
from qstore_ray.train.cluster import ray_session
from qstore_ray.train.config import ClusterConfig
from qstore_ray.train.loop import Assignment, Outcome, TrainingRows
from qstore_ray.train.reporter import STOP_FILE, RayTrainReporter
from qstore_ray.train.sync import CollectiveReducer

_CONTROLLER_RESTARTS = 3
_POLL_SECONDS = "0.1"


def fit_on_ray(
    job: Assignment,
    rows: TrainingRows,
    cluster: ClusterConfig,
    stop: threading.Event,
) -> Outcome:
    """Run the loop in `job.config.num_workers` Ray Train workers. Called in the driver process.

    Args:
        stop: when set, the workers are asked to write a checkpoint and stop.

    Raises:
        ResourceError: the cluster is too small. BackendError: it cannot be reached.
        WorkerError: workers died more often than `cluster.max_failures`.
        QStoreError: whatever the loop raised.
    """
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", _POLL_SECONDS)
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", f"{cluster.start_timeout:g}")
    with ray_session(cluster, job.config.num_workers):
        return _Fit(job, rows, cluster).wait(stop)


class _Fit(threading.Thread):
    """Ray Train's blocking `fit`, in a thread: there it leaves Ctrl-C to us."""

    def __init__(self, job: Assignment, rows: TrainingRows, cluster: ClusterConfig) -> None:
        super().__init__(name="qstore_ray-fit", daemon=True)
        self._job, self._cluster = job, cluster
        self._rows = ray.put(rows)
        self._scratch = job.run_dir / ".ray"
        self._result: Outcome | QStoreError | None = None
        self._failure: BaseException | None = None

    def wait(self, stop: threading.Event) -> Outcome:
        """Start, and wait until the end; ask for a stop when the event is set."""
        self.start()
        asked = False
        try:
            while self.is_alive():
                self.join(0.1)
                if stop.is_set() and not asked:
                    asked = True
                    (self._job.run_dir / STOP_FILE).touch()
        finally:
            (self._job.run_dir / STOP_FILE).unlink(missing_ok=True)
            shutil.rmtree(self._scratch, ignore_errors=True)
        if self._failure is not None:
            raise self._failure
        if isinstance(self._result, QStoreError):
            raise self._result
        assert self._result is not None
        return self._result

    def run(self) -> None:
        """The thread's work."""
        try:
            self._result = self._trainer().fit().return_value
        except (TrainingFailedError, RayError) as exc:
            self._failure = _translated(exc, self._cluster)
        except BaseException as exc:  # carried to the waiting thread, and raised there
            self._failure = exc

    def _trainer(self) -> DataParallelTrainer:
        cluster, config = self._cluster, self._job.config
        return DataParallelTrainer(
            _worker,
            train_loop_config={"job": self._job, "rows": self._rows},
            backend_config=XGBoostConfig(),
            scaling_config=ScalingConfig(
                num_workers=config.num_workers,
                resources_per_worker={"CPU": cluster.cpus_per_worker},
            ),
            run_config=RunConfig(
                name=f"attempt-{self._job.generation}",
                storage_path=str(self._scratch),
                failure_config=FailureConfig(
                    max_failures=cluster.max_failures,
                    controller_failure_limit=_CONTROLLER_RESTARTS,
                ),
                logging_config=LoggingConfig(log_level="ERROR"),
            ),
        )


def _worker(config: dict[str, Any]) -> Outcome | QStoreError:
    """One Ray Train worker.

    An error of ours is returned, not raised: it would come again, so Ray shall not retry it.
    """
    job: Assignment = config["job"]
    context = ray.train.get_context()
    reducer = CollectiveReducer(context.get_world_rank(), context.get_world_size())
    try:
        rows: TrainingRows = ray.get(config["rows"])
        return loop.run(job, rows, reducer, RayTrainReporter(Path(job.run_dir)))
    except QStoreError as exc:
        return exc


def _translated(exc: BaseException, cluster: ClusterConfig) -> QStoreError:
    """Ray's error as ours: which worker failed, and of what."""
    failures: dict[int, BaseException] = getattr(exc, "worker_failures", {})
    for failure in failures.values():
        if isinstance(failure, QStoreError):
            return failure
    causes = "; ".join(f"worker {rank}: {_last_line(e)}" for rank, e in sorted(failures.items()))
    error = WorkerError(
        f"the workers failed more than {cluster.max_failures} times: {causes or _last_line(exc)}",
        field="cluster.max_failures",
        value=cluster.max_failures,
        fix="If they ran out of memory, take fewer qubits, a smaller batch or fewer workers; then "
        "go on with --resume.",
    )
    error.__cause__ = exc
    return error


def _last_line(exc: BaseException) -> str:
    lines = [line for line in str(exc).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(exc).__name__
