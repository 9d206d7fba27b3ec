"""What a job will take and reach, before it runs: its plan, and the table.

    seconds     a · steps + b · engine seconds, fitted on the trainings of the table (exact engine);
                of a job whose first steps are timed, those
    memory      of the process, as in the table, with the engine's states and the rows
    disk        of the run folder: checkpoints, records, figures
    circuits, shots, QPU seconds and money: of the plan that would run (`estimate.py`)
    accuracy    balanced accuracy on held-out rows, with a 90 % interval; only inside the table

Seconds are CPU seconds of the loop in one process. What a run takes around it (its folder, and a
checkpoint an epoch) is a number of its own; the start of Ray, reading the data, and waiting for
disks come on top.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.advise.configuration import Configuration, configuration_of, skill_of
from qstore_ray.advise.evidence import Evidence, error_interval, evidence
from qstore_ray.advise.meta_features import MetaFeatures, unskilled
from qstore_ray.advise.rows import described_rows
from qstore_ray.advise.seconds_model import SecondsModel
from qstore_ray.errors import DataError
from qstore_ray.estimate import Estimate, estimate_job

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.job import JobConfig
    from qstore_ray.types import FloatArray

_FIGURES_BYTES = 460_000
_RECORD_BYTES = 260
_FILES_BYTES = 25_000
"""Of a run folder: figures with the report; a line of metrics; records, locks and manifests."""

_START, _CHECKPOINT = 0.04, 0.003
"""CPU seconds of a run in one process around its loop, and for each checkpoint and record."""

_MOST_ROWS = 1_000
_EPOCHS = (10, 120)
"""Beyond these a training differs from those of the table (400 rows, 30 epochs) too much."""


class PredictedScore(NamedTuple):
    """Balanced accuracy on held-out rows, and its 90 % interval."""

    score: float
    low: float
    high: float


class DescribedData(NamedTuple):
    """A job's data and what they look like.

    Attributes:
        meta: None if the table has nothing to compare them with. reason: why, as words.
    """

    dataset: Dataset
    meta: MetaFeatures | None
    reason: str = ""


@dataclass(frozen=True)
class JobPrediction:
    """What a job will take and reach.

    Attributes:
        seconds, seconds_low, seconds_high: CPU seconds of the loop, with the band of 90 %; the band
            is None if the first steps were timed. On paid hardware they are seconds of the QPU.
        around_seconds: CPU seconds around the loop, for the run folder and its checkpoints.
        memory_mb: peak of the process. disk_mb: of the run folder.
        qpu_seconds, money: on paid hardware, else None; money also if no price is known.
        accuracy: None outside of the table. outside: why it is.
        notes: what the numbers do not include.
    """

    seconds: float
    seconds_low: float | None
    seconds_high: float | None
    around_seconds: float
    memory_mb: float
    disk_mb: float
    circuits: int
    shots: int
    qpu_seconds: float | None
    money: float | None
    accuracy: PredictedScore | None
    outside: tuple[str, ...]
    notes: tuple[str, ...]


def predict_job(config: JobConfig) -> JobPrediction:
    """The prediction for a job; its data are loaded, nothing is trained or submitted.

    Raises:
        QStoreError: what training would refuse, see `estimate_job`.

    Examples:
        iris = DatasetConfig(name="iris", params={"dataset": "iris"})
        found = predict_job(JobConfig(name="iris", dataset=iris, model=ModelConfig(n_qubits=4)))
        assert found.circuits > 0 and found.seconds > 0.0
    """
    return predict_for(config, described_data(config))


def described_data(config: JobConfig) -> DescribedData:
    """The job's data, loaded and described once for any number of predictions."""
    from qstore_ray.data.loader import DatasetLoader

    dataset = DatasetLoader.load(config.dataset)
    if dataset.config.task != "classification":
        return DescribedData(dataset, None, f"the table has no {dataset.config.task}")
    try:
        return DescribedData(dataset, described_rows(dataset))
    except DataError as exc:  # they can be trained on, but not be compared with the table
        return DescribedData(dataset, None, exc.message)


def predict_for(config: JobConfig, data: DescribedData, *, sample: bool = False) -> JobPrediction:
    """`predict_job`, for a job whose data are described already; `sample` is `estimate_job`'s."""
    found = estimate_job(config, data.dataset, sample=sample)
    seconds, band = _seconds(config, found)
    accuracy, outside = predicted_score(config, data, found)
    hardware = found.hardware
    return JobPrediction(
        seconds=seconds,
        seconds_low=None if band is None else band[0],
        seconds_high=None if band is None else band[1],
        around_seconds=_START + _CHECKPOINT * config.trainer.epochs,
        memory_mb=_memory_mb(found, data.dataset),
        disk_mb=_disk_mb(config, found, data.dataset),
        circuits=found.circuits + found.test_circuits,
        shots=found.shots + found.test_shots,
        qpu_seconds=None if hardware is None else hardware.total.qpu_seconds,
        money=None if hardware is None else hardware.total.money,
        accuracy=accuracy,
        outside=tuple(outside),
        notes=_notes(config, found),
    )


def predicted_score(
    config: JobConfig, data: DescribedData, found: Estimate
) -> tuple[PredictedScore | None, list[str]]:
    """What the job will score on held-out rows, or why the table does not say."""
    known, meta = evidence(), data.meta
    outside, asked = job_configuration(config, found)
    if meta is None:
        return None, [data.reason, *outside]
    nearest = known.nearest(meta.vector(), 1)[0]
    if nearest.distance > known.farthest:
        outside.append(
            f"the nearest data set measured, {nearest.name}, is {nearest.distance:.1f} away, and "
            f"the table reaches {known.farthest:.1f}"
        )
    if meta.rows > _MOST_ROWS:
        outside.append(f"{meta.rows:,} rows, and the table has at most 400 to train on")
    if outside or asked is None:
        return None, outside
    return score_of(asked, meta, known), []


def score_of(asked: Configuration, meta: MetaFeatures, known: Evidence) -> PredictedScore:
    """The score of a configuration on data that are described by their meta-features."""
    configurations = table_configurations()
    skills = known.model.predict(meta.vector())[: len(configurations)]
    found = float(skill_of(asked, configurations, skills))
    low, high = unmeasured_interval(known)
    ends = (found, found + low, found + high)
    classes = int(meta.values["classes"])
    return PredictedScore(*(float(np.clip(unskilled(e, classes), 0.0, 1.0)) for e in ends))


def job_configuration(config: JobConfig, found: Estimate) -> tuple[list[str], Configuration | None]:
    """What of a job the table does not have, and its configuration if it has one."""
    model, trainer = config.model, config.trainer
    outside: list[str] = []
    if found.noise or found.shots or found.hardware is not None:
        outside.append("noise, shots or hardware; the table is exact")
    if model.circuit != "library":
        outside.append("a circuit of your own")
    if model.pre_layers or model.post_layers:
        outside.append("classical layers around the circuit")
    if not _EPOCHS[0] <= trainer.epochs <= _EPOCHS[1]:
        outside.append(f"{trainer.epochs} epochs, and the table has 30")
    if not isinstance(model.observables, str):
        return [*outside, "observables of your own"], None
    asked = Configuration(
        encoding=model.encoding,
        ansatz=model.ansatz,
        observables=model.observables,
        optimizer=trainer.optimizer,
        reuploading=model.reuploading,
        n_qubits=found.qubits,
        layers=model.layers,
        n_parameters=found.parameters,
    )
    return [*outside, *asked.outside()], asked


@cache
def table_configurations() -> tuple[Configuration, ...]:
    """The configurations of the candidates of this installation's table."""
    return tuple(configuration_of(each) for each in evidence().table.candidates)


def left_out_configurations(
    skills: FloatArray, configurations: tuple[Configuration, ...]
) -> FloatArray:
    """Skills (D, C) of each candidate from those (D, C) of all others."""
    found = np.empty_like(skills)
    for place, asked in enumerate(configurations):
        others = [c for c in range(len(configurations)) if c != place]
        known = [configurations[c] for c in others]
        found[:, place] = skill_of(asked, known, skills[:, others])
    return found


def unmeasured_interval(known: Evidence) -> tuple[float, float]:
    """The interval about the skill of a model that neither its data nor itself were measured."""
    configurations = table_configurations()
    predicted = left_out_configurations(known.left_out[:, : len(configurations)], configurations)
    measured = known.skills[:, : len(configurations)]
    return error_interval(measured - predicted, known.table.families)


def _seconds(config: JobConfig, found: Estimate) -> tuple[float, tuple[float, float] | None]:
    if found.measured_steps or found.hardware is not None:
        return found.train_seconds, None
    law = SecondsModel.fit(evidence().table.trainings)
    engine = found.train_seconds * max(1, found.workers)
    seconds = float(law.predict(found.steps, engine, config.trainer.optimizer))
    return seconds, (law.low * seconds, law.high * seconds)


def _memory_mb(found: Estimate, dataset: Dataset) -> float:
    """The process of the table's trainings, with this job's states and rows."""
    floor = float(np.median(evidence().table.trainings["peak_mb"].astype(np.float64)))
    rows = sum(dataset.sizes.values()) * dataset.schema.n_features * 8.0
    return floor + ((found.memory_bytes or 0) + 2.0 * rows) / 2**20


def _disk_mb(config: JobConfig, found: Estimate, dataset: Dataset) -> float:
    """Checkpoints hold θ, what the optimizer keeps (two arrays as large), and the preparation."""
    preparation = sum(
        array.nbytes for state in dataset.preparation.states for array in state.values()
    )
    checkpoint = 3 * 8 * found.parameters + preparation + 4_000
    kept = config.trainer.checkpoints_kept * checkpoint + 8 * found.parameters + preparation
    figures = _FIGURES_BYTES if config.track.figures else 0
    total = kept + figures + _RECORD_BYTES * config.trainer.epochs + _FILES_BYTES
    return total / 2**20


def _notes(config: JobConfig, found: Estimate) -> tuple[str, ...]:
    notes = ["reading the data, scoring, and waiting for the disk at every checkpoint"]
    if found.hardware is not None:
        notes.append("seconds are of the QPU; its queue comes on top")
    if config.trainer.max_workers:
        notes.append(
            f"the start of Ray; seconds are of one process, {config.trainer.max_workers} workers "
            "share them"
        )
    if found.measured_steps:
        notes.append(f"seconds were timed on the first {found.measured_steps} steps")
    if config.track.mlflow:
        notes.append("MLflow's database is not in the disk space")
    return tuple(notes)
