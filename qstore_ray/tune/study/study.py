"""A study: the trials of one search, in storage that outlives every process.

The driver asks for a trial, has it run somewhere, and reports its epochs and how it ended:

    study = open_study("runs", "digits-tune", TuneConfig(space=space, trials=40), job=job)
    while trial := study.ask():
        study.tell(trial.number, [run(space.apply(job, trial.values))])

Every step is in the storage before it returns. A driver that is killed leaves trials marked as
running. With `resume`, each of them is failed as interrupted, and its values are put in the queue
once more, to be resumed in the same run folder; a trial that was interrupted does not count. The
new trial names the one that it repeats, so however often a resumption is itself killed, there is
one repetition.

Only the driver's process opens a study (a lock in its folder sees to it); readers need no lock.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self, TypeVar

from qstore_ray.backends.paid import PaidUsage
from qstore_ray.errors import ConfigError, DivergenceError, RunError, StorageError
from qstore_ray.train.run.origin import RunOrigin
from qstore_ray.tune.objective import Objective
from qstore_ray.tune.samplers.base import Points
from qstore_ray.tune.space.fields import Values
from qstore_ray.tune.space.space import Space
from qstore_ray.tune.study.attributes import (
    CHANGED,
    DESIGN,
    ERROR,
    EVALUATIONS,
    INTERVAL,
    RUN_ID,
    SAME_AS,
    Marks,
    counts,
    enqueue,
    fail_interrupted,
    record_usage,
    root,
)
from qstore_ray.tune.study.repeats import MOST_IN_A_ROW, Tried
from qstore_ray.tune.study.storage_errors import translated, while_away
from qstore_ray.tune.study.trial_result import Pruned, TrialFailure, TrialOutcome
from qstore_ray.tune.study.warm_start import values_of

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

T = TypeVar("T")


@dataclass(frozen=True)
class Trial:
    """One trial to run.

    Args:
        number: its number in the study.
        values: what it tries, dotted field → value; `Space.apply` makes the job.
        name: of its run folder, beside those of the other trials; a repetition has the name, and
            finds the checkpoints, of the trial that was interrupted.
        repeats: the number of the trial that it repeats, if it does.
    """

    number: int
    values: Values
    name: str
    repeats: int | None = None


class Study:
    """An opened study, locked by this process until `close`; made by `open_study`."""

    def __init__(
        self,
        folder: Path,
        study: optuna.Study,
        *,
        space: Space,
        objectives: Sequence[Objective],
        trials: int,
        points: Points | None,
        tried: Tried | None,
        where: str,
        lock: IO[str],
        origin: RunOrigin | None = None,
    ) -> None:
        self.folder = folder
        self.space = space
        self.objectives = tuple(objectives)
        self.limit = trials
        self.run_id = str(study.user_attrs[RUN_ID])
        self._study = study
        self._points = points
        self._where = where
        self._lock = lock
        self._origin = origin
        self._live: dict[int, optuna.Trial] = {}
        self._tried = tried
        self._in_a_row = 0
        self.leaving = threading.Event()
        """Set when the search is to stop: a database that is away is not waited for any more."""
        earlier = study.get_trials(deepcopy=False)
        designed = [trial.user_attrs.get(DESIGN, -1) for trial in earlier]
        self._next_point = max(designed, default=-1) + 1
        for trial in earlier:
            values = values_of(space, trial.params)
            if tried is not None and values is not None and counts(trial):
                tried.add(trial.number, values)

    @property
    def asked(self) -> int:
        """Trials that count: running here, or ended; neither waiting nor interrupted ones."""
        return self.reach(self._asked)

    def _asked(self) -> int:
        trials = self._study.get_trials(deepcopy=False)
        return sum(counts(trial) for trial in trials) - len(self._unanswered())

    @property
    def left(self) -> int:
        """Trials that may still be requested; a finite space may end before."""
        return max(0, self.limit - self.asked)

    @property
    def is_done(self) -> bool:
        """Whether no trial is left: enough were requested, or all points were tried."""
        return self.left == 0 or self.is_exhausted

    @property
    def is_exhausted(self) -> bool:
        """Whether every point of the space was tried."""
        return self.reach(lambda: not self._in_state("WAITING") and not self._has_points())

    def reach(self, call: Callable[[], T]) -> T:
        """Call something that reads or writes the study, and again while its server is away. In an
        object store, what it wrote has been uploaded when this returns.

        Raises:
            StudyError: the storage is locked, damaged, or out of reach for too long.
            StorageError: the object store is, or another driver has taken the study over.
        """
        with translated(self._where):
            result = while_away(call, self._where, self.leaving)
        if self._origin is not None:
            self._origin.flush()
        return result

    def upload(self) -> None:
        """Bring the objects of the study to the state of its folder; of a plain folder, nothing.

        Raises:
            StorageError: the object store cannot be used, or another driver has taken it over.
        """
        if self._origin is not None:
            self._origin.upload()

    def ask(self) -> Trial | None:
        """The next trial, or None when all are asked for: the limit is reached, or all is tried.

        Raises:
            StudyError: the storage cannot be written.
        """
        return self.reach(self._ask)

    def _ask(self) -> Trial | None:
        import optuna

        while self._asked() < self.limit:
            if unanswered := self._unanswered():
                trial = optuna.Trial(self._study, unanswered[0])
            elif self._in_state("WAITING") or self._enqueue_next():
                trial = self._study.ask()
            else:
                break
            self._next_point = max(self._next_point, trial.user_attrs.get(DESIGN, -1) + 1)
            values = self.space.suggest(trial)
            same = self._tried.number_of(values) if self._tried else None
            if same is not None:
                self._repeat(trial, same)
                continue
            self._in_a_row = 0
            if self._tried:
                self._tried.add(trial.number, values)
            values = trial.user_attrs.get(CHANGED, values)
            self._live[trial.number] = trial
            first, repeats = root(trial)
            return Trial(trial.number, values, f"trial-{first:04d}", repeats)
        for key in self._unanswered():
            fail_interrupted(self._study, key)
        return None

    def _unanswered(self) -> list[int]:
        """Trials that the storage has, although the connection was lost before it said so; as it
        knows them. Optuna itself asks again then, and has two of them.
        """
        running = self._in_state("RUNNING")
        return [t._trial_id for t in running if t.number not in self._live]  # noqa: SLF001

    def _repeat(self, trial: optuna.Trial, number: int) -> None:
        """End a trial with what is known of the one that has the same values."""
        from optuna.trial import TrialState

        self._in_a_row += 1
        known = self._study.get_trials(deepcopy=False)[number]
        trial.set_user_attr(SAME_AS, number)
        for epoch, value in known.intermediate_values.items():
            self._keep_value(trial, epoch, value)
        if known.state == TrialState.COMPLETE:
            self._study.tell(trial, known.values, state=TrialState.COMPLETE)
        else:  # of one that still runs nothing is known, which samplers pass over
            pruned = known.state == TrialState.PRUNED
            self._study.tell(trial, state=TrialState.PRUNED if pruned else TrialState.FAIL)

    def report(self, number: int, epoch: int, value: float) -> None:
        """Record the first objective after an epoch, from 0; of an epoch met twice, the first one.

        Raises:
            DivergenceError: the value is NaN or infinite. Nothing is recorded.
            StudyError: the storage cannot be written.
        """
        trial = self._running(number)
        if not math.isfinite(value):
            metric = self.objectives[0].metric
            raise DivergenceError(
                f"{metric} is {value} after epoch {epoch}",
                field=metric,
                value=str(value),
                fix="Take a smaller learning rate into the space.",
            )
        self.reach(lambda: self._keep_value(trial, epoch, value))

    def change(self, number: int, values: Values) -> None:
        """Record that a trial continues with other values.

        Raises:
            StudyError: the storage cannot be written.
        """
        trial = self._running(number)
        self.reach(lambda: trial.set_user_attr(CHANGED, dict(values)))

    def tell(
        self,
        number: int,
        outcome: TrialOutcome,
        *,
        circuit_evaluations: int | None = None,
        interval: tuple[float, float] | None = None,
    ) -> bool:
        """Record how a trial ended: a value for each objective, a failure, or that it was pruned.

        A value that is NaN or infinite is a failure. A second report about a trial that has
        ended changes nothing.

        Args:
            circuit_evaluations: how many it took.
            interval: of the first objective, where it is a mean over several trainings.

        Returns:
            Whether this was the trial's end.

        Raises:
            ConfigError: not as many values as objectives.
            RunError: no trial of this number runs.
            StudyError: the storage cannot be written.
        """
        if self.reach(lambda: self._ended(number)):
            return False
        trial = self._running(number)
        outcome = self._finite(outcome)
        marks: Marks = {
            EVALUATIONS: circuit_evaluations,
            INTERVAL: None if interval is None else list(interval),
            ERROR: outcome.reason if isinstance(outcome, TrialFailure) else None,
        }
        self.reach(lambda: self._end(trial, outcome, marks))
        self.upload()
        del self._live[number]
        return True

    def _end(self, trial: optuna.Trial, outcome: TrialOutcome, marks: Marks) -> None:
        from optuna.trial import TrialState

        if self._study.get_trials(deepcopy=False)[trial.number].state.is_finished():
            return  # it was written, and the connection was lost before the storage said so
        for name, value in marks.items():
            if value is not None:
                trial.set_user_attr(name, value)
        if isinstance(outcome, TrialFailure):
            self._study.tell(trial, state=TrialState.FAIL)
        elif isinstance(outcome, Pruned):
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, list(outcome), state=TrialState.COMPLETE)

    def record_usage(self, used: Mapping[str, PaidUsage]) -> None:
        """Record what run folders have used of paid hardware so far, and "" → the study.

        Raises:
            StudyError: the storage cannot be written.
        """
        self.reach(lambda: record_usage(self._study, used))

    def close(self) -> None:
        """Give up lock and lease; trials that run are repeated when the study is resumed."""
        if self._origin is not None:
            self._origin.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            # An error that is on its way is not replaced by one of the object store.
            with suppress(StorageError) if error[0] else nullcontext():
                self.upload()
        finally:
            self.close()

    def _finite(self, outcome: TrialOutcome) -> TrialOutcome:
        if isinstance(outcome, TrialFailure | Pruned):
            return outcome
        if len(outcome) != len(self.objectives):
            raise ConfigError(
                f"the study has {len(self.objectives)} objectives",
                field="values",
                value=list(outcome),
                fix="Give one value for each, in their order.",
            )
        for objective, value in zip(self.objectives, outcome, strict=True):
            if not math.isfinite(value):
                return TrialFailure(f"{objective.metric} is {value}")
        return outcome

    def _keep_value(self, trial: optuna.Trial, epoch: int, value: float) -> None:
        # Not Optuna's Trial.report, which has no place for a study of several objectives.
        keep, key = self._study._storage, trial._trial_id  # noqa: SLF001
        if epoch not in keep.get_trial(key).intermediate_values:
            keep.set_trial_intermediate_value(key, epoch, float(value))

    def _in_state(self, name: str) -> list[FrozenTrial]:
        from optuna.trial import TrialState

        return self._study.get_trials(deepcopy=False, states=(TrialState[name],))

    def _enqueue_next(self) -> bool:
        """Put the next point of a design into the queue, or one that a sampler does not find;
        whether there is anything left to try.
        """
        if not self._has_points():
            return False
        if self._points is not None:
            point = self._points(self._next_point)
            assert point is not None, "what `_has_points` has found"
            enqueue(self._study, self.space, point, {DESIGN: self._next_point})
        elif self._tried and self._in_a_row >= MOST_IN_A_ROW:
            point = self._tried.another(len(self._study.get_trials(deepcopy=False)))
            if point is None:
                return False
            enqueue(self._study, self.space, point, {})
        return True

    def _has_points(self) -> bool:
        """Whether anything is left to try; a design steps over what was tried."""
        if self._tried and self._tried.all:
            return False
        while self._points is not None and (point := self._points(self._next_point)) is not None:
            if not self._tried or self._tried.number_of(point) is None:
                return True
            self._next_point += 1
        return self._points is None

    def _ended(self, number: int) -> bool:
        if number in self._live:
            return False
        trials = self._study.get_trials(deepcopy=False)
        return number < len(trials) and trials[number].state.is_finished()

    def _running(self, number: int) -> optuna.Trial:
        if number not in self._live:
            raise RunError(
                "no trial of this number runs",
                field="number",
                value=number,
                fix=f"Running: {', '.join(map(str, self._live)) or 'none'}.",
            )
        return self._live[number]
