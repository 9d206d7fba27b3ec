"""Circuits in the instructions of one device (ISA), on its physical qubits.

    circuits = compile_isa(template, observables, device, target)
    circuits[0].values(bindings)      (N, K): a row for each binding, a column a parameter

A circuit is compiled once on the best qubits of the device's calibration, as for its noise
(`noise/device`), so a rehearsal with that noise runs the very gates. Each measured basis adds its
turns on the qubits where the circuit's qubits end; IBM's Estimator measures by itself. IBM's client
does not check that a device has the instructions, and the job would fail after its wait in the
queue: it is checked here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.device_circuit import AS_IT_IS, DeviceCircuit
from qstore_ray.backends.grouping import MeasuredBasis, group_observables
from qstore_ray.backends.ibm.service.folding import IsaGate, folded
from qstore_ray.backends.noise.device.device import Device
from qstore_ray.backends.noise.device.transpile import Transpiled, transpile
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template
from qstore_ray.errors import CircuitError

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.transpiler import Target

    from qstore_ray.types import FloatArray

REGISTER = "c"
"""The classical register of the outcomes; bit k is the k-th qubit of the basis."""
_NOTHING = "nothing"
"""The name of the angle of a circuit that has none."""


class Pub(NamedTuple):
    """A circuit and the values of its parameters (N, K); what is to be estimated (O, 1), if it is.

    For a Sampler the circuit has one classical register.
    """

    circuit: QuantumCircuit
    values: FloatArray
    observables: list[list[Any]] | None = None


class IsaCircuit(NamedTuple):
    """One basis of a circuit, ready to be submitted.

    Attributes:
        basis: of the original circuit's qubits.
        circuit: on all qubits of the device.
        slots: where the value of each of the K parameters comes from, in the order in which a
            program binds them: sorted by name, "p[0]" before "x[0]".
        ends: the device's qubits on which the original circuit's qubits end.
    """

    basis: MeasuredBasis
    circuit: QuantumCircuit
    slots: tuple[tuple[str, int], ...]
    ends: tuple[int, ...]

    def values(self, bindings: Bindings) -> FloatArray:
        """The parameters of N rows (N, K)."""
        n_rows = len(bindings)
        params = np.broadcast_to(bindings.params, (n_rows, bindings.params.shape[-1]))
        of = {"rows": bindings.rows, "params": params, _NOTHING: np.zeros((n_rows, 1))}
        columns = [of[kind][:, k] for kind, k in self.slots]
        found: FloatArray = np.array(columns, float).reshape(len(columns), n_rows).T
        return np.ascontiguousarray(found)


@lru_cache(maxsize=64)
def _transpiled(template: Template, device_text: str, seed: int, level: int) -> Transpiled:
    return transpile(template, Device.model_validate_json(device_text), seed, level)


def compile_isa(
    template: Template,
    observables: tuple[Observable, ...],
    device: Device,
    target: Target,
    *,
    seed: int = 0,
    level: int = 3,
    measured: bool = True,
    compiled: DeviceCircuit = AS_IT_IS,
) -> tuple[IsaCircuit, ...]:
    """The circuits to submit for one template, a circuit for each basis.

    Args:
        device: the calibration of the device, by which its qubits are chosen.
        target: the device's instructions, which the circuits are checked against.
        seed, level: of Qiskit's transpiler.
        measured: with the basis's turns and measurements; without them for the Estimator, which
            adds its own to every qubit of the device.
        compiled: what is done after the transpiler: folds; or the layout of another circuit.

    Raises:
        CircuitError: the device cannot write the circuit, or lacks an instruction.
        ResourceError: the device has too few qubits.
    """
    text = device.model_dump_json(exclude_none=True)
    found = _transpiled(compiled.layout_of or template, text, seed, level)
    ends = tuple(found.physical[place] for place in found.final)
    if compiled.layout_of is not None:
        gates = _on_qubits(template, ends, device)
    else:
        gates = folded(found, device, compiled.folds, compiled.folding)
    bare = _on_device(found, gates, target.num_qubits or len(device.qubits))
    if not measured:
        _check_estimator_gates(bare.num_qubits, target, device.name)
    circuits = []
    for basis in group_observables(observables).bases:
        circuit = _with_measurements(bare, ends, basis, found, device) if measured else bare
        _check_instructions(circuit, target, device.name)
        slots = tuple(_slot(parameter) for parameter in circuit.parameters)
        circuits.append(IsaCircuit(basis, circuit, slots, ends))
    return tuple(circuits)


def _on_qubits(template: Template, ends: Sequence[int], device: Device) -> list[IsaGate]:
    """The gates of a circuit, each of one qubit, on the physical qubit of its qubit."""
    return [
        IsaGate(item.operation, (ends[op.qubits[0]],))
        for op in template.ops
        for item in _turn(op.gate, device.basis).data
    ]


def _on_device(found: Transpiled, gates: Sequence[IsaGate], width: int) -> Any:
    """The circuit on the device's qubits."""
    from qiskit import QuantumCircuit, QuantumRegister

    circuit = QuantumCircuit(QuantumRegister(width, "q"))
    for operation, place in gates:
        circuit.append(_own_name(operation, dict(found.names)), place)
    return circuit


def _with_measurements(
    bare: QuantumCircuit,
    ends: tuple[int, ...],
    basis: MeasuredBasis,
    found: Transpiled,
    device: Device,
) -> Any:
    """The circuit, turned to a basis and measured."""
    from qiskit import ClassicalRegister

    outcomes = ClassicalRegister(len(basis.qubits), REGISTER)
    circuit = bare.copy()
    circuit.add_register(outcomes)
    for gate, qubit in ((op.gate, op.qubits[0]) for op in basis.turns):
        circuit.compose(_turn(gate, device.basis), [ends[qubit]], inplace=True)
    if not circuit.parameters:
        circuit.append(_own_name(_no_turn(), dict(found.names)), [ends[basis.qubits[0]]])
    circuit.measure([ends[qubit] for qubit in basis.qubits], outcomes)
    return circuit


def _own_name(operation: Any, names: dict[str, str]) -> Any:
    """The operation as the device calls it: RZ is U1 on older ones, but for a global phase."""
    if names.get(operation.name) != "u1":
        return operation
    from qiskit.circuit.library import U1Gate

    return U1Gate(*operation.params)


@lru_cache(maxsize=64)
def _turn(gate: str, basis: tuple[str, ...]) -> QuantumCircuit:
    """A gate that turns a basis, in the device's gates."""
    from qiskit import QuantumCircuit
    from qiskit import transpile as qiskit_transpile

    circuit = QuantumCircuit(1)
    getattr(circuit, gate)(0)
    return qiskit_transpile(circuit, basis_gates=list(basis), optimization_level=1)


def _no_turn() -> Any:
    """RZ by an angle that is always 0: a program keeps the rows of a circuit with parameters alone.

    It is a change of frame, and takes no time on a device.
    """
    from qiskit.circuit import ParameterVector
    from qiskit.circuit.library import RZGate

    return RZGate(ParameterVector(_NOTHING, 1)[0])


def _slot(parameter: Any) -> tuple[str, int]:
    return {"x": "rows", _NOTHING: _NOTHING}.get(parameter.vector.name, "params"), parameter.index


def _check_estimator_gates(width: int, target: Target, device: str) -> None:
    """Raise `CircuitError` unless every qubit has what the Estimator adds to it."""
    for name in ("rz", "sx", "measure"):
        lacking = [q for q in range(width) if not target.instruction_supported(name, (q,))]
        if lacking:
            raise CircuitError(
                f"IBM's Estimator measures every qubit of the device in any basis, and {device} "
                f"has no {name} on the qubits {lacking}",
                field="estimator",
                value=device,
                fix="Take sampler instead of estimator, or another device.",
            )


def seconds_of(circuit: QuantumCircuit, target: Target) -> float:
    """Seconds from the first gate to the last on a device: gates of other qubits run at once.

    A gate counts as 0 s if the device does not report its duration.
    """
    until = [0.0] * circuit.num_qubits
    for item in circuit.data:
        qubits = tuple(circuit.find_bit(qubit).index for qubit in item.qubits)
        known = target[item.operation.name].get(qubits)
        end = max(until[q] for q in qubits) + ((known.duration if known else None) or 0.0)
        for qubit in qubits:
            until[qubit] = end
    return max(until, default=0.0)


def _check_instructions(circuit: QuantumCircuit, target: Target, device: str) -> None:
    """Raise `CircuitError` for an instruction that the device does not have where it stands."""
    for item in circuit.data:
        qubits = tuple(circuit.find_bit(qubit).index for qubit in item.qubits)
        if not target.instruction_supported(item.operation.name, qubits):
            raise CircuitError(
                f"{device} has no {item.operation.name} on the qubits {qubits}",
                field="device",
                value=device,
                fix="The device changed since the run began, or its calibration names gates that "
                "it does not offer: begin a new run, or take another device.",
            )
