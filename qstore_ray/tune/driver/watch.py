"""What the driver makes of the events of a search: records for the trackers, and something to see.

Runs in the driver process, in the thread of Ray Tune's loop; nothing here waits for a tracker.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from qstore_ray.track.base import Status
from qstore_ray.train.run.origin import refresh_trial
from qstore_ray.tune.driver.display import BestTrial, SearchDisplay
from qstore_ray.tune.driver.tracking import SearchTracking
from qstore_ray.tune.objective import Objective
from qstore_ray.tune.study.result import StudyResult
from qstore_ray.tune.study.study import Trial
from qstore_ray.tune.study.trial_result import Pruned, TrialFailure, TrialOutcome, TrialResult
from qstore_ray.tune.trial.epoch_reports import score
from qstore_ray.tune.trial.messages import FinalReport
from qstore_ray.tune.trial.plan import Plan
from qstore_ray.types import ReadOnlyTable, Table


class Watch:
    """Hands the events of a search to its trackers and to its display.

    Args:
        earlier: what the study had when it was opened.
        used: name of a trial → what it has used of paid hardware, as metrics.
    """

    def __init__(
        self,
        plan: Plan,
        tracking: SearchTracking,
        display: SearchDisplay | None,
        earlier: StudyResult,
        used: Callable[[str], Mapping[str, float]] = lambda _: {},
    ) -> None:
        self._used = used
        self._plan = plan
        self._tracking = tracking
        self._display = display
        self._first: Objective = plan.config.objectives[0]
        self._best = -math.inf
        self._ended = 0
        for trial in earlier.trials:
            self._catch_up(trial)
        if display:
            display.start(
                earlier.study,
                plan.config.trials,
                self._first.metric,
                self._ended,
                mode=self._first.mode,
                best=self._best_trial(earlier),
            )

    def trial_started(self, trial: Trial) -> None:
        """Follow its run folder, and show it."""
        job = self._plan.trial_job(trial.name, trial.values)
        run_dir = self._plan.folder / trial.name
        self._tracking.begin(trial.number, run_dir, trial.values, job.to_dict())
        if self._display:
            self._display.trial_started(trial.number, trial.values)

    def trial_reported(self, trial: Trial, epochs: Sequence[tuple[int, float]]) -> None:
        """Show how far it is."""
        if self._display and epochs:
            epoch, value = epochs[-1]
            self._display.epoch(trial.number, epoch + 1, value)

    def trial_ended(self, trial: Trial, outcome: TrialOutcome, report: FinalReport | None) -> None:
        """Record it, and show how it ended."""
        refresh_trial(self._plan.folder / trial.name)
        status, values, reason = _told(outcome)
        summary: Table = {"outcome": status}
        if report is not None:
            summary |= {**report["metrics"], **_interval(report)}
        if reason:
            summary["error"] = reason
        summary |= self._used(trial.name)
        self._record(trial.number, status, values, summary)
        if self._display:
            value = values[0] if values else None
            self._display.trial_ended(trial.number, status, value, reason)

    def trials_left(self, running: Sequence[Trial]) -> None:
        """The search stops; a resumed search repeats the running trials."""
        for trial in running:
            self._tracking.end(trial.number, "interrupted", self._used(trial.name))
            if self._display:
                self._display.trial_ended(trial.number, "interrupted", None, None)

    def _record(
        self, number: int, status: str, values: Sequence[float], summary: ReadOnlyTable
    ) -> None:
        record: dict[str, float] = {}
        if values:
            self._best = max(self._best, score(self._first, values[0]))
            names = [objective.metric for objective in self._plan.config.objectives]
            record = {"value": values[0], **dict(zip(names, values, strict=True))}
        if math.isfinite(self._best):
            record["best_value"] = score(self._first, self._best)  # the sign turned back
        self._tracking.end(number, _ending(status), summary, record)

    def _catch_up(self, trial: TrialResult) -> None:
        """A trial of an earlier driver, which may have been killed before it was recorded."""
        if trial.status not in ("completed", "pruned", "failed"):
            return
        self._ended += 1
        values = list(trial.objectives.values()) if trial.status == "completed" else []
        summary: Table = {"outcome": trial.status, **self._used(trial.run)}
        if trial.error:
            summary["error"] = trial.error
        self._record(trial.number, trial.status, values, summary)
        run_dir = self._plan.folder / trial.run
        self._tracking.make_up(run_dir, _ending(trial.status), summary)

    def _best_trial(self, earlier: StudyResult) -> BestTrial | None:
        if not earlier.best:
            return None
        best = earlier.best_trials()[0]
        return BestTrial(best.number, best.objectives[self._first.metric], best.parameters)


def _interval(report: FinalReport) -> dict[str, object]:
    """The spread of the first objective over the parts of a trial, one field a number."""
    spread = report["spread"]
    if spread is None:
        return {}
    return {f"objective_{name}": value for name, value in spread.items() if value is not None}


def _ending(status: str) -> Status:
    """Of a trial, in the words of a run."""
    return "failed" if status == "failed" else "finished"


def _told(outcome: TrialOutcome) -> tuple[str, Sequence[float], str | None]:
    if isinstance(outcome, TrialFailure):
        return "failed", (), outcome.reason
    if isinstance(outcome, Pruned):
        return "pruned", (), outcome.reason
    return "completed", outcome, None


def artifacts_of(folder: Path) -> list[Path]:
    """The files of a study that trackers keep a copy of."""
    names = ("config.toml", "result.json", "best.toml", "report.html")
    return [folder / name for name in names if (folder / name).exists()]
