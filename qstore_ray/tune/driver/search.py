"""Ray Tune's side of a study: which trial is next, and what became of each.

Ray Tune asks for trials and delivers their reports; both go straight into the study, on the
disk first. So Tune's own state may be lost at any moment. (Its `OptunaSearch` leaves
trials of a killed driver running forever, and supports neither causes nor fixed designs.)

A trial's id in Ray Tune is the name of its run folder. Runs in the driver process, in the thread of
Ray Tune's loop.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from ray.tune.experiment.config_parser import _create_trial_from_spec, _make_parser
from ray.tune.search import SearchAlgorithm

from qstore_ray.errors import BudgetReachedError, QStoreError
from qstore_ray.train.ray.errors import meaning
from qstore_ray.tune.schedulers.base import Result
from qstore_ray.tune.study import study as studies
from qstore_ray.tune.study.study import Study
from qstore_ray.tune.study.trial_result import Pruned, TrialFailure, TrialOutcome
from qstore_ray.tune.trial.messages import BudgetReport, FinalReport, Message, message_of
from qstore_ray.types import Table

if TYPE_CHECKING:
    from ray.tune.experiment import Experiment, Trial


class Watcher(Protocol):
    """Receives the events of a search, in the driver process; no call may block."""

    def trial_started(self, trial: studies.Trial) -> None:
        """A trial was requested."""
        ...

    def trial_reported(self, trial: studies.Trial, epochs: Sequence[tuple[int, float]]) -> None:
        """Epochs, from 0, each with the first objective's value."""
        ...

    def trial_ended(
        self, trial: studies.Trial, outcome: TrialOutcome, report: FinalReport | None
    ) -> None:
        """A trial ended, a completed one with a report."""
        ...

    def trials_left(self, running: Sequence[studies.Trial]) -> None:
        """The search stops while these trials run."""
        ...


class StudySearch(SearchAlgorithm):
    """Gives Ray Tune the trials of a study.

    Args:
        at_a_time: trials that run; None if the scheduler needs all of them to exist.
        withdraw: called with the name of a trial that ended early, which may have left something
            that waits.
        used: called with the name of a trial that has ended and its metrics, before the study has
            its end: what it used of paid hardware is kept then, however the driver ends.
    """

    def __init__(
        self,
        study: Study,
        watcher: Watcher,
        *,
        at_a_time: int | None,
        withdraw: Callable[[str], None] = lambda _: None,
        used: Callable[[str, Mapping[str, float]], object] = lambda *_: None,
    ) -> None:
        self._withdraw = withdraw
        self._used = used
        self._study = study
        self._watcher = watcher
        self._at_a_time = at_a_time
        self._spec: Table = {}
        self._parser = _make_parser()
        self._running: dict[str, studies.Trial] = {}
        self._trials: dict[str, Trial] = {}
        self.error: QStoreError | None = None
        """What went wrong with the study; the search is left then."""
        self.leaving = study.leaving
        """Set when the search is to stop: trials that run are left as they are, to be repeated."""

    def add_configurations(
        self, experiments: Experiment | list[Experiment] | dict[str, Table]
    ) -> None:
        """Take the experiment that trials are made for."""
        assert isinstance(experiments, list), "what ray.tune.run gives"
        (experiment,) = experiments
        self._spec = experiment.spec

    def next_trial(self) -> Trial | None:
        """The next trial, if there is one and it may run."""
        full = self._at_a_time is not None and len(self._running) >= self._at_a_time
        if self._finished or self.leaving.is_set() or full:
            return None
        with self._kept():
            trial = self._study.ask()
            if trial is None:
                self._finished = True
                return None
            self._running[trial.name] = trial
            self._watcher.trial_started(trial)
            spec = {**copy.copy(self._spec), "config": {"values": trial.values}}
            made: Trial = _create_trial_from_spec(spec, self._parser, trial_id=trial.name)
            self._trials[trial.name] = made
            return made
        return None

    def on_trial_result(self, trial_id: str, result: Result) -> None:
        """Record the epochs of a report."""
        if trial_id in self._running:
            with self._kept():
                self._record(self._running[trial_id], message_of(result))

    def on_trial_complete(
        self, trial_id: str, result: Result | None = None, error: bool = False
    ) -> None:
        """Record how a trial ended, unless the search is being left."""
        trial, made, result = self._running.get(trial_id), self._trials.get(trial_id), result or {}
        if trial is None or (self.leaving.is_set() and not result.get("done")):
            return
        with self._kept():
            self._end(trial, made, message_of(result), error)

    def leave(self) -> None:
        """Report the trials that have not ended to the watcher; nothing runs any more."""
        self._watcher.trials_left(list(self._running.values()))

    def _end(
        self, trial: studies.Trial, made: Trial | None, message: Message | None, error: bool
    ) -> None:
        outcome: TrialOutcome
        report: FinalReport | None = None
        self._record(trial, message)  # Ray Tune delivers the message that ends a trial here only
        if error:
            outcome = TrialFailure(_death(made))
        elif message is None:
            outcome = Pruned()
        elif "failure" in message:
            outcome = TrialFailure(message["failure"])
        elif "limit" in message:
            if not message["limit"].startswith("trial_budget"):
                raise _budget_error(message)  # the study's: the trial is left, to be continued
            outcome = Pruned(message["reason"])
        elif "values" in message:
            outcome, report = message["values"], message
        else:
            outcome = Pruned()
        self._used(trial.name, report["metrics"] if report else {})
        self._study.tell(
            trial.number,
            outcome,
            circuit_evaluations=None if message is None else _evaluations(message),
            interval=_interval(report),
        )
        del self._running[trial.name], self._trials[trial.name]
        self._watcher.trial_ended(trial, outcome, report)
        if report is None:
            self._withdraw(trial.name)

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Keep an error for the driver, and leave: Ray Tune would log it and continue."""
        try:
            yield
        except QStoreError as exc:
            self.error = self.error or exc
            self.leaving.set()

    def _record(self, trial: studies.Trial, message: Message | None) -> None:
        now = self._trials[trial.name].config["values"]
        if now != trial.values:  # a scheduler has changed them
            self._study.change(trial.number, now)
            trial = self._running[trial.name] = replace(trial, values=now)
        epochs = message["progress"] if message and "progress" in message else []
        for epoch, value in epochs:
            self._study.report(trial.number, epoch, value)
        self._watcher.trial_reported(trial, epochs)


def _death(trial: Trial | None) -> str:
    """Why the process of a trial was given up, in a line."""
    error = trial.get_error() if trial else None
    return f"Ray gave it up: {meaning(error) if error else 'no message'}"


def _budget_error(message: BudgetReport) -> BudgetReachedError:
    return BudgetReachedError(
        message["reason"],
        field=message["limit"],
        fix="Continue the search with existing='resume' and a larger limit.",
    )


def _evaluations(message: Message) -> int | None:
    if "failure" in message or "limit" in message:
        return None
    return message["circuit_evaluations"]


def _interval(report: FinalReport | None) -> tuple[float, float] | None:
    spread = report and report["spread"]
    if not spread:
        return None
    low, high = spread["low"], spread["high"]
    return None if low is None or high is None else (low, high)
