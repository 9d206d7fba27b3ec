"""What a training leaves to the sidecar: the baseline, fitted meanwhile, and the scores."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

from qstore_ray.baseline import Baseline, BaselineTask, fit_baseline
from qstore_ray.environment import available_cpus
from qstore_ray.errors import RunError
from qstore_ray.learn.scoring import Answers, Scores, Scoring
from qstore_ray.sidecar.process import TRACKERS, sidecar
from qstore_ray.sidecar.server import load
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.mlflow.store import load_mlflow
from qstore_ray.train.config import TrainingJob
from qstore_ray.train.model.evaluation import ScoresOf
from qstore_ray.verdict import verdict

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

_OF_SCORES: Final = ("qstore_ray.verdict", "sklearn.metrics")
_OF_BASELINE: Final = ("sklearn.linear_model", "sklearn.multiclass", "sklearn.pipeline")
_OF_FIGURES: Final = (
    "qstore_ray.train.report.page", "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
)  # fmt: skip
_OF_MLFLOW: Final = ("qstore_ray.track.mlflow.tracker", "mlflow.store.tracking.sqlalchemy_store")
_CPUS: Final = 3
"""One for the driver, and one for each sidecar."""


def begin_beside(job: TrainingJob) -> None:
    """Let the sidecars import what a training in this process will ask of them, on other CPUs.

    Nothing is waited for. On fewer than three CPUs a sidecar begins at the first step, which is an
    eighth sooner so, and the whole is over at the same time; so it does beside Ray, whose start
    keeps all CPUs busy. Imports are not of a lower priority: the threads of the training would
    leave them no time, and what waits for them at the end uses one CPU.
    """
    if job.trainer.max_workers or available_cpus() < _CPUS:
        return
    with suppress(RunError):  # said when a sidecar is needed
        wanted = _OF_SCORES + _OF_BASELINE * job.baseline + _OF_FIGURES * job.track.figures
        sidecar().submit("beginning", load, wanted)
        if job.track.mlflow and not job.track.mlflow_system_metrics:
            trackers = sidecar(TRACKERS)
            trackers.submit("beginning", load_mlflow)
            trackers.submit("beginning", load, _OF_MLFLOW)


class PendingBaseline:
    """A baseline that is not there yet. Used in the driver process, by any thread."""

    def __init__(self, task: BaselineTask) -> None:
        self._task = task
        self._lock = threading.Lock()
        self._fitted: Future[Baseline] | None = None

    def start(self) -> Future[Baseline]:
        """Begin to fit it, if that has not begun.

        Raises:
            RunError: the sidecar cannot be started.
        """
        with self._lock:
            if self._fitted is None:
                self._fitted = sidecar().submit("scores", fit_baseline, self._task)
            return self._fitted

    def result(self) -> Baseline:
        """Wait until it is fitted.

        Raises:
            RunError: the sidecar ended first.
        """
        return self.start().result()


AnyBaseline: TypeAlias = Baseline | PendingBaseline | None


def scores_of(track: TrackConfig, baseline: AnyBaseline) -> ScoresOf:
    """How metrics are computed: in the sidecar, if trackers, figures or the baseline need one."""
    asked = track.figures or bool(track.wanted()) or isinstance(baseline, PendingBaseline)
    return scores_beside if asked else Scoring.scores


def scores_beside(
    scoring: Scoring, y: AnyArray, answers: Answers, names: Sequence[str], weight: FloatArray | None
) -> Scores:
    """`Scoring.scores`, computed in the sidecar."""
    call = sidecar().submit("scores", Scoring.scores, scoring, y, answers, names, weight)
    return call.result()


VerdictOf: TypeAlias = Callable[
    ["AnyArray", Answers, Baseline, Sequence[str], "FloatArray | None"],
    tuple[str, dict[str, float]],
]
"""`verdict`, or what gives the same."""


def verdict_beside(
    y: AnyArray,
    model: Answers,
    baseline: Baseline,
    class_names: Sequence[str],
    weight: FloatArray | None,
) -> tuple[str, dict[str, float]]:
    """`verdict`, computed in the sidecar."""
    return sidecar().submit("scores", verdict, y, model, baseline, class_names, weight).result()


def fitted(baseline: AnyBaseline) -> Baseline | None:
    """The baseline; waits for one that is pending."""
    return baseline.result() if isinstance(baseline, PendingBaseline) else baseline
