"""`Tuner`: search the fields of a job for the values that do best, with Ray Tune.

    tuner = Tuner(job, {"model.layers": {"type": "int", "low": 1, "high": 8}}, trials=20)
    result = tuner.fit()
    print(result.best_toml())

Everything is checked before anything is written: the space against the job, the objectives against
the metrics that a trial will have, the trials against the cluster. Then the study is opened, and
Ray Tune runs its trials in actors that are used again for one trial after another. The study's
storage is the only truth. Ray Tune's own records are scratch: a search that was killed is gone on
with by a new Ray Tune, from what the study and the run folders have.

`fit` runs in the driver process.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray.tune
from ray.exceptions import RayError
from ray.tune import TuneError
from ray.tune.stopper import Stopper

from qstore_ray.data.dataset import Dataset
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import InterruptedRunError, WorkerError
from qstore_ray.track.base import Status
from qstore_ray.train.config import TrainingJob
from qstore_ray.train.finish import always
from qstore_ray.train.interrupt import stop_on_signal
from qstore_ray.tune.actor import TrialActor
from qstore_ray.tune.admission import check_study
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.display import SearchDisplay
from qstore_ray.tune.ending import finish, leave_files, summary_of
from qstore_ray.tune.opening import open_study
from qstore_ray.tune.plan import SCRATCH, Plan, for_trials
from qstore_ray.tune.preflight import Room
from qstore_ray.tune.readiness import checked_search, search_session
from qstore_ray.tune.result import StudyResult, read_result
from qstore_ray.tune.search import StudySearch
from qstore_ray.tune.space import Space
from qstore_ray.tune.study import Study
from qstore_ray.tune.tracking import SearchTracking
from qstore_ray.tune.watch import Watch, artifacts_of

_WAIT_SECONDS = 0.1
_SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the run folder has the metrics
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # they are counted, with their causes
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a trial that failed has none
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # nobody reads Ray Tune's own records
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths mean what they mean in the driver
    "RAY_AIR_NEW_OUTPUT": "0",
}
"""Of Ray Tune, for the time of a search."""


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
    """

    def __init__(
        self,
        base: TrainingJob,
        space: TuneConfig | Space | Mapping[str, Any],
        dataset: Dataset | None = None,
        *,
        display: SearchDisplay | None = None,
        **options: Any,
    ) -> None:
        if isinstance(space, TuneConfig):
            self.config = TuneConfig.from_dict({**space.to_dict(), **options})
        else:
            self.config = TuneConfig(space=space, **options)
        self.base = base
        self.dataset = dataset
        self.display = display

    def fit(self, *, resume: bool = False, fresh: bool = False) -> StudyResult:
        """Run the trials that are left, and the final training if it was asked for; the study.

        Args:
            resume: go on with the study of this name. fresh: delete it and start again.

        Raises:
            ConfigError, ResourceError: nothing was written.
            RunExistsError: the study exists and neither flag allows to go on; nothing was written.
            StudyError: its storage is locked, damaged or out of reach.
            InterruptedRunError: stopped by Ctrl-C; `resume` goes on.
            RunError: no trial was completed; the error tells the causes.
        """
        base, config = self.base, self.config
        dataset = self.dataset or DatasetLoader.load(base.dataset)
        scheduler = checked_search(base, config, dataset)
        study_of: dict[str, Any] = {
            "space": config.space,
            "job": base,
            "objectives": config.objectives,
            "trials": config.trials,
            "sampler": config.sampler,
            "sampler_options": config.sampler_options,
            "points": config.points,
            "storage_url": config.storage_url,
            "resume": resume,
            "fresh": fresh,
        }
        check_study(base.storage, base.name, **study_of)
        with (
            search_session(base.cluster, config) as room,
            open_study(
                base.storage,
                base.name,
                **study_of,
                seed=config.seed,
                warm_start=config.warm_start,
                data_fingerprint=dataset.fingerprint,
            ) as study,
        ):
            places = min(room.concurrency, study.left)
            plan = Plan(base, config, study.folder, for_trials(dataset), scheduler, places)
            return self._followed(study, plan, room, resume)

    def _followed(self, study: Study, plan: Plan, room: Room, resume: bool) -> StudyResult:
        """Run, with the study's trackers open, and leave the study's files."""
        status: Status = "failed"
        tracking = SearchTracking(
            study.folder,
            plan.job.track,
            name=study.folder.name,
            job_config={**plan.job.to_dict(), "tune": plan.config.to_dict()},
            fingerprints={"data": plan.dataset.fingerprint},
        )
        tracking.start(resume)
        summary: dict[str, Any] = {}
        with always(lambda: tracking.close(status, summary, artifacts_of(study.folder))):
            watch = Watch(plan, tracking, self.display, self._read())
            if self.display:
                self.display.note(f"{room.concurrency} at a time: {room.why}")
            stopped = self._run(study, plan, room, watch)
            result = self._read()
            summary |= summary_of(result)
            leave_files(result, study.folder, figures=plan.job.track.figures)
            if stopped:
                status = "interrupted"
                raise _stopped(study.folder)
            result.best_trials()  # raises where no trial was completed
            status = "finished"
        if self.display and plan.config.refit:
            self.display.note("the best configuration is trained once more, on train and val")
        finish(plan, result)
        return result

    def _read(self) -> StudyResult:
        return read_result(self.base.storage, self.base.name, storage_url=self.config.storage_url)

    def _run(self, study: Study, plan: Plan, room: Room, watch: Watch) -> bool:
        """Run Ray Tune until the study is done; whether it was stopped before."""
        at_a_time = None if plan.scheduler.pauses else room.concurrency
        search = StudySearch(study, watch, at_a_time=at_a_time)
        if study.is_done:
            return False
        scratch, stop = study.folder / SCRATCH, threading.Event()
        try:
            with _settings(plan.places), stop_on_signal(stop):
                _wait(lambda: _tune(plan, room, search, scratch), stop, search.leaving)
        except (RayError, TuneError) as exc:
            raise search.error or _broken(exc, study.folder) from exc
        finally:
            search.leave()
            shutil.rmtree(scratch, ignore_errors=True)
        if search.error:
            raise search.error
        return stop.is_set()


def _tune(plan: Plan, room: Room, search: StudySearch, scratch: Path) -> None:
    """Ray Tune's loop. In a thread of its own: in the main one, it takes Ctrl-C for itself."""
    config = plan.config
    trainable = ray.tune.with_resources(
        ray.tune.with_parameters(TrialActor, plan=plan),
        ray.tune.PlacementGroupFactory(room.bundles),
    )
    # Not its Tuner, which pickles all it is given, the study too.
    ray.tune.run(
        trainable,
        num_samples=-1,
        search_alg=search,
        scheduler=plan.scheduler.open(config.space, epochs=plan.horizon, seed=config.seed),
        reuse_actors=True,
        trial_dirname_creator=lambda trial: str(trial.trial_id),
        name="trials",
        storage_path=str(scratch),
        max_failures=config.trial_failures,
        stop=_StopWhen(search.leaving),
        verbose=0,
        raise_on_failed_trial=False,
    )


class _StopWhen(Stopper):
    """Ends the experiment when an event is set."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Trials end by themselves."""
        return False

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray Tune keeps a copy on disk, for a use that we do not make of it

    def stop_all(self) -> bool:
        """Whether the event is set."""
        return self._stop.is_set()


def _wait(tune: Callable[[], None], stop: threading.Event, leaving: threading.Event) -> None:
    """Call `tune` in another thread; tell the search when it is to stop.

    A second Ctrl-C leaves at once; what the thread does then ends with Ray.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="qstore_ray-tune")
    tuning = pool.submit(tune)
    pool.shutdown(wait=False)
    while not tuning.done():
        wait([tuning], timeout=_WAIT_SECONDS)
        if stop.is_set():
            leaving.set()
    tuning.result()


def _broken(exc: Exception, folder: Path) -> WorkerError:
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return WorkerError(
        f"Ray Tune ended with an error: {lines[-1] if lines else type(exc).__name__}",
        field="study",
        value=str(folder),
        fix="The study has all that was done: go on with --resume.",
    )


def _stopped(folder: Path) -> InterruptedRunError:
    return InterruptedRunError(
        "the search was stopped on request",
        field="study",
        value=str(folder),
        fix=f"Go on with --resume (name {folder.name!r}).",
    )


@contextmanager
def _settings(places: int) -> Iterator[None]:
    # As many actors start at the same time; Ray Tune would start one after another.
    wanted = {**_SETTINGS, "TUNE_MAX_PENDING_TRIALS_PG": str(places)}
    before = {name: os.environ.get(name) for name in wanted}
    level = logging.getLogger("ray.tune").level
    os.environ.update(wanted)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.getLogger("ray.tune").setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
