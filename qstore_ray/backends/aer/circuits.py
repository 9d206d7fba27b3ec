"""Templates as circuits that Aer runs: gates whose angles it binds, and the noise behind them.

A gate may be rewritten in other gates. The channels that follow it are written into the circuit,
once behind it, so no gate can lose its noise by not being listed in a noise model.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qiskit import QuantumCircuit, transpile
from qiskit.quantum_info import Kraus, SparsePauliOp, SuperOp

from qstore_ray.backends.aer.noisy import NoisyParts, noisy_parts
from qstore_ray.backends.aer.simulator import readout_model
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.grouping import MeasuredBasis, group_observables
from qstore_ray.backends.noise.channels import kraus_of, twirled
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.qiskit.qiskit import to_qiskit
from qstore_ray.circuits.template import Template

if TYPE_CHECKING:
    from qiskit.circuit import Instruction
    from qiskit_aer.noise import NoiseModel

    from qstore_ray.types import ComplexArray

# Aer's parameter binding takes the angles of cp, crx, cry and crz for zero without a word (0.18),
# so circuits are written in gates of which it binds every angle.
_BASIS = (
    *("h", "x", "y", "z", "s", "sdg", "t", "tdg", "sx", "sxdg", "rx", "ry", "rz", "p", "u"),
    *("cx", "cy", "cz", "swap", "rxx", "ryy", "rzz", "ccx"),
)
_KEPT_CIRCUITS = 64


class PreparedCircuit(NamedTuple):
    """A transpiled circuit, and where the value of each of its parameters comes from."""

    circuit: QuantumCircuit
    slots: tuple[tuple[Any, str, int], ...]


class MeasuredCircuits(NamedTuple):
    """A circuit for each basis, and how its qubits are read wrongly; None if rightly."""

    circuits: tuple[tuple[MeasuredBasis, PreparedCircuit], ...]
    readout: NoiseModel | None


class BoundCircuits(NamedTuple):
    """Circuits for one run of Aer, and their parameter values."""

    circuits: list[QuantumCircuit]
    binds: list[dict[Any, list[float]]]


@lru_cache(maxsize=_KEPT_CIRCUITS)
def exact_circuit(
    template: Template, observables: tuple[Observable, ...], noise: str, method: str
) -> PreparedCircuit:
    """The circuit that saves the value of each observable, named by its number.

    Args:
        noise: its text, or "".
    """
    circuit, slots = _gates(template, noise, method)
    found = circuit.copy()
    for number, observable in enumerate(noisy_parts(template, noise).read(observables)):
        operator = _sparse_pauli(observable, template.n_qubits)
        found.save_expectation_value(operator, range(template.n_qubits), label=str(number))
    return PreparedCircuit(found, slots)


@lru_cache(maxsize=_KEPT_CIRCUITS)
def measured_circuits(
    template: Template, observables: tuple[Observable, ...], noise: str, method: str
) -> MeasuredCircuits:
    """A circuit for each basis that the observables need. Turning the basis makes no errors."""
    circuit, slots = _gates(template, noise, method)
    parts = noisy_parts(template, noise)
    found = []
    for basis in group_observables(parts.moved(observables)).bases:
        measured = circuit.copy_empty_like()
        measured.add_bits(QuantumCircuit(0, len(basis.qubits)).clbits)
        measured.compose(circuit, inplace=True)
        measured.compose(to_qiskit(Template(template.n_qubits, basis.turns)), inplace=True)
        measured.measure(basis.qubits, range(len(basis.qubits)))
        found.append((basis, PreparedCircuit(measured, slots)))
    return MeasuredCircuits(tuple(found), readout_model(parts.readout))


@lru_cache(maxsize=_KEPT_CIRCUITS)
def _gates(template: Template, noise: str, method: str) -> PreparedCircuit:
    parts = noisy_parts(template, noise)
    channels = _channels(parts, method)
    written = to_qiskit(replace(parts.template, initial="zeros"))
    # A labelled barrier keeps the place of a channel while the gates are rewritten.
    marked = written.copy_empty_like()
    waiting = list(enumerate(channels))
    for place, gate in enumerate(written.data, start=1):
        marked.append(gate)
        while waiting and waiting[0][1][0] == place:
            number, (_, qubits, _) = waiting.pop(0)
            marked.barrier(*qubits, label=str(number))
    lowered = transpile(marked, basis_gates=_BASIS, optimization_level=0)
    found = lowered.copy_empty_like()
    for item in lowered.data:
        if item.operation.name == "barrier":
            _, qubits, channel = channels[int(item.operation.label)]
            found.append(channel, qubits)
        else:
            found.append(item)
    slots = tuple(
        (p, "rows" if p.vector.name == "x" else "params", p.index) for p in found.parameters
    )
    return PreparedCircuit(found, slots)


def _channels(parts: NoisyParts, method: str) -> list[tuple[int, tuple[int, ...], Instruction]]:
    """The channels that change something: after how many gates, on which qubits, and what."""
    found = []
    for place, channel, qubits in parts.sites:
        kraus = channel.kraus(len(qubits))
        weights = twirled(kraus)
        if weights[0] >= 1.0:
            continue
        if parts.twirl:
            kraus = kraus_of(weights, len(qubits))
        found.append((place, qubits, _instruction(kraus, method)))
    return found


def _instruction(kraus: ComplexArray, method: str) -> Instruction:
    operators = Kraus([matrix for matrix in kraus if matrix.any()])
    channel = SuperOp(operators) if method == "density_matrix" else operators
    return channel.to_instruction()


def bound(prepared: PreparedCircuit, bindings: Bindings, method: str) -> BoundCircuits:
    """The circuits for all rows: one circuit, or one a row with amplitudes."""
    n_rows = len(bindings)
    shape = (n_rows, bindings.params.shape[-1])
    sources = {"rows": bindings.rows, "params": np.broadcast_to(bindings.params, shape)}
    columns = {p: sources[source][:, k].tolist() for p, source, k in prepared.slots}
    if bindings.amplitudes is None:
        return BoundCircuits([prepared.circuit], [columns] if columns else [])
    circuits = []
    for state in bindings.amplitudes:
        circuit = prepared.circuit.copy_empty_like()
        if method == "density_matrix":
            circuit.set_density_matrix(np.outer(state, state.conj()))
        else:
            circuit.set_statevector(state.astype(complex))
        circuits.append(circuit.compose(prepared.circuit, copy=False))
    if not columns:
        return BoundCircuits(circuits, [])
    return BoundCircuits(
        circuits, [{p: [column[i]] for p, column in columns.items()} for i in range(n_rows)]
    )


def row_of(bound_circuits: BoundCircuits, row: int) -> BoundCircuits:
    """The circuit of one row and its values."""
    circuits, binds = bound_circuits
    if len(circuits) > 1:
        return BoundCircuits([circuits[row]], binds[row : row + 1])
    if len(binds) == 1 and binds[0]:
        return BoundCircuits(circuits, [{p: [column[row]] for p, column in binds[0].items()}])
    return bound_circuits


def _sparse_pauli(observable: Observable, n_qubits: int) -> SparsePauliOp:
    letters = {(1, 0): "X", (1, 1): "Y", (0, 1): "Z"}
    terms = []
    for term in observable.terms:
        bits = {q: (term.x >> q & 1, term.z >> q & 1) for q in range(n_qubits)}
        acting = [q for q, pair in bits.items() if pair != (0, 0)]
        terms.append(("".join(letters[bits[q]] for q in acting), acting, term.coefficient))
    return SparsePauliOp.from_sparse_list(terms, num_qubits=n_qubits)
