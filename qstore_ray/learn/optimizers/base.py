"""An optimizer: two pure functions, `init` and an update, on plain arrays.

    state = optimizer.init(theta)
    theta, state = optimizer.update(state, theta, gradient, learning_rate)

Most optimizers need one gradient a step and no more: those are `Optimizer`s. Some ask for other
things about the function to be minimised (its values elsewhere, its metric tensor, the spread of
the gradient over the rows). They are `SearchOptimizer`s, and get the function itself, as a
`Problem`:

    theta, state = optimizer.search(state, theta, problem, learning_rate)

The state is a dictionary of arrays, so a checkpoint saves it as it is, and two processes that start
from the same state and see the same numbers end with the same bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

    OptimizerState: TypeAlias = dict[str, FloatArray]


@runtime_checkable
class Optimizer(Protocol):
    """Minimises a function from its gradients."""

    def init(self, theta: FloatArray) -> OptimizerState:
        """The state before the first step; always with the same keys and shapes."""
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


class Slope(NamedTuple):
    """A gradient and what is known of its spread.

    Attributes:
        gradient: the mean over the batch of ∂loss/∂θ (P,).
        variance: of ∂loss/∂θ from row to row (P,), unbiased; NaN for a single row.
    """

    gradient: FloatArray
    variance: FloatArray


class Problem(Protocol):
    """The mean loss over the batch of one step, as a function of θ.

    Over several workers every call is a sum over all of them, so all workers make the same calls
    in the same order and get the same bits back.
    """

    @property
    def key(self) -> tuple[int, int]:
        """(seed, step): what random directions are drawn from."""
        ...

    @property
    def n_circuit(self) -> int:
        """How many numbers at the head of θ are the circuit's; the rest is classical."""
        ...

    @property
    def n_rows(self) -> int:
        """How many rows the batch of this step has."""
        ...

    @property
    def metric_blocks(self) -> tuple[int, ...]:
        """The layer of the circuit that each of its n_circuit parameters belongs to."""
        ...

    def values(self, thetas: FloatArray) -> FloatArray:
        """The mean loss at each of the points (M, P): (M,)."""
        ...

    def slope(self, theta: FloatArray, n_rows: int | None = None) -> Slope:
        """The gradient at θ over the first `n_rows` rows of the batch, over all of them if None.

        The rows of a batch come in a random order, so the first ones are a sample of it.
        """
        ...

    def metric(self, theta: FloatArray) -> FloatArray:
        """The Fubini–Study metric of the circuit's state by the circuit's parameters, mean over
        the rows of the batch: (n_circuit, n_circuit).
        """
        ...

    def fidelities(self, theta: FloatArray, others: FloatArray) -> FloatArray:
        """Mean over the rows of |⟨ψ(θ)|ψ(θ')⟩|² for each θ' of `others` (M, P): (M,)."""
        ...

    def values_and_fidelities(
        self, thetas: FloatArray, theta: FloatArray, others: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """`values(thetas)` and `fidelities(theta, others)`, asked for at once: on hardware they
        are one job.
        """
        ...


@runtime_checkable
class ChecksRows(Protocol):
    """An optimizer that needs a number of rows in each step."""

    def check_rows(self, batch_rows: int, block: int) -> None:
        """Check the number of rows of a step, which are summed in blocks, before a run begins.

        Raises:
            ConfigError: too few.
        """
        ...


@runtime_checkable
class Calibrates(Protocol):
    """An optimizer whose first step asks for more than the later ones."""

    def calibrated(self, state: OptimizerState) -> OptimizerState:
        """A state as after the first step, in what its next step asks for."""
        ...


@runtime_checkable
class AdaptsRows(Protocol):
    """An optimizer whose steps ask for more or fewer rows, depending on the values before."""

    def with_fewest_rows(self, state: OptimizerState) -> OptimizerState:
        """A state whose next step asks for no more rows than any other."""
        ...

    def with_most_rows(self, state: OptimizerState) -> OptimizerState:
        """A state whose next step asks for no fewer rows than any other."""
        ...


@runtime_checkable
class SearchOptimizer(Protocol):
    """Minimises a function by asking it for more than a gradient."""

    def init(self, theta: FloatArray) -> OptimizerState:
        """The state before the first step; always with the same keys and shapes."""
        ...

    def search(
        self,
        state: OptimizerState,
        theta: FloatArray,
        problem: Problem,
        learning_rate: float,
    ) -> tuple[FloatArray, OptimizerState]:
        """The next parameters and state; changes none of its arguments."""
        ...
