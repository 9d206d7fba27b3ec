"""What all trials of a search have in common, and what the job of one trial is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qstore_ray.data.read.dataset import Dataset
from qstore_ray.storage.address import shown_place, storage_folder
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainingJob
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.metrics import metrics_to_record
from qstore_ray.tune.schedulers import Scheduler, horizon
from qstore_ray.tune.space.fields import Values
from qstore_ray.types import Table

SCRATCH = ".ray"
"""The folder inside a study's that is deleted when Ray Tune ends."""


@dataclass(frozen=True)
class Plan:
    """A search as its trials see it; sent to every process once.

    Attributes:
        job: what trials are made from.
        config: the search.
        folder: of the study.
        dataset: of the job, see `for_trials`.
        scheduler: ends, pauses or changes trials.
        places: trials at a time.
        run_id: of the study, for whom a paid backend evaluates.
    """

    job: TrainingJob
    config: TuneConfig
    folder: Path
    dataset: Dataset
    scheduler: Scheduler
    places: int = 1
    run_id: str = ""

    def __getstate__(self) -> Table:
        return {**self.__dict__, "folder": shown_place(self.folder)}

    def __setstate__(self, state: Table) -> None:
        # Each machine has its own stage of an object store.
        self.__dict__.update({**state, "folder": storage_folder(state["folder"])})

    @property
    def threads(self) -> int:
        """Of a training in the trial's own process."""
        return max(1, int(self.config.cpus_per_trial))

    @property
    def horizon(self) -> int | None:
        """How often a trial reports at most; None where trials differ."""
        return horizon(self.config.space, self.job.trainer.epochs, self.config.parts)

    def trial_job(self, name: str, values: Values) -> TrainingJob:
        """The job of a trial: its values in place, its run folder inside the study's.

        Raises:
            ConfigError: the job refuses the values.
        """
        job = self.config.space.apply(self.job, values)
        judged_by = metrics_to_record(self.config.objectives)
        trainer: dict[str, Any] = {
            "num_workers": self.config.workers_per_trial,
            "metrics": tuple(dict.fromkeys([*job.trainer.metrics, *judged_by])),
        }
        if self.scheduler.pauses:  # a trial that waits, or is taken over, has its last epoch
            trainer["checkpoint_every_epochs"] = 1
        changes = {
            "name": name,
            "storage": shown_place(self.folder),
            "baseline": False,
            "trainer": job.trainer.model_copy(update=trainer),
            "track": TrackConfig(mlflow=False, figures=False),  # the search has its own
        }
        return alone(job).model_copy(update=changes)


def alone(job: TrainingJob) -> TrainingJob:
    """The job without the search that it may be the beginning of."""
    return TrainingJob(**{name: getattr(job, name) for name in TrainingJob.model_fields})


def for_trials(dataset: Dataset) -> Dataset:
    """The dataset held in memory, without the test split: no trial may see it.

    Raises:
        DataError: the source cannot be read.
    """
    plans = {name: plan for name, plan in dataset.plans.items() if name != "test"}
    return replace(dataset, plans=plans).in_memory(raw=False)
