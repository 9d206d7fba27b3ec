"""What a trial does: the job with its values in place, trained in a run folder of the study.

The run folder is all that a trial leaves. One that is there already is gone on with: a training
that was interrupted continues from its checkpoint, one that had finished is read.

Runs in the process of the trial.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qstore_ray.data.dataset import Dataset
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import RunExistsError
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.config import TrainingJob
from qstore_ray.train.run_folder import read_run_record
from qstore_ray.train.trainer import QuantumTrainer
from qstore_ray.tune.attempt import (
    FollowEpochs,
    Link,
    Message,
    Progress,
    ReportEpochs,
    score,
    value_of,
)
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.handover import adopt
from qstore_ray.tune.schedulers import Scheduler

_LOCK_SECONDS = 30.0
"""A process that was killed a moment ago may still hold the run folder."""


@dataclass(frozen=True)
class Plan:
    """What all trials of a search have in common; sent to every process once.

    Args:
        job: what trials are made from.
        config: the search.
        folder: of the study.
        dataset: of the job, in memory, without its test split.
        scheduler: ends, pauses or changes trials.
    """

    job: TrainingJob
    config: TuneConfig
    folder: Path
    dataset: Dataset
    scheduler: Scheduler


class Trials:
    """Runs trials one after another in this process, and keeps what they share."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._datasets = {plan.job.dataset.fingerprint(): plan.dataset}

    def run(self, name: str, values: dict[str, Any], link: Link) -> Message:
        """Run a trial to its end; its last message.

        Raises:
            QStoreError: whatever its training raises.
            InterruptedRunError: `link` asked it to stop.
        """
        plan = self._plan
        job = trial_job(plan, name, values)
        progress = Progress(
            link,
            plan.config.objectives[0],
            lambda epoch: plan.scheduler.decides(epoch, job.trainer.epochs),
        )
        metrics = self._train(job, progress, link)
        found = [value_of(objective, metrics) for objective in plan.config.objectives]
        return {
            "epoch": int(metrics["epochs"]),
            "score": score(plan.config.objectives[0], found[0]),
            "values": found,
            "circuit_evaluations": int(metrics["circuit_evaluations"]),
            "progress": progress.left(),
        }

    def _train(self, job: TrainingJob, progress: Progress, link: Link) -> dict[str, Any]:
        """Train, or go on, or read what was trained; the metrics."""
        folder = Path(job.storage) / job.name
        status = read_run_record(folder)["status"] if (folder / "run.json").exists() else None
        if status != "finished":
            adopt(folder)
            report = FollowEpochs if job.trainer.num_workers else ReportEpochs
            trainer = QuantumTrainer(
                job.model,
                job.trainer,
                name=job.name,
                storage=job.storage,
                cluster=job.cluster,
                track=job.track,
                callbacks=[report(progress)],
                threads=max(1, int(self._plan.config.cpus_per_trial)),
            )
            dataset = self._dataset(job)
            _patiently(
                lambda: trainer.fit(
                    dataset,
                    resume=status is not None,
                    config_toml=job.to_toml(),
                    stop=link.stopping,
                    changed=self._plan.scheduler.mutates,
                )
            )
        return metrics_of_run(folder)

    def _dataset(self, job: TrainingJob) -> Dataset:
        """The data of a job; those of the search are there, others are loaded once."""
        key = job.dataset.fingerprint()
        if key not in self._datasets:
            self._datasets[key] = for_trials(DatasetLoader.load(job.dataset))
        return self._datasets[key]


def trial_job(plan: Plan, name: str, values: dict[str, Any]) -> TrainingJob:
    """The job of a trial: its values in place, its run folder inside the study's."""
    job = plan.config.space.apply(plan.job, values)
    trainer: dict[str, Any] = {"num_workers": plan.config.workers_per_trial}
    if plan.scheduler.pauses:
        trainer["checkpoint_every_epochs"] = 1
    changes = {
        "name": name,
        "storage": str(plan.folder),
        "baseline": False,
        "trainer": job.trainer.model_copy(update=trainer),
        "track": TrackConfig(mlflow=False, figures=False),  # the search has its own
    }
    return job.model_copy(update=changes)


def for_trials(dataset: Dataset) -> Dataset:
    """The dataset held in memory, without the test split: no trial may see it."""
    plans = {name: plan for name, plan in dataset.plans.items() if name != "test"}
    return replace(dataset, plans=plans).in_memory()


def metrics_of_run(folder: Path) -> dict[str, Any]:
    """The numbers that a finished run left: those of its last epoch, and those of the whole."""
    epochs = epoch_records(read_records(folder / "metrics.jsonl"))
    return {**epochs[-1], **read_run_record(folder)["metrics"]}


def _patiently(train: Callable[[], object]) -> None:
    began = time.monotonic()
    while True:
        try:
            train()
        except RunExistsError as exc:
            # Nobody else trains in this folder, so it can only be a process that is about to end.
            if "another process" not in exc.message or time.monotonic() - began > _LOCK_SECONDS:
                raise
            time.sleep(0.2)
        else:
            return
