"""One step of training: from a state to the next one.

The learning rate comes from the schedule; the optimizer gets a gradient, or asks the objective for
what else it needs. All workers take the same step, with the same bits.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.errors import DivergenceError
from qstore_ray.learn import step as blocks
from qstore_ray.learn.clipping import clip_by_norm, clip_by_value
from qstore_ray.learn.diagnostics.stopping import direction
from qstore_ray.learn.optimizers import get_optimizer
from qstore_ray.learn.optimizers.base import Optimizer, SearchOptimizer
from qstore_ray.learn.schedules import Horizon, Tick, get_schedule
from qstore_ray.train.callbacks.run import Batch
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.distributed.compressing import CompressedSums
from qstore_ray.train.distributed.exchange import GradientExchange
from qstore_ray.train.loop.objective import RowSelection, TrainingObjective
from qstore_ray.train.loop.problem import BatchProblem
from qstore_ray.train.privacy.steps import PrivateTraining
from qstore_ray.train.run.state import TrainState

if TYPE_CHECKING:
    from collections.abc import Callable

    from qstore_ray.types import FloatArray


class _Moved(NamedTuple):
    """After an optimizer's update.

    Attributes:
        sums: over the batch. gradient: the mean of it (P,); of a private run, with its noise.
        blocks: those of its blocks, (blocks, P + 3) or (blocks, 3).
        theta: the next parameters. optimizer: its next state.
    """

    sums: blocks.Sums
    gradient: FloatArray
    blocks: FloatArray
    theta: FloatArray
    optimizer: dict[str, FloatArray]


class Stepper:
    """Takes the steps of a run. Used in every worker, by all in the same order.

    Args:
        private: of a private run: clips rows, adds the noise, counts what is spent.
        correction: changes each gradient (P,) at θ (P,) before the optimizer follows it.
        exchange: of workers that do not add up every gradient as it is.
    """

    def __init__(
        self,
        config: TrainerConfig,
        objective: TrainingObjective,
        private: PrivateTraining | None = None,
        correction: Callable[[FloatArray, FloatArray], FloatArray] | None = None,
        exchange: GradientExchange | None = None,
    ) -> None:
        self._config = config
        self._averager, self._compressed = exchange or GradientExchange()
        self._correction = correction
        self._private = private
        self._objective = objective
        self._schedule = get_schedule(config.schedule, config.schedule_options)
        self._larger_is_better = config.monitor is not None and direction(config.monitor) is True
        optimizer = get_optimizer(config.optimizer, config.optimizer_options)
        self._init = optimizer.init
        # Decided once: isinstance of a protocol takes 40 µs, as long as a small step.
        self._search = optimizer if isinstance(optimizer, SearchOptimizer) else None
        self._optimizer = optimizer if isinstance(optimizer, Optimizer) else None

    def begin(self, theta: FloatArray, horizon: Horizon) -> TrainState:
        """The state before the first step."""
        return TrainState(
            theta=theta,
            optimizer=self._init(theta),
            schedule=self._schedule.init(horizon),
            sums=np.zeros(4),
            learning_rate=self._config.learning_rate,
            privacy={} if self._private is None else self._private.init(),
        )

    def step(self, state: TrainState, rows: RowSelection) -> tuple[TrainState, Batch]:
        """The state after a step over the rows of one batch.

        Raises:
            DivergenceError: loss, gradient or parameters became NaN or infinite.
        """
        begins = state.step_in_epoch == 0
        self._objective.for_training(self._config.seed, state.step)
        metric = state.metric if begins and np.isfinite(state.metric) else None
        averager = self._averager
        alone = averager is not None and averager.is_alone(state.step_in_epoch)
        # What overflows in a run that diverges is checked here, on every worker alike.
        with np.errstate(over="ignore", invalid="ignore"):
            tick = Tick(begins, metric, self._larger_is_better)
            factor, schedule = self._schedule.update(dict(state.schedule), tick)
            learning_rate = self._config.learning_rate * factor
            if self._search is not None:
                moved = self._searched(self._search, state, rows, learning_rate)
            elif alone:
                moved = self._alone(state, rows, learning_rate)
            elif self._compressed is not None:
                moved = self._in_part(self._compressed, state, rows, learning_rate)
            else:
                state, moved = self._together(state, rows, learning_rate)
            sums, theta, gradient = moved.sums, moved.theta, moved.gradient
            norm = math.sqrt(gradient @ gradient)
        found = np.array([sums.loss, sums.n_rows, sums.correct, norm])
        if not alone:
            _check_finite(state.step, sums.loss, norm, theta)
        after = replace(
            state,
            theta=theta,
            optimizer=moved.optimizer,
            schedule=schedule,
            sums=state.sums if alone else state.sums + found,
            learning_rate=learning_rate,
            step_in_epoch=state.step_in_epoch + 1,
            step=state.step + 1,
            samples=state.samples + rows.count,
            usage=self._objective.usage,
            privacy={} if self._private is None else self._private.update(state),
        )
        if alone and averager is not None:
            after, arrived = averager.went(after, found, self._objective)
            if arrived is not None:  # the same on every worker
                _check_finite(state.step, float(after.sums[0]), float(after.sums[3]), arrived)
        loss = sums.loss / sums.n_rows if sums.n_rows else math.nan
        return after, Batch(loss, gradient, rows.count, moved.blocks)

    def _together(
        self, state: TrainState, rows: RowSelection, learning_rate: float
    ) -> tuple[TrainState, _Moved]:
        """A step that all workers take, from where they meet."""
        averager, at = self._averager, state.theta
        began = 0.0 if averager is None else averager.leaves(state, self._objective)
        clip = None if self._private is None else self._private.clip
        found = [self._objective.gradient(at, part, clip) for part in rows.split(self._size(rows))]
        if averager is not None:
            state = averager.met(state, self._objective, began)
        sums = blocks.added([blocks.total(part) for part in found])
        seen = found[0] if len(found) == 1 else np.concatenate(found)
        if self._private is None:
            gradient = sums.gradient / sums.n_rows
        else:
            gradient, seen = self._private.release(sums, state.step), seen[:0]  # none without noise
        return state, self._followed(state, sums, gradient, seen, learning_rate)

    def _size(self, rows: RowSelection) -> int:
        """Rows whose gradients are computed at a time.

        A Poisson batch has a few more or fewer than were asked for; those are no batch of their
        own, which would cost as much as the others.
        """
        if self._private is None:
            return self._config.batch_size
        share = -(-rows.count // (self._config.accumulate * blocks.BLOCK)) * blocks.BLOCK
        return max(self._config.batch_size, share)

    def _alone(self, state: TrainState, rows: RowSelection, learning_rate: float) -> _Moved:
        """A step of this worker along the gradient over its own part of the batch.

        Whoever has no rows, or is nowhere any more, stays: all of them learn of a divergence when
        they meet.
        """
        nothing = np.zeros_like(state.theta)
        if not np.isfinite(state.theta).all():
            stays = blocks.Sums(nothing, 0.0, 0.0, 0.0)
            return _Moved(stays, nothing, nothing[:0], state.theta, dict(state.optimizer))
        sums, seen = self._own(state, rows)
        if not sums.n_rows:
            return _Moved(sums, nothing, seen, state.theta, dict(state.optimizer))
        return self._followed(state, sums, sums.gradient / sums.n_rows, seen, learning_rate)

    def _in_part(
        self,
        compressed: CompressedSums,
        state: TrainState,
        rows: RowSelection,
        learning_rate: float,
    ) -> _Moved:
        """A step along the sum of what the workers send of their parts of the gradient."""
        own, seen = self._own(state, rows)
        # A failure in one worker is raised in all by this sum, before anything is compressed.
        loss, n_rows, correct = self._objective.add_up(np.array(own[1:])).tolist()
        gradient = compressed.add_up(own.gradient / rows.count)
        sums = blocks.Sums(gradient, loss, n_rows, correct)
        return self._followed(state, sums, gradient, seen, learning_rate)

    def _own(self, state: TrainState, rows: RowSelection) -> tuple[blocks.Sums, FloatArray]:
        """Sums over this worker's part of a batch, and their blocks."""
        seen = np.concatenate(
            [
                self._objective.own_gradient(state.theta, part)
                for part in rows.split(self._config.batch_size)
            ]
        )
        return blocks.total(seen), seen

    def _searched(
        self,
        optimizer: SearchOptimizer,
        state: TrainState,
        rows: RowSelection,
        learning_rate: float,
    ) -> _Moved:
        """A step of an optimizer that asks for the values or gradients it needs itself."""
        key = (self._config.seed, state.step)
        problem = BatchProblem(self._objective, rows, key, state.theta)
        theta, after = optimizer.search(dict(state.optimizer), state.theta, problem, learning_rate)
        found = problem.here()
        sums = blocks.total(found)
        return _Moved(sums, sums.gradient / sums.n_rows, found, theta, after)

    def _followed(
        self,
        state: TrainState,
        sums: blocks.Sums,
        gradient: FloatArray,
        seen: FloatArray,
        learning_rate: float,
    ) -> _Moved:
        """A step of an optimizer along this mean gradient (P,)."""
        assert self._optimizer is not None, "the other kind asks for what it needs itself"
        clipped = self._clipped(gradient)
        if self._correction is not None:
            clipped = self._correction(state.theta, clipped)
        theta, after = self._optimizer.update(
            dict(state.optimizer), state.theta, clipped, learning_rate
        )
        return _Moved(sums, gradient, seen, theta, after)

    def _clipped(self, gradient: FloatArray) -> FloatArray:
        if self._config.clip_value is not None:
            gradient = clip_by_value(gradient, self._config.clip_value)
        if self._config.clip_norm is not None:
            gradient = clip_by_norm(gradient, self._config.clip_norm)
        return gradient


def _check_finite(step: int, loss: float, norm: float, theta: FloatArray) -> None:
    if not (math.isfinite(loss) and math.isfinite(norm) and np.isfinite(theta).all()):
        raise DivergenceError(
            f"the loss, its gradient or the parameters became NaN or infinite in step {step + 1}",
            value={"loss": loss, "gradient_norm": norm},
            fix="Lower trainer.learning_rate, or scale the features down.",
        )
