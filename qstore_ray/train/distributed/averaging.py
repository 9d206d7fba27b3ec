"""Local SGD: which steps workers take alone, and what they exchange in the others.

A step is alone, or in step with the others. In step, each worker's parameters, optimizer arrays and
own sums travel with its part of the gradient, in one sum; the mean of the parameters is where all
of them continue. So with a period of 1 nothing else travels, and nothing else happens, than in any
training. The last step of an epoch is in step: validation and checkpoints see one model.

With a delay a mean is asked for after a step alone and arrives D steps later. Between two epochs
workers have parameters of their own then, and a checkpoint that is written there has those of all.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from qstore_ray.learn.distributed.config import AveragingConfig
from qstore_ray.learn.distributed.period import period_for
from qstore_ray.train.run.state import TrainState

if TYPE_CHECKING:
    from qstore_ray.learn.distributed.compression import SumsOfWorkers
    from qstore_ray.types import AnyArray, FloatArray

_PERIOD, _OWN = "averaging.period", "averaging.own"
_OWN_SUMS = 6  # loss, rows, correct, gradient norm, circuits, shots
_WARM_UP, _MEASURED, _SUMS = 2, 5, 5


class SumsWithNotes(Protocol):
    """The part of a `TrainingObjective` that is needed here."""

    usage: FloatArray
    along: FloatArray

    def take_along(self) -> FloatArray:
        """Σ over workers of what `along` was."""
        ...

    def take_usage(self) -> FloatArray:
        """Circuits and shots of this worker (2,)."""
        ...

    def begin(self, values: FloatArray) -> Callable[[], FloatArray]:
        """Σ over workers, later."""
        ...


class _UnderWay(NamedTuple):
    """A mean that was asked for in a step: the parameters then, and what waits for the sum."""

    step: int
    theta: FloatArray
    finish: Callable[[], FloatArray]


class Averager:
    """The exchange of one worker. Used in every worker, by all in the same order.

    Args:
        reducer: between the workers, for measuring it and for checkpoints.

    Attributes:
        period: H; None while it is measured.
    """

    def __init__(
        self, config: AveragingConfig, reducer: SumsOfWorkers, steps_per_epoch: int
    ) -> None:
        self.period: int | None = None if config.period == "auto" else config.period
        self._config = config
        self._reducer = reducer
        self._last = steps_per_epoch - 1
        self._sums: FloatArray = np.zeros(_OWN_SUMS)
        self._apart = False
        self._under_way: _UnderWay | None = None
        self._seconds: list[float] = []
        self._note: dict[str, float] = {}

    def is_alone(self, place: int) -> bool:
        """Whether a worker takes the step at this place of an epoch, from 0, by itself."""
        if self.period is None or place >= self._last:
            return False
        return bool(self._config.delay) or (place + 1) % self.period != 0

    # ------------------------------------------------------------------------------ steps in step

    def leaves(self, state: TrainState, objective: SumsWithNotes) -> float:
        """Before a step that all take: what this worker has of its own goes along with the sum."""
        if self._apart:
            objective.along = np.concatenate([_flat(state), self._sums])
        return time.perf_counter()

    def met(self, state: TrainState, objective: SumsWithNotes, began: float) -> TrainState:
        """After the sum: the mean of the workers' parameters and optimizers."""
        if self.period is None:
            self._measure(time.perf_counter() - began, state)
        if not self._apart:
            return state
        summed = objective.take_along()
        state = self._counted(state, summed[-_OWN_SUMS:], objective)
        self._apart = False
        return _unflat(state, summed[:-_OWN_SUMS] / self._reducer.world_size)

    # -------------------------------------------------------------------------------- steps alone

    def went(
        self, state: TrainState, found: FloatArray, objective: SumsWithNotes
    ) -> tuple[TrainState, FloatArray | None]:
        """After a step alone to `state`, whose loss, rows, correct and gradient norm are `found`.

        Where this worker continues; with a delay, also the mean (P,) that has arrived, if one has.
        """
        self._apart = True
        found = np.append(found, objective.take_usage())
        found[3] /= self._reducer.world_size
        self._sums = self._sums + found
        mean = None
        if not self._config.delay or self.period is None:
            return state, mean
        if self._under_way and state.step == self._under_way.step + self._config.delay:
            state, mean = self._arrived(state, self._under_way, objective)
        place = state.step_in_epoch  # of the next step
        if place % self.period == 0 and place + self._config.delay <= self._last:
            summed = objective.begin(np.concatenate([state.theta, self._sums]))
            self._under_way = _UnderWay(state.step, state.theta, summed)
            self._sums = np.zeros(_OWN_SUMS)
        return state, mean

    def _arrived(
        self, state: TrainState, asked: _UnderWay, objective: SumsWithNotes
    ) -> tuple[TrainState, FloatArray]:
        summed, self._under_way = asked.finish(), None
        own = self._sums
        state = self._counted(state, summed[-_OWN_SUMS:], objective)
        self._sums = own  # of the steps since
        mean = summed[:-_OWN_SUMS] / self._reducer.world_size
        return replace(state, theta=mean + (state.theta - asked.theta)), mean

    def _counted(
        self, state: TrainState, summed: FloatArray, objective: SumsWithNotes
    ) -> TrainState:
        """The sums of steps alone are those of all workers now."""
        self._sums = np.zeros(_OWN_SUMS)
        objective.usage = objective.usage + summed[4:]
        return replace(state, sums=state.sums + summed[:4], usage=objective.usage)

    # ---------------------------------------------------------------------------------- the period

    def _measure(self, seconds: float, state: TrainState) -> None:
        """Keep the seconds of a step; after enough of them, choose the period for all."""
        self._seconds.append(seconds)
        if len(self._seconds) < _WARM_UP + _MEASURED:
            return
        message = np.zeros(len(_flat(state)) + _OWN_SUMS)
        taken = []
        for _ in range(1 + _SUMS):  # the first waits for the slowest worker
            began = time.perf_counter()
            self._reducer.all_reduce(message)
            taken.append(time.perf_counter() - began)
        sum_seconds = statistics.median(taken[1:])
        step_seconds = max(0.0, statistics.median(self._seconds[_WARM_UP:]) - sum_seconds)
        period = period_for(sum_seconds, step_seconds, self._config.overhead)
        first = self._reducer.rank == 0
        period = int(self._reducer.all_reduce(np.array([float(period) if first else 0.0]))[0])
        self.period = max(period, self._config.delay + 1)
        self._note = {
            "period": self.period, "sum_seconds": sum_seconds, "step_seconds": step_seconds,
        }  # fmt: skip

    def take_note(self) -> dict[str, float]:
        """The period and the seconds that it was chosen by, once; else nothing."""
        note, self._note = self._note, {}
        return note

    # -------------------------------------------------------------------------------- checkpoints

    def arrays(self, state: TrainState) -> dict[str, AnyArray]:
        """What a checkpoint has of all workers beside `state`. Called in all of them."""
        found: dict[str, AnyArray] = {_PERIOD: np.array(self.period or 0)}
        if self._config.delay and state.step_in_epoch:
            assert self._under_way is None, "a checkpoint is asked for with a mean that arrived"
            own = np.concatenate([_flat(state), self._sums])
            rows = np.zeros((self._reducer.world_size, len(own)))
            rows[self._reducer.rank] = own
            found[_OWN] = self._reducer.all_reduce(rows)
        return found

    def resume(self, state: TrainState, arrays: Mapping[str, AnyArray]) -> TrainState:
        """The state of this worker, from that of a checkpoint."""
        if _PERIOD in arrays:
            self.period = int(arrays[_PERIOD]) or self.period
        if _OWN not in arrays:
            return state
        own = arrays[_OWN][self._reducer.rank]
        self._sums, self._apart = own[-_OWN_SUMS:], True
        return _unflat(state, own[:-_OWN_SUMS])


def _flat(state: TrainState) -> FloatArray:
    """Parameters and optimizer arrays, one behind the other."""
    arrays = [np.ravel(state.optimizer[name]) for name in sorted(state.optimizer)]
    return np.concatenate([state.theta, *arrays])


def _unflat(state: TrainState, flat: FloatArray) -> TrainState:
    """The state with parameters and optimizer arrays from `_flat`."""
    start = len(state.theta)
    optimizer = {}
    for name in sorted(state.optimizer):
        like = state.optimizer[name]
        optimizer[name] = flat[start : start + like.size].reshape(like.shape)
        start += like.size
    return replace(state, theta=flat[: len(state.theta)], optimizer=optimizer)
