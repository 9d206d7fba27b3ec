"""A search of a very small problem: iris with two qubits; a training takes milliseconds."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.job import JobConfig
from qstore_ray.storage.address import storage_folder
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.schedulers import get_scheduler
from qstore_ray.tune.study.opening import open_study
from qstore_ray.tune.study.study import Study
from qstore_ray.tune.trial.attempt import Link
from qstore_ray.tune.trial.messages import EpochReport
from qstore_ray.tune.trial.plan import Plan, for_trials

RATE = "trainer.learning_rate"
SPACE = {RATE: {"type": "float", "low": 0.01, "high": 0.5, "log": True}}
TABLE: dict[str, Any] = {
    "name": "s",
    "dataset": {
        "name": "iris",
        "source": "sklearn",
        "params": {"dataset": "iris"},
        "split": {"train": 0.6, "val": 0.2, "test": 0.2},
        "preprocessing": [{"name": "standard"}, {"name": "pca", "components": 2}],
    },
    "model": {"n_qubits": 2, "layers": 1},
    "trainer": {"epochs": 3, "batch_size": 45, "backend_options": {"threads": 1}},
    "track": {"mlflow": False, "figures": False},
}


def job_of(storage: str | Path, **trainer: Any) -> JobConfig:
    """The job, with further fields of its trainer."""
    tables = {**TABLE, "storage": str(storage), "trainer": {**TABLE["trainer"], **trainer}}
    return JobConfig.from_dict(tables)


def config_of(**options: Any) -> TuneConfig:
    """The search, with further fields."""
    return TuneConfig.from_dict({"space": SPACE, "trials": 3, "sampler": "random", **options})


def study_of(job: JobConfig, config: TuneConfig, dataset: Dataset, **options: Any) -> Study:
    """The study of such a search, as the driver opens it."""
    return open_study(
        job.storage, job.name, config, job=job, data_fingerprint=dataset.fingerprint, **options
    )


def plan_of(job: JobConfig, config: TuneConfig, dataset: Dataset | None = None) -> Plan:
    """What the driver sends to its trials."""
    dataset = dataset or DatasetLoader.load(job.dataset)
    scheduler = get_scheduler(config.scheduler, config.scheduler_options)
    return Plan(job, config, storage_folder(job.storage) / job.name, for_trials(dataset), scheduler)


class Listener(Link):
    """Never makes a training wait; keeps what it reports."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[EpochReport] = []

    def report(self, message: EpochReport) -> None:
        self.messages.append(message)


def progress_of(messages: Sequence[Mapping[str, Any]]) -> list[tuple[int, float]]:
    """The epochs of all reports, in their order."""
    return [pair for message in messages for pair in message.get("progress", [])]


def stopped() -> threading.Event:
    """An event that is set already."""
    event = threading.Event()
    event.set()
    return event
