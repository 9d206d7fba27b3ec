"""An optimizer: two pure functions, `init` and `update`, on plain arrays.

    state = optimizer.init(theta)
    theta, state = optimizer.update(state, theta, gradient, learning_rate)

The state is a dictionary of arrays, so a checkpoint saves it as it is, and two processes that start
from the same state and see the same gradients end with the same bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

    OptimizerState: TypeAlias = dict[str, FloatArray]


class Optimizer(Protocol):
    """Minimises a function from its gradients."""

    def init(self, theta: FloatArray) -> OptimizerState:
        """The state before the first step."""
        ...

    def update(
        self,
        state: OptimizerState,
        theta: FloatArray,
        gradient: FloatArray,
        learning_rate: float,
    ) -> tuple[FloatArray, OptimizerState]:
        """The next parameters and state; changes none of its arguments."""
        ...
