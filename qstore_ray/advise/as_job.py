"""A candidate as a job: the same data, prepared for its encoding, and its model and training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qstore_ray.advise.candidates import Candidate
from qstore_ray.advise.rows import split_steps, training_rows
from qstore_ray.estimator.features import fit_features
from qstore_ray.job import JobConfig

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset

_SUFFIX = "-advised"


def job_of(candidate: Candidate, job: JobConfig, dataset: Dataset) -> JobConfig:
    """The job with the candidate in place of its preparation, model and training.

    Steps that fill missing values or encode categories stay in front. Where it runs, what it is
    tracked by, its seed and its data stay as they are.

    Raises:
        DataError: rows that the candidate's preparation cannot take.
    """
    rows, _ = training_rows(dataset)
    leading, _ = split_steps(job.dataset.preprocessing)
    columns = rows.shape[1]
    config = candidate.model(columns)
    fitted = fit_features(
        rows, encoding=candidate.encoding, n_qubits=config.n_qubits, scale=True, reduce="pca"
    )
    steps = [step.to_dict() for step in (*leading, *fitted.preparation.steps)]
    values = job.to_dict()
    values["name"] = f"{job.name}{_SUFFIX}"
    values["dataset"]["preprocessing"] = steps
    values["model"] = config.to_dict()
    training = candidate.trainer(job.trainer.seed)
    values["trainer"] |= {
        name: getattr(training, name)
        for name in ("epochs", "batch_size", "learning_rate", "optimizer", "schedule", "gradient")
    }
    values["trainer"] |= {"optimizer_options": {}, "schedule_options": {}}
    return JobConfig.from_dict(values)
