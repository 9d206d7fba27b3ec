"""What a technique wraps: something that runs circuits with their noise at its places.

The innermost is `DirectRunner`, the backend itself. Each technique is a runner around another: it
rewrites what is run, and combines the values that come back.

    ZneRunner( TwirlRunner( ReadoutRunner( DirectRunner )))
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from qstore_ray.backends.base import (
    Backend,
    Bindings,
    Estimates,
    Pullback,
    can_differentiate,
    can_test,
)
from qstore_ray.backends.counts import Counts, can_count
from qstore_ray.backends.device_circuit import compiles_itself
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.mitigation.config import MitigationCost
from qstore_ray.backends.mitigation.placed_circuit import PlacedCircuit
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.circuits.observable import Observable
from qstore_ray.errors import BackendError

_MOST_OPEN = 64


class CircuitRun(NamedTuple):
    """One evaluation.

    Attributes:
        circuit, observables, bindings: as `Backend.evaluate` takes them, on the circuit's qubits.
        shots: of each row and basis; None for exact values.
        key: names the random draws.
    """

    circuit: PlacedCircuit
    observables: tuple[Observable, ...]
    bindings: Bindings
    shots: int | None = None
    key: DrawKey | None = None

    def drawing(self, *words: int) -> DrawKey | None:
        """The key of draws of its own, named by words."""
        return None if self.key is None else self.key.and_also(*words)


class Runner(Protocol):
    """Runs circuits and returns values (N, O)."""

    def check(self, asked: CircuitRun) -> None:
        """Raise what `run` would raise about the circuit and observables; runs nothing."""
        ...

    def run(self, asked: CircuitRun) -> Estimates:
        """The values of one evaluation."""
        ...

    def vjp(self, asked: CircuitRun, *, rows_gradient: bool) -> tuple[Estimates, Pullback]:
        """Values, and the pullback of the very same draws."""
        ...

    def cost(self) -> MitigationCost:
        """Multiples of the work without mitigation."""
        ...


class DirectRunner:
    """The backend as it is.

    Args:
        backend: for circuits without known noise.
        reopen: gives the backend with the noise of one circuit; None runs all circuits on
            `backend`, whose noise then follows gates by their names.
        testing: take the backend that scores test rows.
    """

    def __init__(
        self,
        backend: Backend,
        reopen: Callable[[NoiseConfig], Backend] | None = None,
        *,
        testing: bool = False,
    ) -> None:
        self._backend = _for_testing(backend) if testing else backend
        self._reopen, self._testing = reopen, testing
        self._opened: OrderedDict[PlacedCircuit, Backend] = OrderedDict()

    def check(self, asked: CircuitRun) -> None:
        """See `Runner`: the backend has checked the circuit already."""

    def check_counts(self) -> None:
        """Raise `BackendError` if the backend gives no counts."""
        if not can_count(self._backend):
            raise BackendError(
                f"the backend {self._backend.name!r} gives no counts of bit strings",
                field="mitigation.readout",
                value="matrix_free",
                fix="Take readout = 'inverse', or a backend of this package with shots.",
            )

    def run(self, asked: CircuitRun) -> Estimates:
        """See `Runner`."""
        backend = self._for(asked.circuit)
        return backend.evaluate(*_arguments(asked), **_options(asked))

    def counts(self, asked: CircuitRun) -> Counts:
        """The outcomes of all shots.

        Raises:
            BackendError: the backend gives no counts.
        """
        backend = self._for(asked.circuit)
        self.check_counts()
        assert can_count(backend), "the same kind of backend, with the noise of the circuit"
        return backend.counts(*_arguments(asked), **_options(asked))

    def vjp(self, asked: CircuitRun, *, rows_gradient: bool) -> tuple[Estimates, Pullback]:
        """See `Runner`."""
        backend = self._for(asked.circuit)
        assert can_differentiate(backend), "asked of a backend that differentiates alone"
        options: dict[str, Any] = {} if asked.key is None else {"key": asked.key}
        return backend.vjp(*_arguments(asked), rows_gradient=rows_gradient, **options)

    def cost(self) -> MitigationCost:
        """See `Runner`."""
        return MitigationCost()

    def _for(self, circuit: PlacedCircuit) -> Backend:
        if circuit.on_device is not None:
            assert compiles_itself(self._backend), "such circuits are made for such a backend"
            return self._backend.compiled_as(circuit.on_device)
        noise = circuit.explicit_noise
        if noise is None or self._reopen is None:
            return self._backend
        if circuit not in self._opened:
            backend = self._reopen(noise)
            self._opened[circuit] = _for_testing(backend) if self._testing else backend
            if len(self._opened) > _MOST_OPEN:
                self._opened.popitem(last=False)
        return self._opened[circuit]


def _for_testing(backend: Backend) -> Backend:
    return backend.for_testing() if can_test(backend) else backend


def _arguments(asked: CircuitRun) -> tuple[Any, ...]:
    return asked.circuit.template, asked.observables, asked.bindings


def _options(asked: CircuitRun) -> dict[str, Any]:
    """Only what is set: a backend that does not draw need not know a key."""
    given = {"shots": asked.shots, "key": asked.key}
    return {name: value for name, value in given.items() if value is not None}
