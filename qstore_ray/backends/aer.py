"""Qiskit Aer as a backend: exact expectation values from an independent, well-tested simulator.

One parameterised circuit is built and transpiled for a template and its observables, and kept; an
evaluation binds all N rows to it and runs them in one call, so that rows cost a binding each and
nothing is transpiled while a model trains. Only circuits that start from amplitudes need a circuit
a row, because an initial state is no parameter.

Aer serves as the cross-check of our own engine and, with its GPU build, as the engine for more
qubits. The CPU and GPU builds install the same files: exactly one of them may be there.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qstore_ray.backends.base import Bindings, Estimates, Usage, check_bindings
from qstore_ray.backends.keys import DrawKey
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template
from qstore_ray.errors import BackendError, CircuitError, MissingDependencyError, unknown_name_error

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

    from qstore_ray.types import FloatArray

METHODS = ("automatic", "statevector", "density_matrix", "matrix_product_state")

# Aer's parameter binding takes the angles of cp, crx, cry and crz for zero without a word (0.18),
# so circuits are written in gates of which it binds every angle.
_BASIS = (
    *("h", "x", "y", "z", "s", "sdg", "t", "tdg", "sx", "sxdg", "rx", "ry", "rz", "p", "u"),
    *("cx", "cy", "cz", "swap", "rxx", "ryy", "rzz", "ccx"),
)
_BUILDS = ("qiskit-aer", "qiskit-aer-gpu")
_KEPT_CIRCUITS = 64


class _Prepared(NamedTuple):
    """A transpiled circuit, and where the value of each of its parameters comes from."""

    circuit: QuantumCircuit
    slots: tuple[tuple[Any, str, int], ...]


class AerBackend:
    """Exact ⟨O⟩ from Qiskit Aer.

    Args:
        method: Aer's simulation method, one of `METHODS`.
        threads: the most threads Aer may use; by default OMP_NUM_THREADS (which Ray sets to the
            CPUs of a worker), else every CPU.

    Raises:
        MissingDependencyError: Aer is not installed, or both of its builds are.
        UnknownNameError: an unknown method.
        BackendError: fewer than one thread.
    """

    name = "aer"

    def __init__(self, method: str = "statevector", threads: int | None = None) -> None:
        if method not in METHODS:
            raise unknown_name_error("Aer method", method, METHODS, field="method")
        _check_installation()
        from qiskit_aer import AerSimulator

        self.method = method
        self.threads = _default_threads() if threads is None else threads
        if self.threads < 1:
            raise BackendError("Aer needs at least one thread", field="threads", value=threads)
        self._simulator = AerSimulator(
            method=method,
            max_parallel_threads=self.threads,
            max_parallel_experiments=self.threads,
            zero_threshold=0.0,  # or it would return zero for small values
        )
        self._prepared: Callable[[Template, tuple[Observable, ...]], _Prepared] = lru_cache(
            maxsize=_KEPT_CIRCUITS
        )(self._prepare)

    def check(
        self, template: Template, observables: Sequence[Observable], bindings: Bindings
    ) -> None:
        """Whether the arguments fit each other and the method; see `Backend.check`."""
        check_bindings(template, observables, bindings)
        if template.initial == "amplitudes" and self.method == "matrix_product_state":
            raise CircuitError(
                "Aer's method matrix_product_state cannot start from amplitudes",
                field="method",
                value=self.method,
                fix="Use the method statevector.",
            )

    def evaluate(
        self,
        template: Template,
        observables: Sequence[Observable],
        bindings: Bindings,
        *,
        shots: int | None = None,
        key: DrawKey | None = None,
    ) -> Estimates:
        """⟨O_o⟩ for every row and observable: values (N, O), exact. `key` has no effect.

        Raises:
            CircuitError: bindings that do not fit the template.
            BackendError: shots were asked for, or Aer could not run the circuit.
        """
        if shots is not None:
            raise BackendError(
                "sampling on Aer is not available yet",
                field="shots",
                value=shots,
                fix="Leave shots unset: Aer's values are exact.",
            )
        self.check(template, observables, bindings)
        n_rows = len(bindings)
        if n_rows == 0:
            return Estimates(np.zeros((0, len(observables))))
        prepared = self._prepared(template, tuple(observables))
        circuits, binds = _bound(prepared, bindings, self.method)
        values = self._run(circuits, binds, len(observables))
        if not binds and len(circuits) == 1:
            # All rows run the same circuit, so one run serves all of them.
            values = np.repeat(values, n_rows, axis=0)
        if len(values) != n_rows:
            raise BackendError(f"Aer returned {len(values)} results for {n_rows} rows")
        return Estimates(values, usage=Usage(circuits=n_rows))

    def _prepare(self, template: Template, observables: tuple[Observable, ...]) -> _Prepared:
        from qiskit import transpile

        from qstore_ray.circuits.qiskit.qiskit import to_qiskit

        circuit = transpile(
            to_qiskit(replace(template, initial="zeros")),
            basis_gates=_BASIS,
            optimization_level=0,
        )
        slots = tuple(
            (p, "rows" if p.vector.name == "x" else "params", p.index) for p in circuit.parameters
        )
        for number, observable in enumerate(observables):
            operator = _sparse_pauli(observable, template.n_qubits)
            circuit.save_expectation_value(operator, range(template.n_qubits), label=str(number))
        return _Prepared(circuit, slots)

    def _run(
        self, circuits: list[QuantumCircuit], binds: list[dict[Any, Any]], n_observables: int
    ) -> FloatArray:
        from qiskit.exceptions import QiskitError

        try:
            result = self._simulator.run(circuits, parameter_binds=binds).result()
            if not result.success:
                raise BackendError(f"Aer could not run the circuit: {result.status}")
            rows = [result.data(i) for i in range(len(result.results))]
        except (QiskitError, RuntimeError) as exc:
            raise BackendError(f"Aer could not run the circuit: {exc}") from exc
        return np.array([[row[str(o)] for o in range(n_observables)] for row in rows], dtype=float)


def _bound(
    prepared: _Prepared, bindings: Bindings, method: str
) -> tuple[list[QuantumCircuit], list[dict[Any, Any]]]:
    """The circuits to run and their parameter values: one circuit, or one a row with amplitudes."""
    n_rows = len(bindings)
    shape = (n_rows, bindings.params.shape[-1])
    sources = {"rows": bindings.rows, "params": np.broadcast_to(bindings.params, shape)}
    columns = {p: sources[source][:, k].tolist() for p, source, k in prepared.slots}
    if bindings.amplitudes is None:
        return [prepared.circuit], [columns] if columns else []
    circuits = []
    for state in bindings.amplitudes:
        circuit = prepared.circuit.copy_empty_like()
        if method == "density_matrix":
            circuit.set_density_matrix(np.outer(state, state.conj()))
        else:
            circuit.set_statevector(state.astype(complex))
        circuits.append(circuit.compose(prepared.circuit, copy=False))
    if not columns:
        return circuits, []
    return circuits, [{p: [column[i]] for p, column in columns.items()} for i in range(n_rows)]


def _sparse_pauli(observable: Observable, n_qubits: int) -> Any:
    from qiskit.quantum_info import SparsePauliOp

    letters = {(1, 0): "X", (1, 1): "Y", (0, 1): "Z"}
    terms = []
    for term in observable.terms:
        bits = {q: (term.x >> q & 1, term.z >> q & 1) for q in range(n_qubits)}
        acting = [q for q, pair in bits.items() if pair != (0, 0)]
        terms.append(("".join(letters[bits[q]] for q in acting), acting, term.coefficient))
    return SparsePauliOp.from_sparse_list(terms, num_qubits=n_qubits)


def _check_installation() -> None:
    installed = [build for build in _BUILDS if _is_installed(build)]
    if not installed:
        raise MissingDependencyError(
            "Qiskit Aer is not installed",
            field="backend",
            value="aer",
            fix="pip install 'qstore-ray[cpu]'",
        )
    if len(installed) > 1:
        raise MissingDependencyError(
            "qiskit-aer and qiskit-aer-gpu are both installed and overwrite each other's files",
            field="backend",
            value="aer",
            fix="pip uninstall -y qiskit-aer qiskit-aer-gpu, then install one: "
            "pip install 'qstore-ray[cpu]' or 'qstore-ray[gpu]'.",
        )


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _default_threads() -> int:
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() and int(asked) > 0 else os.cpu_count() or 1
