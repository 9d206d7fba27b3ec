"""Running the trials of a study with Ray Tune, until the last one ends or a stop request.

Ray Tune is given a search algorithm that asks the study, a trainable that is an actor for one trial
after another, and a scheduler. It decides which trial trains when. What it writes is scratch.

Runs in the driver process.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray.tune
from ray.exceptions import RayError
from ray.tune import TuneError
from ray.tune.stopper import Stopper

from qstore_ray.backends.paid import withdraw_trial
from qstore_ray.environment import environment
from qstore_ray.errors import LostClusterError, WorkerError
from qstore_ray.train.ray.beside import call_beside
from qstore_ray.train.ray.errors import meaning
from qstore_ray.train.ray.interrupt import reason_of, stop_on_signal
from qstore_ray.train.ray.side_effects import ray_is_lost
from qstore_ray.tune.driver.capacity import Room
from qstore_ray.tune.driver.search import StudySearch
from qstore_ray.tune.driver.usage import SearchUsage
from qstore_ray.tune.driver.watch import Watch
from qstore_ray.tune.schedulers.base import Result
from qstore_ray.tune.study.study import Study
from qstore_ray.tune.trial.actor import TrialActor
from qstore_ray.tune.trial.plan import SCRATCH, Plan

_SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the run folder has the metrics
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # they are counted, with their causes
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a trial that failed has none
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # Ray Tune's own records are never read
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths mean what they mean in the driver
    "RAY_AIR_NEW_OUTPUT": "0",
}
"""Of Ray Tune, for the time of a search."""


def run_experiment(study: Study, plan: Plan, room: Room, watch: Watch, usage: SearchUsage) -> str:
    """Run Ray Tune until the study is done; why it was stopped before, "" if it was not.

    Args:
        room: what a trial takes, and how many fit.
        watch: receives every report.
        usage: keeps what the trials use of paid hardware.

    Raises:
        StudyError: the study's storage is out of reach.
        WorkerError: Ray Tune ended with an error.
        LostClusterError: Ray was lost.
        KeyboardInterrupt: a signal insisted; what Ray Tune does then ends with Ray.
    """
    at_a_time = None if plan.scheduler.pauses else room.concurrency
    trainer = plan.job.trainer
    search = StudySearch(
        study,
        watch,
        at_a_time=at_a_time,
        withdraw=lambda trial: withdraw_trial(
            trainer.backend, study.run_id, trial, also=trainer.later_backends
        ),
        used=usage.refresh,
    )
    scratch, stop = study.folder / SCRATCH, threading.Event()
    try:
        with _settings(plan.places), stop_on_signal(stop):
            call_beside(
                lambda: _tune(plan, room, search, scratch), stop, on_stop=search.leaving.set
            )
    except (RayError, TuneError) as exc:
        raise search.error or _ray_tune_error(exc, study.folder) from exc
    except (KeyboardInterrupt, LostClusterError) as exc:
        search.leaving.set()  # Ray Tune's thread may still run, and takes no trial for failed
        if isinstance(exc, LostClusterError) or not ray_is_lost():
            raise
        # Ray's processes were ended together with the search: there is nothing to wait for.
    finally:
        search.leave()
        shutil.rmtree(scratch, ignore_errors=True)
    if search.error:
        raise search.error
    return reason_of(stop) if stop.is_set() else ""


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

    def __call__(self, trial_id: str, result: Result) -> bool:
        """Trials end by themselves."""
        return False

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray Tune keeps a copy on disk, for a use that we do not make of it

    def stop_all(self) -> bool:
        """Whether the event is set."""
        return self._stop.is_set()


def _ray_tune_error(exc: Exception, folder: Path) -> WorkerError:
    return WorkerError(
        f"Ray Tune ended with an error: {meaning(exc)}",
        field="study",
        value=str(folder),
        fix="The study has all that was done: continue it with existing='resume'.",
    )


@contextmanager
def _settings(places: int) -> Iterator[None]:
    # As many actors start at the same time; Ray Tune would start one after another.
    level = logging.getLogger("ray.tune").level
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    try:
        with environment({**_SETTINGS, "TUNE_MAX_PENDING_TRIALS_PG": str(places)}):
            yield
    finally:
        logging.getLogger("ray.tune").setLevel(level)
