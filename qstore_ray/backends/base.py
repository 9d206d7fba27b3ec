"""Backends: return expectation values of a bound circuit, or raise.

Every backend has `evaluate`. A backend may also offer `vjp`, exact reverse-mode differentiation;
gradient methods check for it with `can_differentiate`. A backend that holds states may offer
`states`; kernels check for it with `can_prepare_states`. One that takes shots says so by
`samples = True`; check for it with `can_sample`. If its attribute `shots` is set, every evaluation
takes shots, and it offers values alone. The laws (tested on every backend in
`tests/laws/`): it agrees with `simulate/reference.py`, keeps the order of rows, and returns for a
batch the values of its rows one by one. A backend that cannot compute a value raises
`BackendError`; it never substitutes one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeGuard

from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template

if TYPE_CHECKING:
    from qstore_ray.backends.keys import DrawKey
    from qstore_ray.types import AnyArray, ComplexArray, FloatArray, Table


@dataclass(frozen=True)
class Bindings:
    """Values for a template's slots, for N rows.

    Args:
        rows: encoded angles (N, A), radians.
        params: shared parameters (P,), or one set a row (N, P).
        amplitudes: initial states (N, 2^n), normalised, where the template starts from amplitudes.

    Examples:
        bindings = Bindings(rows=np.array([[0.0], [np.pi]]), params=np.array([0.5]))
        assert len(bindings) == 2
    """

    rows: FloatArray
    params: FloatArray
    amplitudes: AnyArray | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, rows: slice | AnyArray) -> Bindings:
        """Some of the rows."""
        return Bindings(
            self.rows[rows],
            self.params if self.params.ndim == 1 else self.params[rows],
            None if self.amplitudes is None else self.amplitudes[rows],
        )


class Usage(NamedTuple):
    """What an evaluation cost."""

    circuits: int
    shots: int = 0


@dataclass(frozen=True)
class Estimates:
    """Expectation values (N, O), and variances (N, O) of the estimates if they were sampled.

    `shared_errors` (N, O, C) is the part of the variances that all rows share: the change of each
    value by one standard error of each of C measured numbers, such as readout probabilities.

    Examples:
        estimates = Estimates(values=np.array([[0.5, -1.0]]))
        assert estimates.values.shape == (1, 2) and estimates.variances is None
    """

    values: FloatArray
    variances: FloatArray | None = None
    usage: Usage = field(default_factory=lambda: Usage(0))
    shared_errors: FloatArray | None = None


class Gradients(NamedTuple):
    """Σ_o cotangent[i, o] · ∂⟨O_o⟩/∂slot for each row i: rows (N, A), params (N, P).

    With `block` rows summed up, params are those of each block (⌈N / block⌉, P).

    `amplitudes` (N, 2^n) holds the same for the real and imaginary parts of the initial state,
    as ∂/∂Re + i·∂/∂Im; None where the template starts from zeros.
    """

    rows: FloatArray
    params: FloatArray
    amplitudes: ComplexArray | None = None


Pullback = Callable[["FloatArray"], Gradients]
"""Maps a cotangent (N, O) to the gradients of every row. May be called once."""


class Backend(Protocol):
    """Returns expectation values of observables for N bindings of one template.

    Examples:
        backend = open_backend("statevector", {})
        template, z = Template(n_qubits=1, ops=(Op("x", (0,)),)), (Observable.parse("Z0"),)
        one_row = Bindings(np.zeros((1, 0)), np.zeros(0))
        assert np.allclose(backend.evaluate(template, z, one_row).values, -1.0)
    """

    name: str

    def check(
        self, template: Template, observables: Sequence[Observable], bindings: Bindings
    ) -> None:
        """Raise what `evaluate` would raise about these arguments, without running anything.

        Raises:
            CircuitError: bindings or observables that do not fit the template.
            ResourceError: the circuit needs more memory than there is.
        """
        ...

    def evaluate(
        self,
        template: Template,
        observables: Sequence[Observable],
        bindings: Bindings,
        *,
        shots: int | None = None,
        key: DrawKey | None = None,
    ) -> Estimates:
        """⟨O_o⟩ for every row and observable.

        Args:
            template: the circuit.
            observables: O Pauli sums, the same for all rows.
            bindings: N rows of values.
            shots: measurements a row and measured basis; None asks for exact values.
            key: names the random draws, if there are any; what a row draws depends on the key and
                on its number in the batch alone.

        Raises:
            CircuitError: bindings that do not fit the template, or a circuit it cannot run.
            BackendError: it cannot answer; there is never a made-up value instead.
        """
        ...


class DifferentiableBackend(Backend, Protocol):
    """A backend that also differentiates exactly, by the adjoint method."""

    def vjp(
        self,
        template: Template,
        observables: Sequence[Observable],
        bindings: Bindings,
        *,
        rows_gradient: bool = False,
    ) -> tuple[Estimates, Pullback]:
        """Exact values, and the pullback that turns a cotangent (N, O) into gradients.

        Args:
            rows_gradient: also differentiate the row angles (and amplitudes); without it those
                gradients are returned as zeros and the work for them is saved.
        """
        ...


def can_differentiate(backend: Backend) -> TypeGuard[DifferentiableBackend]:
    """Whether the backend offers `vjp`, and does not take shots in every evaluation."""
    return hasattr(backend, "vjp") and takes_no_shots(backend)


class SummingBackend(DifferentiableBackend, Protocol):
    """A differentiable backend that adds up the parameters' gradients of rows itself.

    It has an attribute `sums_blocks` that is true, and its `vjp` takes `block`: the gradients of
    the parameters are then sums over so many rows at a time, which may take far less work than
    those of every row.
    """

    @property
    def sums_blocks(self) -> bool:
        """Always true."""
        ...


def can_sum_blocks(backend: Backend) -> bool:
    """Whether the backend's `vjp` takes `block`."""
    return bool(getattr(backend, "sums_blocks", False))


class RandomBackend(Backend, Protocol):
    """A backend whose values are random estimates, drawn by keys."""

    @property
    def draws(self) -> bool:
        """Whether its values are random: an evaluation then needs a key."""
        ...

    def for_testing(self) -> Backend:
        """The backend that scores validation and test rows: with smaller variances."""
        ...


def can_test(backend: Backend) -> TypeGuard[RandomBackend]:
    """Whether the backend has another one for validation and test rows."""
    return hasattr(backend, "for_testing")


class DescribedBackend(Backend, Protocol):
    """A backend that says its settings; a run is resumed with the same ones."""

    def description(self) -> Table:
        """The settings that decide its values, JSON-ready; no threads, devices or addresses."""
        ...


def can_describe_itself(backend: Backend) -> TypeGuard[DescribedBackend]:
    """Whether the backend offers `description`."""
    return hasattr(backend, "description")


class StateBackend(Backend, Protocol):
    """A backend that also gives the final states themselves."""

    def states(self, template: Template, bindings: Bindings) -> ComplexArray:
        """|ψ_i⟩ (N, 2^n) of every row, with its global phase; qubit 0 is the lowest bit.

        Raises:
            CircuitError: bindings that do not fit the template.
            ResourceError: N states do not fit this machine's memory.
        """
        ...


def can_prepare_states(backend: Backend) -> TypeGuard[StateBackend]:
    """Whether the backend offers `states`, and does not take shots in every evaluation."""
    return hasattr(backend, "states") and takes_no_shots(backend)


def can_sample(backend: Backend) -> bool:
    """Whether the backend takes shots; it then has an attribute `samples` that is true."""
    return bool(getattr(backend, "samples", False))


def takes_no_shots(backend: Backend) -> bool:
    """Whether shots have to be asked for: the backend has no attribute `shots`, or it is None."""
    return getattr(backend, "shots", None) is None
