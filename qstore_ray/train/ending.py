"""The result of a training whose last epoch is done: its scores, and the confusion matrix.

The backend that the run is on scores it. If it fails, the next one of the chain does, for all
scores: those of two backends are never mixed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qstore_ray.backends.keys import DrawKey, for_scoring
from qstore_ray.backends.paid import of_run
from qstore_ray.errors import BudgetReachedError, FailedJobError, ServiceError
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.beside import fitted
from qstore_ray.train.finish import interrupted_error, noisy_scores, score
from qstore_ray.train.model.scoring_backends import scoring_backend
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.privacy.claim import write_statement
from qstore_ray.train.privacy.steps import privacy_statement
from qstore_ray.train.result import TrainResult
from qstore_ray.train.run.chain import place_of_run, record_place
from qstore_ray.train.run.checkpoint import latest_checkpoint

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.train.beside import AnyBaseline
    from qstore_ray.train.checks import Checked
    from qstore_ray.train.finish import Pictures
    from qstore_ray.train.job import Assignment, WorkerResult
    from qstore_ray.train.model.evaluation import ScoresOf
    from qstore_ray.train.run.chain import ChainPlace
    from qstore_ray.train.run.run_folder import RunFolder


def scored_result(
    job: Assignment,
    dataset: Dataset,
    found: Checked,
    folder: RunFolder,
    outcome: WorkerResult,
    baseline: AnyBaseline,
    metrics: dict[str, float],
    pictures: Pictures,
    scores: ScoresOf,
) -> TrainResult:
    """Score the trained model. Runs in the driver process.

    Args:
        outcome: of the loop.
        metrics: what is known of the run; its scores are added.
        scores: computes the metrics, here or in the sidecar.

    Raises:
        QStoreError: see `QuantumTrainer.fit`; a failure of the backend if no other one takes over.
    """
    pictures.trained()
    place = place_of_run(job.config, folder.path, folder.generation)
    record_place(folder.path, place, folder.generation)  # it may have returned to the first one
    while True:
        member = job.on_member(place)
        try:
            result = _scored(member, place, dataset, found, folder, baseline, scores)
            pictures.count(result.model)
        except (BudgetReachedError, ServiceError, FailedJobError) as exc:
            last = epoch_records(read_records(folder.metrics))[-1]
            epoch, step = int(last["epoch"]) + 1, int(last["step"])
            successor = place.after(exc, epoch=epoch, step=step, backend=member.backend)
            if successor is None and isinstance(exc, BudgetReachedError):
                raise interrupted_error(folder, exc.message, exc.field) from exc
            if successor is None:
                raise
            place = successor
            record_place(folder.path, place, folder.generation)
        else:
            break
    simple = fitted(baseline)
    metrics |= {**(simple.metrics if simple else {}), **result.metrics}
    metrics["samples_per_second"] = round(outcome.samples / outcome.seconds, 1)
    return TrainResult(
        result.model, metrics, result.history, folder.path, result.checkpoint, result.missing,
        result.verdict, place.steps, result.privacy,
    )  # fmt: skip


def _scored(
    job: Assignment,
    place: ChainPlace,
    dataset: Dataset,
    found: Checked,
    folder: RunFolder,
    baseline: AnyBaseline,
    scores: ScoresOf,
) -> TrainResult:
    checkpoint, _ = latest_checkpoint(folder.checkpoints)
    assert checkpoint is not None, "the loop writes a checkpoint after the last epoch"
    config = job.config
    backend = of_run(job.backend or scoring_backend(config), job.identity)
    scoring = for_scoring(backend, DrawKey((config.seed, 2)))
    trained = TrainedModel.load(checkpoint.path, scoring)
    history = epoch_records(read_records(folder.metrics))
    metrics = {k: float(v) for k, v in history[-1].items() if k.startswith("train_")}
    scored = score(trained, dataset, found, baseline, scores)
    metrics |= scored.metrics
    metrics |= noisy_scores(config, checkpoint.path, dataset, job.identity)
    metrics["epochs"] = len(history)
    if place.trainer.fallback or place.steps:
        metrics["fallbacks"] = len(place.steps)
    privacy = None
    if config.privacy is not None:
        privacy = privacy_statement(config, found.rows.n_rows, checkpoint.arrays)
        write_statement(folder.path, privacy)
        if privacy.epsilon is not None:
            metrics["epsilon"] = privacy.epsilon
    return TrainResult(
        trained, metrics, history, folder.path, checkpoint.path, scored.missing, scored.verdict,
        privacy=privacy,
    )  # fmt: skip
