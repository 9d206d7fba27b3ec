"""What a training leaves to the sidecar: the baseline, fitted meanwhile, and the scores."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeAlias

from qstore_ray.baseline import Baseline, BaselineTask, fit_baseline
from qstore_ray.learn.scoring import Answers, Scores, Scoring
from qstore_ray.sidecar.process import sidecar
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.model.evaluation import ScoresOf

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray


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


def fitted(baseline: AnyBaseline) -> Baseline | None:
    """The baseline; waits for one that is pending."""
    return baseline.result() if isinstance(baseline, PendingBaseline) else baseline
