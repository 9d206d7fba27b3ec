"""One part of a trial, trained in a Ray task of its own: in one of the trial's further places."""

from __future__ import annotations

import threading

import ray
from ray.exceptions import RayError, RayTaskError

from qstore_ray.deadline import ray_result
from qstore_ray.errors import InterruptedRunError, QStoreError, WorkerError
from qstore_ray.track.base import Record
from qstore_ray.train.config import TrainingJob
from qstore_ray.train.ray.errors import meaning
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.trial.plan import Plan
from qstore_ray.tune.trial.training import PartTrainer


def train_in_task(
    config: TuneConfig, plan: ray.ObjectRef[Plan], job: TrainingJob, stop: threading.Event
) -> Record:
    """Train one of a trial's parts in a Ray task; its metrics. Called in the trial's process.

    Raises:
        QStoreError: any that the training raises.
        InterruptedRunError: `stop` was set; the task was killed, its checkpoints are kept.
        WorkerError: its process died.
    """
    task = _train_part.options(
        num_cpus=config.cpus_per_trial,
        num_gpus=config.gpus_per_trial,
        resources=config.resources,
        max_retries=config.trial_failures,
    ).remote(plan, job)
    while not ray.wait([task], timeout=_LOOK_SECONDS)[0]:
        if stop.is_set():
            ray.cancel(task, force=True)
            raise InterruptedRunError("stopped by the search", field="run", value=job.name)
    try:
        metrics: Record = ray_result(task, "the metrics of a trial's part")
    except RayTaskError as exc:
        if isinstance(exc.cause, QStoreError):
            raise exc.cause from exc
        raise
    except RayError as exc:
        raise WorkerError(
            f"the process of a training died: {meaning(exc)}",
            field="tune.parts_at_once",
            value=config.parts_at_once,
            fix="If memory ran out, take fewer parts at once or fewer qubits; then "
            "existing='resume'.",
        ) from exc
    return metrics


_LOOK_SECONDS = 0.2


@ray.remote
def _train_part(plan: Plan, job: TrainingJob) -> Record:
    return PartTrainer(plan).train(job, threading.Event())
