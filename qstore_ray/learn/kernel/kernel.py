"""Quantum kernels: the similarity of two rows, computed from their states under a circuit.

    fidelity    k(x, y) = |⟨ψ(x)|ψ(y)⟩|²
    projected   k(x, y) = exp(−γ Σ_q,P (⟨P_q⟩_x − ⟨P_q⟩_y)²),  P one of X, Y, Z on each qubit q

A kernel is computed in two parts. `embed` turns each row into a vector, once: its state, or its
3n expectation values. A `Comparison` turns two sets of vectors into a block of the matrix, a matrix
product. So N rows cost N circuits and not N², and blocks may be computed anywhere
(`train/ray/kernel_matrix.py`). A backend that cannot return states runs a circuit for each pair
instead (`overlap.py`).

Letters: N and M rows, F features, D numbers of an embedded row, A angles, P parameters, n qubits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import numpy as np
from pydantic import Field

from qstore_ray.backends.base import Backend, Bindings, can_prepare_states
from qstore_ray.backends.grouping import checked_shots, key_of_shots
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.load import circuit_of_rows
from qstore_ray.circuits.observable import Observable, PauliTerm
from qstore_ray.circuits.slots import feature_names
from qstore_ray.config import Config
from qstore_ray.errors import BackendError, CircuitError
from qstore_ray.learn.kernel.overlap import Overlaps, check_overlaps
from qstore_ray.learn.kernel.shots import SampledOverlaps, named_rows

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

BLOCK = 512
"""Rows and columns of a block."""
_KERNEL = 0x6E31
"""Ends the words of a kernel's key."""
_NO_SPREAD = 1e-12
"""Rows whose total variance is below have no scale: they are equal but for rounding."""

Comparison = Callable[["AnyArray", "AnyArray"], "FloatArray"]
"""The kernel between embedded rows: (N, D), (M, D) → (N, M)."""


class Kernel(Protocol):
    """A positive function of two rows, k(x, x) = 1."""

    def check(self, x: FloatArray) -> None:
        """Raise what `embed` would raise about these rows, without running anything."""
        ...

    def embed(self, x: FloatArray) -> AnyArray:
        """What is compared of each row of features (N, F): (N, D)."""
        ...

    def comparison(self, reference: Callable[[], AnyArray]) -> Comparison:
        """The function that compares embedded rows; picklable.

        Args:
            reference: returns the embedded reference rows; called on demand.
        """
        ...

    def matrix(self, x: FloatArray, y: FloatArray | None = None) -> FloatArray:
        """k(x_i, y_j) (N, M) of features (N, F) and (M, F); without y, of the x among each other.

        Without y the matrix is symmetric bit for bit, with ones on its diagonal.

        Raises:
            DataError: rows that the circuit cannot take.
            ResourceError: more states than this machine has memory for.
            BackendError: the backend cannot answer.
        """
        ...


class FidelityKernelConfig(Config):
    """k(x, y) = |⟨ψ(x)|ψ(y)⟩|².

    Args:
        shots: of each pair of rows; None for exact values.
        seed: of the shots.
    """

    name: Literal["fidelity"] = "fidelity"
    shots: Annotated[int, Field(ge=1, strict=True)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0


class ProjectedKernelConfig(Config):
    """k(x, y) = exp(−γ Σ_q,P (⟨P_q⟩_x − ⟨P_q⟩_y)²).

    Args:
        gamma: γ, or `scale`: 1 / Σ_q,P Var⟨P_q⟩ over the reference rows, so that the exponent is
            −2 on average. The reference rows are y, or x without y: the matrix of test rows with
            the training rows as y has the γ of the training matrix. Rows that are all equal have
            γ = 1.
    """

    name: Literal["projected"] = "projected"
    gamma: Annotated[float, Field(gt=0.0)] | Literal["scale"] = "scale"


KernelConfig = Annotated[FidelityKernelConfig | ProjectedKernelConfig, Field(discriminator="name")]


@dataclass(frozen=True, eq=False)
class _States:
    """A circuit with its parameters, on a backend."""

    circuit: Circuit
    params: FloatArray
    backend: Backend

    @classmethod
    def of(
        cls, given: Any, features: Any, params: FloatArray | None, backend: Backend | None
    ) -> _States:
        circuit = circuit_of_rows(given, feature_names(features))
        wanted = circuit.template.n_params
        given = np.zeros(0) if params is None else np.asarray(params, np.float64)
        if given.shape != (wanted,):
            raise CircuitError(
                f"the circuit {circuit.name!r} has {wanted} parameters",
                field="params",
                value=given.shape,
                fix=f"Give {wanted} angles, for example those of a trained model, or list the "
                "names of the data parameters in features.",
            )
        backend = StatevectorBackend() if backend is None else backend
        if getattr(backend, "draws", False):
            raise BackendError(
                "a kernel is a function of two rows, and this backend's values are random",
                field="backend",
                value=backend.name,
                fix="Name the draws once, as KeyedBackend(backend, DrawKey((0,))) of "
                "qstore_ray.backends.keys does. On a simulator, leave shots and noise out of the "
                "backend; a fidelity kernel has shots of its own.",
            )
        return cls(circuit, given, backend)

    def bindings(self, x: FloatArray) -> Bindings:
        return Bindings(self.circuit.angles(x), self.params, self.circuit.amplitudes(x))


class FidelityKernel:
    """k(x, y) = |⟨ψ(x)|ψ(y)⟩|² (Havlíček et al. 2019, Nature 567, 209).

    Args:
        circuit: makes the state ψ(x) of a row x of F features; a `Circuit`, a
            Qiskit circuit of any class, a `.qasm` file or its text.
        params: the circuit's parameters (P,); None for a circuit without parameters.
        features: which parameters of a circuit that is no `Circuit` are data, see `ModelConfig`.
        backend: by default the exact one; one without `states` runs a circuit for each pair.
        shots: of each pair of rows, see `shots.py`; None for exact values.
        key: names the draws of the shots.

    Raises:
        CircuitError: parameters that are not the circuit's.
        ConfigError: a number of shots that is none; the backend has no states, and the circuit is
            too wide to compare pairs by circuits, or starts from amplitudes.
        BackendError: the backend has no states, and shots are wanted; its values are random; shots
            without a key.

    Examples:
        from qstore_ray.circuits.library.library import ENCODINGS
        encoded = ENCODINGS["angle"](2, 2)
        kernel = FidelityKernel(Circuit(encoded.template, 2, "angle", encoded.encode))
        assert np.allclose(np.diag(kernel.matrix(np.array([[0.1, 0.2], [0.3, 0.4]]))), 1.0)
    """

    def __init__(
        self,
        circuit: Any,
        params: FloatArray | None = None,
        backend: Backend | None = None,
        *,
        features: Any = None,
        shots: int | None = None,
        key: DrawKey | None = None,
    ) -> None:
        self._states = _States.of(circuit, features, params, backend)
        self._sampled: SampledOverlaps | None = None
        if shots is not None:
            self._sampled = SampledOverlaps(checked_shots(shots), key_of_shots(key))
        if not can_prepare_states(self._states.backend):
            if shots is not None:
                raise BackendError(
                    "shots of a kernel are taken of states, which this backend has not",
                    field="backend",
                    value=self._states.backend.name,
                    fix="Take the backend statevector.",
                )
            check_overlaps(self._states.circuit.template, self._states.backend)

    def check(self, x: FloatArray) -> None:
        """Raise `DataError` for rows that the circuit cannot take."""
        self._states.bindings(x)

    def embed(self, x: FloatArray) -> AnyArray:
        """States (N, 2^n), or angles (N, A) where the backend has no states."""
        backend = self._states.backend
        if can_prepare_states(backend):
            found = backend.states(self._states.circuit.template, self._states.bindings(x))
            return found if self._sampled is None else named_rows(found, x)
        return self._states.circuit.angles(x)

    def comparison(self, reference: Callable[[], AnyArray]) -> Comparison:
        """|⟨a_i|b_j⟩|² of states, or the probability that U(b_j)† U(a_i) leaves only zeros."""
        states = self._states
        if self._sampled is not None:
            return self._sampled
        if can_prepare_states(states.backend):
            return fidelities
        return Overlaps(states.circuit.template, states.params, states.backend)

    def matrix(self, x: FloatArray, y: FloatArray | None = None) -> FloatArray:
        """k(x_i, y_j) (N, M); see `Kernel.matrix`."""
        return kernel_matrix(self, x, y)


class ProjectedKernel:
    """k(x, y) = exp(−γ Σ_q,P (⟨P_q⟩_x − ⟨P_q⟩_y)²) (Huang et al. 2021, Nature Commun. 12, 2631).

    The sum is twice the squared distance of the one-qubit reduced density matrices (Frobenius).

    Args:
        circuit, params, backend, features: as of `FidelityKernel`; any backend will do.
        gamma: γ > 0, or `scale`, see `ProjectedKernelConfig`.

    Raises:
        CircuitError: parameters that are not the circuit's.
        ConfigError: a γ that is not positive.

    Examples:
        from qstore_ray.circuits.library.library import ENCODINGS
        encoded = ENCODINGS["angle"](2, 2)
        kernel = ProjectedKernel(Circuit(encoded.template, 2, "angle", encoded.encode), gamma=1.0)
        assert kernel.matrix(np.array([[0.1, 0.2], [0.3, 0.4]])).shape == (2, 2)
    """

    def __init__(
        self,
        circuit: Any,
        params: FloatArray | None = None,
        backend: Backend | None = None,
        *,
        gamma: float | Literal["scale"] = "scale",
        features: Any = None,
    ) -> None:
        self._states = _States.of(circuit, features, params, backend)
        self.gamma = ProjectedKernelConfig(gamma=gamma).gamma

    def check(self, x: FloatArray) -> None:
        """Raise `DataError` for rows that the circuit cannot take."""
        self._states.bindings(x)

    def embed(self, x: FloatArray) -> AnyArray:
        """⟨X_q⟩, ⟨Y_q⟩, ⟨Z_q⟩ of every qubit: (N, 3n)."""
        template = self._states.circuit.template
        paulis = tuple(
            Observable((PauliTerm(x_mask << q, z_mask << q),))
            for q in range(template.n_qubits)
            for x_mask, z_mask in ((1, 0), (1, 1), (0, 1))
        )
        return self._states.backend.evaluate(template, paulis, self._states.bindings(x)).values

    def comparison(self, reference: Callable[[], AnyArray]) -> Comparison:
        """exp(−γ |a_i − b_j|²); with `scale`, γ is taken from the reference."""
        if self.gamma != "scale":
            return _Gaussian(self.gamma)
        rows = reference()
        spread = float(rows.var(axis=0).sum()) if len(rows) else 0.0
        return _Gaussian(1.0 / spread if spread > _NO_SPREAD else 1.0)

    def matrix(self, x: FloatArray, y: FloatArray | None = None) -> FloatArray:
        """k(x_i, y_j) (N, M); see `Kernel.matrix`."""
        return kernel_matrix(self, x, y)


def build_kernel(
    config: FidelityKernelConfig | ProjectedKernelConfig,
    circuit: Any,
    params: FloatArray | None = None,
    backend: Backend | None = None,
    *,
    features: Any = None,
) -> FidelityKernel | ProjectedKernel:
    """The kernel that `config` describes; see the classes for the arguments and errors."""
    if isinstance(config, FidelityKernelConfig):
        key = DrawKey((config.seed, _KERNEL))
        return FidelityKernel(
            circuit, params, backend, features=features, shots=config.shots, key=key
        )
    return ProjectedKernel(circuit, params, backend, gamma=config.gamma, features=features)


# ------------------------------------------------------------------------------------------ blocks


def kernel_matrix(
    kernel: Kernel, x: FloatArray, y: FloatArray | None = None, *, block: int = BLOCK
) -> FloatArray:
    """k(x_i, y_j) (N, M) in blocks of at most `block` rows and columns; see `Kernel.matrix`."""
    a = kernel.embed(x)
    b = a if y is None else kernel.embed(y)
    compare = kernel.comparison(lambda: b)
    found = np.empty((len(a), len(b)))
    for rows, columns in blocks(len(a), len(b), block, symmetric=y is None):
        place(found, rows, columns, compare(a[rows], b[columns]), symmetric=y is None)
    return found


def blocks(n: int, m: int, block: int, *, symmetric: bool) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each block of an (N, M) matrix; of a symmetric one the upper ones."""
    for i in range(0, n, block):
        for j in range(i if symmetric else 0, m, block):
            yield slice(i, min(i + block, n)), slice(j, min(j + block, m))


def place(
    matrix: FloatArray, rows: slice, columns: slice, found: FloatArray, *, symmetric: bool
) -> None:
    """Write a block into the matrix, and into its mirror image where the matrix is symmetric."""
    matrix[rows, columns] = found
    if not symmetric:
        return
    if rows == columns:
        upper = np.triu(found, 1)
        matrix[rows, columns] = upper + upper.T
        np.fill_diagonal(matrix[rows, columns], 1.0)
    else:
        matrix[columns, rows] = found.T


# ------------------------------------------------------------------------------------- comparisons


def fidelities(a: AnyArray, b: AnyArray) -> FloatArray:
    """|⟨a_i|b_j⟩|² (N, M) of states (N, 2^n) and (M, 2^n)."""
    overlaps = a.conj() @ b.T
    found: FloatArray = overlaps.real**2
    found += overlaps.imag**2
    return found


@dataclass(frozen=True)
class _Gaussian:
    """exp(−γ |a_i − b_j|²) (N, M) of vectors (N, D) and (M, D)."""

    gamma: float

    def __call__(self, a: AnyArray, b: AnyArray) -> FloatArray:
        squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2.0 * (a @ b.T)
        found: FloatArray = np.exp(-self.gamma * np.maximum(squares, 0.0))
        return found
