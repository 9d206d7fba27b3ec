"""`Tuner`: search the fields of a job for the values that do best, with Ray Tune.

    tuner = Tuner(job, {"model.layers": {"type": "int", "low": 1, "high": 8}}, trials=20)
    result = tuner.fit()
    print(result.best_toml())

Everything is checked before anything is written: the space against the job, the objectives against
the metrics that a trial will have, the trials against the cluster. Then the study is opened, and
Ray Tune runs its trials in actors that are used again for one trial after another. The study's
storage is the only truth. Ray Tune's own records are scratch: a killed search is
resumed by a new Ray Tune from the study and the run folders.

`fit` runs in the driver process.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from typing import Any

from qstore_ray.backends.paid import closing_run
from qstore_ray.data.inputs.signature import Signature
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import BudgetReachedError
from qstore_ray.track.base import Status
from qstore_ray.track.logs.logging import announce
from qstore_ray.train.config import TrainingJob
from qstore_ray.train.finish import take_all
from qstore_ray.train.run.origin import refresh_trial
from qstore_ray.train.run.run_folder import Existing
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.driver.capacity import Room
from qstore_ray.tune.driver.checks import checked_search, search_session
from qstore_ray.tune.driver.display import SearchDisplay
from qstore_ray.tune.driver.finalize import (
    begin_last_steps,
    finish,
    leave_files,
    stopped_error,
    summary_of,
)
from qstore_ray.tune.driver.tracking import SearchTracking
from qstore_ray.tune.driver.usage import SearchUsage
from qstore_ray.tune.driver.watch import Watch, artifacts_of
from qstore_ray.tune.space.space import Space
from qstore_ray.tune.study.admission import check_study
from qstore_ray.tune.study.opening import open_study
from qstore_ray.tune.study.result import StudyResult
from qstore_ray.tune.study.study import Study
from qstore_ray.tune.trial.plan import Plan, for_trials
from qstore_ray.types import ReadOnlyTable


class Tuner:
    """Searches the fields of `base` as `space` says.

    Args:
        base: what trials are made from; the study is `<storage>/<name>`.
        space: a `Space` or its table, or a whole `TuneConfig`.
        dataset: of the job; without it the job's is loaded.
        display: shows progress; None for silence.
        options: further fields of `TuneConfig`, such as trials=40.

    Raises:
        ConfigError: a wrong space or option.

    Examples:
        layers = {"model.layers": {"type": "int", "low": 1, "high": 4}}
        iris = {"name": "iris", "params": {"dataset": "iris"}}
        job = JobConfig(name="iris-tune", dataset=iris)
        tuner = Tuner(job, layers, trials=40)
        assert tuner.config.trials == 40
    """

    def __init__(
        self,
        base: TrainingJob,
        space: TuneConfig | Space | ReadOnlyTable,
        dataset: Dataset | None = None,
        *,
        display: SearchDisplay | None = None,
        **options: Any,
    ) -> None:
        if isinstance(space, TuneConfig):
            # Not by `to_dict`, which leaves out the password of a database.
            fields = {name: getattr(space, name) for name in type(space).model_fields}
            self.config = TuneConfig(**{**fields, **options})
        else:
            self.config = TuneConfig(space=space, **options)
        self.base = base
        self.dataset = dataset
        self.display = display

    def fit(self, *, existing: Existing = "error") -> StudyResult:
        """Run the trials that are left, and the final training if requested; returns the study.

        Args:
            existing: if there is a study of this name, "error" refuses, "resume" continues it,
                "replace" deletes it and starts again.

        Raises:
            ConfigError, ResourceError: nothing was written; of a study that is resumed, trials that
                were interrupted may be in the queue again.
            RunExistsError: the study exists and `existing` is "error"; nothing was written.
            StudyError: its storage is locked, damaged or out of reach.
            InterruptedRunError: stopped by Ctrl-C, SIGTERM or SIGHUP; "resume" continues it.
            RunError: no trial was completed; the error lists the causes.
        """
        base, config = self.base, self.config
        dataset = self.dataset or DatasetLoader.load(base.dataset)
        scheduler = checked_search(base, config, dataset)
        if self.display:
            self.display.note(f"{dataset.config.name}: {Signature.of(dataset).line()}")
        check_study(base.storage, base.name, config, job=base, existing=existing)
        with ExitStack() as stack:
            # A new study is not created if no trial would fit; a finished one needs no cluster.
            session = search_session(base, config, scheduler)
            resume = existing == "resume"
            room = None if resume else stack.enter_context(session)
            study = stack.enter_context(
                open_study(
                    base.storage,
                    base.name,
                    config,
                    job=base,
                    data_fingerprint=dataset.fingerprint,
                    existing=existing,
                )
            )
            if room is None and not study.is_done:
                room = stack.enter_context(session)
            places = min(room.concurrency, study.left) if room else 1
            plan = Plan(
                base, config, study.folder, for_trials(dataset), scheduler, places, study.run_id
            )
            later = base.trainer.later_backends
            stack.enter_context(closing_run(base.trainer.backend, None, study.run_id, also=later))
            return self._followed(study, plan, room, resume)

    def _followed(self, study: Study, plan: Plan, room: Room | None, resume: bool) -> StudyResult:
        """Run, with the study's trackers open, and leave the study's files."""
        status: Status = "failed"
        tracking = SearchTracking(
            study.folder,
            plan.job.track,
            name=study.folder.name,
            job_config={**plan.job.to_dict(), "tune": plan.config.to_dict()},
            fingerprints={"data": plan.dataset.fingerprint},
        )
        earlier = self._read()
        tracking.start(resume)
        usage = SearchUsage(study, self.base.trainer, earlier)
        summary: dict[str, Any] = {}
        try:
            watch = Watch(plan, tracking, self.display, earlier, usage.metrics_of)
            stopped, reached = "", None
            if room:
                if self.display:
                    self.display.note(f"{room.concurrency} at a time: {room.why}")
                # Ray Tune takes seconds to import: errors have been reported before.
                from qstore_ray.tune.driver.experiment import run_experiment

                try:
                    stopped = run_experiment(study, plan, room, watch, usage)
                except BudgetReachedError as exc:
                    stopped, reached = exc.message, exc
            for name in usage.refresh():  # billed since the trial ended
                tracking.revise(study.folder / name, usage.metrics_of(name))
            result = self._read_whole(study, earlier)
            if not stopped and (left := study.left) and study.is_exhausted:
                note = self.display.note if self.display else partial(announce, "note")
                note(f"every point of the space was tried; {left} trials fewer than asked for")
            summary |= summary_of(result)
            leave_files(result, study.folder, figures=plan.job.track.figures)
            if stopped:
                status = "interrupted"
                raise stopped_error(study.folder, why=stopped, reached=reached)
            result.best_trials()  # raises if no trial was completed
            status = "finished"
            begin_last_steps(plan)
        except KeyboardInterrupt:
            status = "interrupted"
            raise
        finally:
            raised = None if status == "finished" else sys.exception()
            told = {**summary, **usage.metrics_of()}
            close = lambda: tracking.close(status, told, artifacts_of(study.folder))  # noqa: E731
            take_all((close,), raised)
        if self.display and plan.config.refit:
            self.display.note("the best configuration is trained once more, on train and val")
        try:
            finish(plan, result)
        finally:
            if usage.refresh():  # what the final training used
                result = study.reach(self._read)
                result.write(study.folder)
                tracking.revise_study(usage.metrics_of())
        return result

    def _read_whole(self, study: Study, earlier: StudyResult) -> StudyResult:
        """The study, with the epochs of trials that were trained on other machines."""
        for trial in earlier.trials:
            refresh_trial(study.folder / trial.run, ("metrics.jsonl",))
        return study.reach(self._read)

    def _read(self) -> StudyResult:
        return StudyResult.load(
            self.base.storage, self.base.name, storage_url=self.config.storage_url
        )
