"""One training of a trial, in a run folder of the study.

It leaves nothing but the run folder. If the folder exists, the training is resumed from its
checkpoint, or read if it had finished.

Runs in the process of the trial.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from qstore_ray.backends.base import Usage
from qstore_ray.backends.paid import RunIdentity
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import RunExistsError
from qstore_ray.storage.address import origin_of, storage_folder
from qstore_ray.track.base import Record, Tracker
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.callbacks.base import Callback
from qstore_ray.train.checks import model_for
from qstore_ray.train.config import TrainingJob
from qstore_ray.train.request import RunRequest
from qstore_ray.train.run.lock import lock_folder
from qstore_ray.train.run.origin import open_origin, refresh
from qstore_ray.train.run.writing import read_run_record
from qstore_ray.train.trainer import QuantumTrainer
from qstore_ray.tune.metrics import trial_metrics
from qstore_ray.tune.trial.checkpoint_transfer import ADOPTED, adopt
from qstore_ray.tune.trial.plan import Plan, for_trials

_LOCK_SECONDS = 30.0
"""A process that was killed a moment ago may still hold the run folder."""


class PartTrainer:
    """Trains jobs one after another in this process, and keeps what they share."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._datasets = {plan.job.dataset.fingerprint(): plan.dataset}

    def train(
        self,
        job: TrainingJob,
        stop: threading.Event,
        callbacks: Sequence[Callback | Tracker] = (),
    ) -> Record:
        """Train, resume, or read what was trained; returns the metrics.

        Args:
            stop: when set, the training stops at a checkpoint.

        Raises:
            QStoreError: see `QuantumTrainer.fit`.
            InterruptedRunError: `stop` was set.
        """
        folder = storage_folder(job.storage) / job.name
        refresh(folder)
        dataset = self._dataset(job)
        status = read_run_record(folder)["status"] if (folder / "run.json").exists() else None
        if status != "finished":
            if origin_of(folder) is None:
                adopt(folder)
            else:
                _adopt_in_store(folder)
            trainer = QuantumTrainer(
                job.model,
                job.trainer,
                name=job.name,
                storage=job.storage,
                cluster=job.cluster,
                track=job.track,
                callbacks=callbacks,
            )
            request = RunRequest(
                existing="error" if status is None else "resume",
                config_toml=job.to_toml(),
                stop=stop,
                changed=self._plan.scheduler.mutates,
                threads=self._plan.threads,
                part_of_search=True,
                identity=RunIdentity(self._plan.run_id, *self._trial_and_part(folder)),
            )
            _patiently(lambda: trainer.run(dataset, request))
        return _metrics(job, dataset, folder)

    def _trial_and_part(self, folder: Path) -> tuple[str, str]:
        trial, *part = folder.relative_to(self._plan.folder).parts
        return trial, "/".join(part)

    def _dataset(self, job: TrainingJob) -> Dataset:
        """The data of a job; those of the search are loaded already, others are loaded once."""
        key = job.dataset.fingerprint()
        if key not in self._datasets:
            self._datasets[key] = for_trials(DatasetLoader.load(job.dataset))
        return self._datasets[key]


def _adopt_in_store(folder: Path) -> None:
    """Put a checkpoint that was laid there in the place of the run's own, in the objects too."""
    if not (folder / ADOPTED).exists():
        return
    with lock_folder(folder):
        origin = open_origin(folder)
        assert origin is not None, "the caller has asked"
        try:
            adopt(folder)
            origin.upload()
        finally:
            origin.close()


def _metrics(job: TrainingJob, dataset: Dataset, folder: Path) -> Record:
    """The numbers of a finished run: of its last epoch, of the whole, and what it cost."""
    last = epoch_records(read_records(folder / "metrics.jsonl"))[-1]
    found = {**last, **read_run_record(folder)["metrics"]}
    usage = Usage(circuits=int(last["circuit_evaluations"]), shots=int(last.get("shots", 0)))
    model = model_for(job.model, dataset)
    return found | trial_metrics(model, usage, float(found["train_seconds"]))


def _patiently(train: Callable[[], object]) -> None:
    began = time.monotonic()
    while True:
        try:
            train()
        except RunExistsError as exc:
            # Nobody else trains in this folder, so it can only be a process that is about to end.
            if not exc.locked or time.monotonic() - began > _LOCK_SECONDS:
                raise
            time.sleep(0.2)
        else:
            return
