"""What Ray Tune's loop does with a scheduler, in one process: trials take turns, an epoch each.

Trials are Ray's own objects; only what runs them is missing. A trial's turn is one epoch whether
it is reported or not, so that two loops that report differently go through the same history.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ray.tune import Checkpoint
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from qstore_ray.tune.schedulers.base import Result
from qstore_ray.tune.space.fields import Values
from qstore_ray.tune.space.space import Space

Score = Callable[[int, int, Values], float]  # of trial, epoch and values


class Loop:
    """The part of Ray's TuneController that schedulers know."""

    search_alg = None

    def __init__(
        self,
        scheduler: TrialScheduler,
        points: Sequence[Values],
        score: Score,
        *,
        price: Callable[[int], int] = lambda _: 1,
    ) -> None:
        # Any: this loop stands for Ray's controller, and Ray's trials have few types.
        self.scheduler: Any = scheduler
        self._score, self._price = score, price
        self.trials: list[Any] = [
            Trial("any", stub=True, trial_id=str(k), config={"number": k, "name": "", "values": v})
            for k, v in enumerate(points)
        ]
        self.epochs = dict.fromkeys(self.trials, 0)
        self.acted: set[int] = set()  # epochs after which anything but "go on" was answered
        self.courses: list[tuple[str, int, Values]] = []  # who took over what, and when
        self.saved: dict[Any, int] = {}

    def get_trials(self) -> list[Trial]:
        """All trials."""
        return self.trials

    def get_live_trials(self) -> list[Trial]:
        """The trials that have not ended."""
        return [trial for trial in self.trials if not trial.is_finished()]

    def _schedule_trial_save(self, trial: Any, result: Result) -> Checkpoint:
        self.saved[trial] = self.epochs[trial]
        return Checkpoint(path=f"/any/{trial.trial_id}/{self.epochs[trial]}")

    def pause_trial(self, trial: Any, should_checkpoint: bool = True) -> None:
        """The trial waits."""
        trial.set_status(Trial.PAUSED)

    def stop_trial(self, trial: Any) -> None:
        """The trial ends, whatever it does."""
        if trial.is_finished():
            return
        if trial.status in (Trial.PENDING, Trial.PAUSED):
            self.scheduler.on_trial_remove(self, trial)
        else:
            self.scheduler.on_trial_complete(self, trial, self._result(trial))
        trial.set_status(Trial.TERMINATED)

    def fail(self, trial: Any) -> None:
        """The trial fails, and the scheduler hears of it."""
        self.scheduler.on_trial_error(self, trial)
        trial.set_status(Trial.ERROR)

    def run(
        self,
        epochs: int,
        reports: Callable[[int], bool] = lambda _: True,
        *,
        at_once: int | None = None,
        fails: Callable[[int, int], bool] = lambda *_: False,
    ) -> dict[str, int]:
        """Epochs of every trial when nothing runs any more."""
        for trial in self.trials:
            self.scheduler.on_trial_add(self, trial)
        while True:
            running = [trial for trial in self.trials if trial.status == Trial.RUNNING]
            while len(running) < (at_once or len(self.trials)):
                chosen = self.scheduler.choose_trial_to_run(self)
                if chosen is None:
                    break
                chosen.set_status(Trial.RUNNING)
                running.append(chosen)
            if not running:
                return {trial.trial_id: self.epochs[trial] for trial in self.trials}
            for trial in running:
                if trial.status == Trial.RUNNING:
                    self._turn(trial, epochs, reports, fails)

    def _turn(
        self,
        trial: Any,
        epochs: int,
        reports: Callable[[int], bool],
        fails: Callable[[int, int], bool],
    ) -> None:
        self.epochs[trial] = epoch = self.epochs[trial] + 1
        if fails(trial.config["number"], epoch):
            self.fail(trial)
        elif epoch == epochs:
            self.stop_trial(trial)
        elif reports(epoch):
            config = trial.config
            action = self.scheduler.on_trial_result(self, trial, self._result(trial))
            if action != TrialScheduler.CONTINUE:
                self.acted.add(epoch)
            if trial.config is not config:  # has taken over another's
                saves = trial.run_metadata.checkpoint_manager
                latest = saves._latest_checkpoint_result  # noqa: SLF001 — the one name Ray has
                self.epochs[trial] = latest.metrics["epoch"]
                self.courses.append((trial.trial_id, epoch, trial.config["values"]))
            if action == TrialScheduler.STOP:
                self.stop_trial(trial)
            elif action == TrialScheduler.PAUSE:
                trial.set_status(Trial.PAUSED)

    def _result(self, trial: Any) -> Result:
        number, epoch = trial.config["number"], self.epochs[trial]
        return {
            "score": self._score(int(trial.trial_id), epoch, trial.config["values"]),
            "epoch": epoch,
            "circuit_evaluations": epoch * self._price(number),
            "seconds": 0.1 * epoch,
        }


def points_of(space: Space, count: int, rng: Any) -> list[Values]:
    """So many points of the space, drawn by `rng`."""
    return [space.at([float(u) for u in rng.random(len(space.order))]) for _ in range(count)]
