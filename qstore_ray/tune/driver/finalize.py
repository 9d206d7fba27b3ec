"""What a search leaves when it ends: its files, the final training, the registered model.

Runs in the driver process.
"""

from __future__ import annotations

from pathlib import Path

from qstore_ray.backends.paid import RunIdentity
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import BudgetReachedError, InterruptedRunError, RunError
from qstore_ray.files import unwritable_fix, write_durably
from qstore_ray.storage.address import shown_place
from qstore_ray.track.config import TrackConfig, default_uri
from qstore_ray.track.mlflow.store import RUN_ID_FILE
from qstore_ray.train.ray.interrupt import ON_REQUEST, outlast_signal
from qstore_ray.train.request import RunRequest
from qstore_ray.train.run.origin import refresh_trial
from qstore_ray.train.run.run_folder import Existing
from qstore_ray.train.run.writing import read_run_record
from qstore_ray.train.trainer import QuantumTrainer
from qstore_ray.tune.driver.refit import refit_job
from qstore_ray.tune.driver.tracking import register_best
from qstore_ray.tune.report.html import write_page
from qstore_ray.tune.report.pictures import draw_possible, search_of
from qstore_ray.tune.study.result import StudyResult
from qstore_ray.tune.trial.parts import parts_of
from qstore_ray.tune.trial.plan import Plan, alone

REFIT = "refit"
"""The name of the final training's run folder inside the study's."""


def leave_files(result: StudyResult, folder: Path, *, figures: bool) -> None:
    """Write `result.json`, `trials.parquet`, `best.toml`, and where wanted figures and the report.

    Raises:
        RunError: the study's folder cannot be written to.
    """
    try:
        result.write(folder)
    except OSError as exc:
        raise RunError(
            f"cannot write into the study's folder: {exc.strerror or type(exc).__name__}",
            field="storage",
            value=str(folder),
            fix=f"{unwritable_fix(exc)} StudyResult.load('STORAGE', 'STUDY') reads the study.",
        ) from exc
    if figures and result.best:
        draw_possible(search_of(result), folder / "figures")
        write_page(result, folder)


def begin_last_steps(plan: Plan) -> None:
    """From now on a signal interrupts no search that has finished, unless it is to be refitted."""
    if not plan.config.refit:
        outlast_signal()


def summary_of(result: StudyResult) -> dict[str, float]:
    """The study in numbers, for its trackers."""
    summary: dict[str, float] = {f"trials_{name}": n for name, n in result.statuses.items()}
    if result.best:
        best = result.best_trials()[0]
        summary["best_trial"] = best.number
        summary |= {f"best_{metric}": value for metric, value in best.objectives.items()}
    return summary


def finish(plan: Plan, result: StudyResult) -> None:
    """Train the best job once more on train and val, and register a model, if requested.

    Raises:
        InterruptedRunError: stopped on request; resuming the study continues it.
        QStoreError: see `QuantumTrainer.fit` and `register_best`.
    """
    if plan.config.refit:
        refit(plan, result)
    if plan.config.register_as:
        best = result.best_trials()[0]
        job = plan.trial_job(best.run, best.parameters)
        name = str(Path(best.run) / parts_of(plan.config, job)[0].name)
        chosen = REFIT if plan.config.refit else name
        register_best(plan.folder, chosen, plan.config.register_as, _track(plan))


def stopped_error(
    folder: Path,
    what: str = "the search",
    why: str = ON_REQUEST,
    reached: InterruptedRunError | None = None,
) -> InterruptedRunError:
    """The error if a search, or the part of it that `what` says, was stopped.

    Args:
        why: such as "stopped on request".
        reached: why, if it was not on request but by a budget.
    """
    if isinstance(reached, BudgetReachedError):
        return BudgetReachedError(
            f"{what} was stopped: {reached.message}",
            field=reached.field,
            value=str(folder),
            fix=f"Continue it with existing='resume' (name {folder.name!r}) and a larger limit.",
        )
    return InterruptedRunError(
        f"{what} was {why if why.startswith('stopped ') else f'stopped: {why}'}",
        field="study",
        value=str(folder),
        fix=f"Continue it with existing='resume' (name {folder.name!r}).",
    )


def refit(plan: Plan, result: StudyResult) -> None:
    """Train the best job on train and val; the notes of what is different go to `refit.txt`.

    If the same job was trained before: a finished training is kept, an unfinished one resumed.
    """
    best = result.best_trials()[0]
    job = alone(plan.config.space.apply(plan.job, best.parameters))
    epochs = len(best.epochs) if plan.config.parts == 1 else None
    job, notes = refit_job(job, epochs, folds=plan.config.folds)
    job = job.model_copy(update={"name": REFIT, "storage": shown_place(plan.folder)})
    toml, folder = job.to_toml(), plan.folder / REFIT
    refresh_trial(folder)
    status = _status(folder, toml)
    if status == "finished":
        return
    trainer = QuantumTrainer(
        job.model,
        job.trainer,
        name=REFIT,
        storage=job.storage,
        cluster=job.cluster,
        track=_track(plan),
    )
    dataset = DatasetLoader.load(job.dataset)
    existing: Existing = "replace" if status is None else "resume"
    try:
        identity = RunIdentity(plan.run_id, REFIT)
        trainer.run(dataset, RunRequest(existing=existing, config_toml=toml, identity=identity))
    except InterruptedRunError as exc:
        raise stopped_error(plan.folder, "the final training", exc.message, exc) from exc
    write_durably(folder / "refit.txt", ("\n".join(notes) + "\n").encode())


def _track(plan: Plan) -> TrackConfig:
    """The study's trackers, for a run inside its folder; MLflow shows it under the study."""
    track, study = plan.job.track, plan.folder / RUN_ID_FILE
    parent = {"mlflow.parentRunId": study.read_text().strip()} if study.exists() else {}
    uri = track.mlflow_uri or default_uri(plan.folder.parent)
    return track.model_copy(update={"mlflow_uri": uri, "tags": {**track.tags, **parent}})


def _status(folder: Path, toml: str) -> str | None:
    """The status of an earlier final training of the same job; None without one."""
    try:
        same = (folder / "config.toml").read_text() == toml
        return str(read_run_record(folder)["status"]) if same else None
    except (OSError, RunError):
        return None
