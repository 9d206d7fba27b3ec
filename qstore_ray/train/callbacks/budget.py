"""A budget: stop, at a checkpoint, before a limit of time, shots or money is passed.

A step uses what the step before it used, or nearly so. The run is stopped when the next one would
pass a limit (with several workers, the next but one, because they stop a step later). Only the very
first steps of a run are taken without that knowledge.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from pydantic import Field, PrivateAttr, model_validator

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError
from qstore_ray.train.callbacks.base import Callback
from qstore_ray.train.callbacks.run import Batch, Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from qstore_ray.learn.model import QuantumModel
    from qstore_ray.track.base import Record
    from qstore_ray.types import AnyArray

_CIRCUITS, _SHOTS = 0, 1


@dataclass
class _Limit:
    """What is allowed of `factor` times a counter of the run; of seconds without one."""

    name: str
    allowed: float
    counter: int | None = None
    factor: float = 1.0
    before: float = math.nan  # used up to the step before; NaN for no step


class Budget(Config, Callback):
    """Stops the run before any of its limits is passed. Runs in worker 0, after every step.

    The run ends as an interruption: a checkpoint is written, the exit code is 5, and `--resume`
    with a larger budget continues. Seconds, circuits and shots are counted over all attempts.

    Args:
        seconds: wall time of training.
        circuits: circuit evaluations (a circuit with its exact gradient is one).
        shots: measurements.
        qpu_seconds: time on quantum hardware, as `seconds_per_shot` · shots.
        money: its price, as `price_per_qpu_second` · QPU seconds, in any currency.
        seconds_per_shot, price_per_qpu_second: what the two limits above are computed from.

    Examples:
        budget = Budget(seconds=3600, shots=1_000_000)
        trainer = TrainerConfig(callbacks=[budget])
    """

    ends_early: ClassVar[bool] = True
    seconds: float | None = Field(default=None, gt=0.0)
    circuits: int | None = Field(default=None, gt=0)
    shots: int | None = Field(default=None, gt=0)
    qpu_seconds: float | None = Field(default=None, gt=0.0)
    money: float | None = Field(default=None, gt=0.0)
    seconds_per_shot: float | None = Field(default=None, gt=0.0)
    price_per_qpu_second: float | None = Field(default=None, gt=0.0)
    _before: float = PrivateAttr(default=0.0)
    _began: float = PrivateAttr(default=0.0)
    _limits: list[_Limit] = PrivateAttr(default_factory=list)

    @model_validator(mode="after")
    def _has_limits(self) -> Self:
        if not any((self.seconds, self.circuits, self.shots, self.qpu_seconds, self.money)):
            raise ConfigError("a budget needs a limit", fix="Give seconds, circuits or shots.")
        if (self.qpu_seconds or self.money) and self.seconds_per_shot is None:
            raise ConfigError(
                "QPU seconds are computed from shots",
                field="seconds_per_shot",
                fix="Give seconds_per_shot, for example 0.0003.",
            )
        if self.money and self.price_per_qpu_second is None:
            raise ConfigError(
                "money is computed from QPU seconds",
                field="price_per_qpu_second",
                fix="Give price_per_qpu_second, for example 1.6.",
            )
        return self

    def logged_metrics(self, model: QuantumModel) -> Iterable[str]:
        """What is used of each limit that is set."""
        return [f"budget_{limit.name}" for limit in self._set()]

    def on_train_begin(self, run: Run) -> None:
        """Start the clock; stop at once if an earlier attempt has used everything up."""
        self._began = time.monotonic()
        self._limits = list(self._set())
        self._check(run)

    def on_batch_end(self, run: Run, batch: Batch) -> None:
        """Look at every limit."""
        self._check(run, steps_ahead=2 if run.config.max_workers > 1 else 1)

    def on_epoch_end(self, run: Run, record: Record) -> None:
        """Log what was used."""
        run.log(**{f"budget_{limit.name}": self._used(run, limit) for limit in self._limits})

    def _check(self, run: Run, steps_ahead: int = 0) -> None:
        for limit in self._limits:
            used, allowed = self._used(run, limit), limit.allowed
            step, limit.before = used - limit.before, used
            if used >= allowed or used + steps_ahead * step > allowed:
                run.stop(
                    f"the budget of {allowed:g} {limit.name.replace('_', ' ')} is used up, or "
                    f"would be by the next step ({used:g} used)"
                )

    def _set(self) -> Iterator[_Limit]:
        """The limits that are set."""
        per_shot, price = self.seconds_per_shot or 0.0, self.price_per_qpu_second or 0.0
        if self.seconds is not None:
            yield _Limit("seconds", self.seconds)
        if self.circuits is not None:
            yield _Limit("circuits", self.circuits, _CIRCUITS)
        if self.shots is not None:
            yield _Limit("shots", self.shots, _SHOTS)
        if self.qpu_seconds is not None:
            yield _Limit("qpu_seconds", self.qpu_seconds, _SHOTS, per_shot)
        if self.money is not None:
            yield _Limit("money", self.money, _SHOTS, per_shot * price)

    def _used(self, run: Run, limit: _Limit) -> float:
        if limit.counter is None:
            return self._seconds()
        return limit.factor * float(run.state.usage[limit.counter])

    def _seconds(self) -> float:
        return self._before + time.monotonic() - self._began

    def state(self) -> Mapping[str, AnyArray]:
        """The seconds so far."""
        return {"seconds": np.array(self._seconds())}

    def restore(self, state: Mapping[str, AnyArray]) -> None:
        """Count on from the checkpoint."""
        self._before = float(state["seconds"])
