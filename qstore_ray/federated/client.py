"""The training of one client in one round, by the steps of any training."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.backends.base import Backend
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.privacy.rows import RowPrivacy
from qstore_ray.federated.rows import ClientRows
from qstore_ray.federated.strategies.base import ClientUpdate, RoundTask
from qstore_ray.learn.model import QuantumModel
from qstore_ray.learn.schedules import Horizon
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.job import TrainingRows
from qstore_ray.train.loop.objective import TrainingObjective
from qstore_ray.train.loop.reducer import LocalReducer
from qstore_ray.train.loop.source import HeldBatches
from qstore_ray.train.loop.stepper import Stepper
from qstore_ray.train.run.state import TrainState

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray


def personal_mask(model: QuantumModel, parts: tuple[str, ...]) -> AnyArray:
    """Which parameters stay with the clients (P,)."""
    sizes = model.sizes
    return np.concatenate([np.full(size, name in parts) for name, size in sizes.items()])


class LocalClient:
    """Trains on rows that this process holds. It has no state: what it remembers is passed on.

    An epoch of round r has the order of rows of epoch r · local_epochs + e of a training of its
    own, so one client alone takes the steps of that training.

    Args:
        name: its id.
        stop: when set, its training ends before the next step.

    Raises:
        ConfigError: a private training that these rows do not allow.
    """

    def __init__(
        self,
        name: str,
        model: QuantumModel,
        trainer: TrainerConfig,
        federation: FederationConfig,
        rows: ClientRows,
        backend: Backend,
        stop: threading.Event | None = None,
    ) -> None:
        self._name, self._stop = name, stop
        self._trainer, self._federation = trainer, federation
        self._held = TrainingRows(rows.x, rows.y, rows.x[:0], rows.y[:0])
        self._source = HeldBatches(trainer, self._held)
        self._privacy = None
        if trainer.privacy is not None:
            self._privacy = RowPrivacy(name, trainer, federation, self._held)
        self._objective = TrainingObjective(
            model, backend, trainer.gradient, LocalReducer(), trainer.gradient_options
        )
        self._stepper = Stepper(trainer, self._objective)  # it has no state, so rounds share it
        self._n_rows = len(rows.x)
        self._personal = personal_mask(model, federation.personal)

    def train(
        self, task: RoundTask, memory: Mapping[str, AnyArray]
    ) -> tuple[ClientUpdate, dict[str, AnyArray]]:
        """See `Client`.

        Raises:
            DivergenceError: loss, gradient or parameters became NaN or infinite.
            KeyboardInterrupt: the run is to stop.
        """
        own = memory.get("control", np.zeros_like(task.theta)) if task.rule.control else None
        is_plain = not task.rule.proximal and own is None
        private = None if self._privacy is None else self._privacy.of_round(task)
        source = HeldBatches(self._trainer, self._held, private) if private else self._source
        stepper = self._stepper
        if private is not None or not is_plain:
            stepper = Stepper(
                self._trainer,
                self._objective,
                private,
                correction=None if is_plain else lambda at, g: task.corrected(at, g, own),
            )
        state = self._begin(stepper, task, memory)
        loss = count = rates = 0.0
        for number in range(self._federation.local_epochs):
            epoch = task.round * self._federation.local_epochs + number
            for rows in source.steps(epoch, 0):
                if self._stop is not None and self._stop.is_set():
                    raise KeyboardInterrupt
                state, _ = stepper.step(state, rows)
                rates += state.learning_rate
            loss, count = loss + state.sums[0], count + state.sums[1]
            metric = float(state.sums[0] / state.sums[1]) if state.sums[1] else state.metric
            state = replace(state, step_in_epoch=0, sums=np.zeros(4), metric=metric)
        theta = np.where(self._personal, task.theta, state.theta)
        control = None
        if own is not None and task.control is not None:
            control = (task.theta - theta) / rates - task.control
        update = ClientUpdate(
            self._name, task.round, theta, self._n_rows, float(loss / max(count, 1.0)), control
        )
        return update, self._remembered(state, own, control)

    def take_secret(self, secret: bytes) -> None:
        """What its noise is drawn from, with `trainer.privacy`; needed before the first round."""
        if self._privacy is not None:
            self._privacy.secret = secret

    def epsilon(self, asked: int) -> float | None:
        """ε that this client has spent when it was asked so often; None without a claim."""
        return None if self._privacy is None else self._privacy.epsilon(asked)

    def _begin(
        self, stepper: Stepper, task: RoundTask, memory: Mapping[str, AnyArray]
    ) -> TrainState:
        theta = task.theta
        if "personal" in memory:
            theta = theta.copy()
            theta[self._personal] = memory["personal"]
        steps = self._source.steps_per_epoch
        epochs = self._federation.rounds * self._federation.local_epochs
        state = stepper.begin(theta, Horizon(steps * epochs, steps))
        if "step" not in memory:
            return state
        schedule = {name: float(memory[f"schedule.{name}"]) for name in state.schedule}
        state = replace(
            state, schedule=schedule, step=int(memory["step"]), metric=float(memory["metric"])
        )
        if self._federation.local_state == "kept":
            optimizer = {name: memory[f"optimizer.{name}"] for name in state.optimizer}
            state = replace(state, optimizer=optimizer)
        return state

    def _remembered(
        self, state: TrainState, own: FloatArray | None, change: FloatArray | None
    ) -> dict[str, AnyArray]:
        found: dict[str, AnyArray] = {
            "step": np.array(state.step),
            "metric": np.array(state.metric),
            **{f"schedule.{name}": np.array(value) for name, value in state.schedule.items()},
        }
        if self._federation.local_state == "kept":
            found |= {f"optimizer.{name}": value for name, value in state.optimizer.items()}
        if self._personal.any():
            found["personal"] = state.theta[self._personal]
        if own is not None and change is not None:
            found["control"] = own + change
        return found
