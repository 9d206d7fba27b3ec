"""The gates of a Qiskit circuit, rewritten in the gates of our table, in their order.

A gate of Qiskit's own that is in the table stays. A controlled U with parameters is written by an
identity that keeps each angle alone; every other gate by its definition, again and again. What has
no definition (a Clifford, a gate with annotated controls) is synthesised by Qiskit's transpiler
without optimisation. Loops over constants are unrolled.

Global phases are dropped: no expectation value depends on them. So are barriers, delays, resets of
fresh qubits, and measurements after which nothing happens; see `qubit_history.py` for the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from qiskit import QuantumCircuit, transpile
from qiskit.circuit import (
    AnnotatedOperation,
    Barrier,
    BoxOp,
    Delay,
    ForLoopOp,
    Instruction,
    Measure,
    Operation,
    Parameter,
    ParameterExpression,
    Reset,
)
from qiskit.circuit.library import Initialize, get_standard_gate_name_mapping
from qiskit.exceptions import QiskitError

from qstore_ray.circuits.gates import GATES
from qstore_ray.circuits.qiskit.qubit_history import QubitHistory
from qstore_ray.circuits.wires import kept_wires
from qstore_ray.errors import CircuitError

_STANDARD = {name: gate.base_class for name, gate in get_standard_gate_name_mapping().items()}
_WITHOUT_EFFECT = ("id", "global_phase")
_CONTROL_FLOW = frozenset(
    {"if_else", "while_loop", "switch_case", "store", "break_loop", "continue_loop"}
)
_DEEPEST = 60
_FAILURES = (
    ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, QiskitError,
)  # fmt: skip
"""What Qiskit raises, when it decomposes a gate, in place of an error that names it."""


class PlacedGate(NamedTuple):
    """A gate of our table with its angles, on numbered qubits."""

    name: str
    qubits: tuple[int, ...]
    angles: tuple[float | ParameterExpression, ...] = ()


def in_our_gates(circuit: QuantumCircuit) -> tuple[list[PlacedGate], tuple[int, ...]]:
    """The gates of `circuit` in gates of the table, the same state but for its global phase.

    Returns:
        The gates on the qubits of a model, and which qubits of `circuit` these are; see `wires.py`.

    Raises:
        CircuitError: a gate that cannot be decomposed, mid-circuit measurement, reset or classical
            control; each by its name.
        ResourceError: more qubits are used than a state vector can hold.
    """
    every = tuple(range(circuit.num_qubits))
    lowering = _Lowering()
    gates = list(lowering.circuit(circuit, every))
    before = circuit.layout.final_index_layout() if circuit.layout is not None else None
    kept = kept_wires(circuit.num_qubits, lowering.history.touched, before)
    if kept != every:
        number = {wire: k for k, wire in enumerate(kept)}
        gates = [gate._replace(qubits=tuple(number[q] for q in gate.qubits)) for gate in gates]
    return gates, kept


class _Lowering:
    def __init__(self) -> None:
        self.history = QubitHistory()
        self.depth = 0
        self._known: dict[Any, list[PlacedGate]] = {}

    def circuit(self, circuit: QuantumCircuit, qubits: tuple[int, ...]) -> Iterator[PlacedGate]:
        """The gates of a circuit whose qubit k is `qubits[k]`."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _gate_error("gates are defined by each other too deep", circuit.name, "")
        number = {qubit: qubits[k] for k, qubit in enumerate(circuit.qubits)}
        for instruction in circuit.data:
            yield from self._instruction(
                instruction.operation, tuple(number[qubit] for qubit in instruction.qubits)
            )
        self.depth -= 1

    def _instruction(self, operation: Operation, qubits: tuple[int, ...]) -> Iterator[PlacedGate]:
        name = operation.name
        if isinstance(operation, Barrier | Delay):
            return
        if isinstance(operation, Measure):
            self.history.measure(qubits)
        elif isinstance(operation, Reset):
            self.history.reset(qubits)
        elif isinstance(operation, ForLoopOp):
            yield from self._unrolled(operation, qubits)
        elif isinstance(operation, BoxOp):
            yield from self.circuit(operation.blocks[0], qubits)
        elif name in _CONTROL_FLOW:
            raise _gate_error(
                f"{name} is not supported",
                name,
                "Write the circuit without classical control: gates and parameters only.",
            )
        else:
            if isinstance(operation, Initialize):
                self.history.reset(qubits, name=name)
            if not (_is_standard(operation) and name in _WITHOUT_EFFECT):
                yield from self._gate(operation, qubits)

    def _unrolled(self, loop: ForLoopOp, qubits: tuple[int, ...]) -> Iterator[PlacedGate]:
        indices, variable, body = loop.params
        if variable is not None and not isinstance(variable, Parameter):
            raise _gate_error("for_loop over a classical variable is not supported", "for_loop", "")
        for index in indices:
            bound = variable is not None and variable in body.parameters
            yield from self.circuit(
                body.assign_parameters({variable: index}) if bound else body, qubits
            )

    def _gate(self, operation: Operation, qubits: tuple[int, ...]) -> Iterator[PlacedGate]:
        if not _is_standard(operation):
            definition = _definition(operation) or _synthesised(operation)
            yield from self.circuit(definition, qubits)
            return
        self.history.gate(operation.name, qubits)
        angles = tuple(operation.params)
        if operation.name in GATES:
            yield PlacedGate(operation.name, qubits, angles)
            return
        if operation.name in ("cu", "cu1", "cu3"):
            yield from _controlled_u(operation.name, angles, *qubits)
            return
        key = (operation.name, angles)
        if any(isinstance(angle, ParameterExpression) for angle in angles):
            yield from self.circuit(_definition(operation), qubits)
            return
        if key not in self._known:
            own = tuple(range(len(qubits)))
            self._known[key] = list(_Lowering().circuit(_definition(operation), own))
        for gate in self._known[key]:
            yield gate._replace(qubits=tuple(qubits[k] for k in gate.qubits))


def _controlled_u(
    name: str, angles: tuple[Any, ...], control: int, target: int
) -> Iterator[PlacedGate]:
    """exp(iγ) U(θ, φ, λ) under a control: U = exp(i(φ+λ)/2) RZ(φ) RY(θ) RZ(λ), angle by angle."""
    if name == "cu1":
        yield PlacedGate("cp", (control, target), angles)
        return
    theta, phi, lam, *gamma = angles
    for angle in (*gamma, phi / 2, lam / 2):
        yield PlacedGate("p", (control,), (angle,))
    for gate, angle in (("crz", lam), ("cry", theta), ("crz", phi)):
        yield PlacedGate(gate, (control, target), (angle,))


def _is_standard(operation: Operation) -> bool:
    """Whether it is the gate of Qiskit's own library that its name says: a user's may be called
    `rx` too.
    """
    base = getattr(operation, "base_class", None)
    return base is not None and _STANDARD.get(operation.name) is base


def _definition(operation: Operation) -> QuantumCircuit | None:
    """The definition that the gate's class gives; None if it gives none."""
    if not isinstance(operation, Instruction):
        return None
    try:
        return operation.definition
    except Exception as exc:  # code of the user's own class
        raise _gate_error(
            f"the gate {operation.name} cannot be decomposed: {_reason(exc)}",
            operation.name,
            _fix_for(operation),
        ) from exc


def _synthesised(operation: Operation) -> QuantumCircuit:
    """The operation in gates of our table, found by Qiskit's transpiler."""
    circuit = QuantumCircuit(operation.num_qubits, operation.num_clbits)
    try:
        circuit.append(operation, circuit.qubits, circuit.clbits)
        found = transpile(
            circuit, basis_gates=[*GATES, "id"], optimization_level=0, seed_transpiler=0
        )
    except _FAILURES as exc:
        raise _gate_error(
            f"no decomposition of {operation.name} into {', '.join(GATES)} was found: "
            f"{_reason(exc)}",
            operation.name,
            _fix_for(operation),
        ) from exc
    left = sorted(set(found.count_ops()) - GATES.keys() - {"id", "barrier", "global_phase"})
    if left:
        raise _gate_error(f"no decomposition of {left[0]} was found", left[0], _fix_for(operation))
    return found


def _fix_for(operation: Operation) -> str:
    angles = getattr(operation, "params", ())
    if any(isinstance(angle, ParameterExpression) and angle.parameters for angle in angles):
        return "Give it constant angles, or write it as gates that take parameters."
    if isinstance(operation, AnnotatedOperation):
        return "Build it with annotated=False."
    return "Decompose the gate yourself before passing the circuit."


def _reason(exc: Exception) -> str:
    return str(getattr(exc, "message", "") or exc).strip("'\" ") or type(exc).__name__


def _gate_error(message: str, value: str, fix: str) -> CircuitError:
    return CircuitError(message, field="circuit", value=value, fix=fix)
