"""Circuits from Qiskit, and back.

A `QuantumCircuit` has one kind of parameter; a model has two, the features of a row and the
parameters it learns. Which is which is read from the names: `x[0]`, `x_1`, `x2`, `features[3]` are
features, everything else is learned (or say which with `features=`). Then

    2*θ[1] + θ[0] - 0.5     becomes an angle offset + Σ scale·slot
    2*(π − x[0])*(π − x[1]) becomes a further row angle, computed by the encoding
    θ[0] + x[0]             becomes a sum of the two
    θ[0]*x[0]               is refused: it would need the product of a feature and a parameter

Gates outside the table of `gates.py` are written in gates of the table by Qiskit's transpiler,
without optimisation. Global phases are dropped: no expectation value depends on them. Final
measurements and barriers are dropped too; what is measured is said by observables.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Instruction, Operation, Parameter, ParameterExpression, ParameterVector
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.exceptions import QiskitError

from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.expressions import Formula, Formulas, evaluate, parse
from qstore_ray.circuits.gates import GATES
from qstore_ray.circuits.row_angles import Features
from qstore_ray.circuits.slots import FeatureNames, Slots, feature_names, read_slots
from qstore_ray.circuits.template import Angle, Op, Template, const, param, row
from qstore_ray.errors import CircuitError

__all__ = ["OWN_SLOTS", "as_circuit", "from_qiskit", "to_qiskit"]

_STANDARD = {name: gate.base_class for name, gate in get_standard_gate_name_mapping().items()}
_WITHOUT_EFFECT = ("barrier", "id", "global_phase")
_REFUSED = {
    "reset": "Start every qubit in |0⟩ and use fresh qubits instead of resetting.",
    "initialize": "Use the encoding amplitude, or the gate StatePreparation.",
    "delay": "Remove delays; circuits here are gates only.",
    **dict.fromkeys(
        ("if_else", "for_loop", "while_loop", "switch_case", "box", "store"),
        "Write the circuit without classical control: gates and parameters only.",
    ),
}
OWN_SLOTS = "qstore_ray"
"""Key of a circuit's metadata: (A, P) of a template that was written by this package."""


def from_qiskit(
    circuit: QuantumCircuit,
    *,
    features: FeatureNames | Parameter | ParameterVector | Sequence[Parameter] | None = None,
    n_features: int | None = None,
) -> Circuit:
    """The circuit of a Qiskit circuit; parameters keep Qiskit's sorted order.

    Args:
        circuit: gates with parameters, of any subclass; final measurements and barriers are
            dropped.
        features: which parameters are features: names or parameters in the order of the columns, a
            vector, the stem of numbered names, or a test of a name; without it `x`, `feature`,
            `features`.
        n_features: F, where the data have more columns than the circuit uses.

    Raises:
        CircuitError: mid-circuit measurement, reset or classical control; a gate without
            decomposition; an angle that is no affine sum; a feature that no parameter is.
    """
    names = [p.name for p in circuit.parameters]
    own = (circuit.metadata or {}).get(OWN_SLOTS)
    slots = read_slots(names, feature_names(features), n_features, own=own)
    converted = _in_our_gates(circuit)
    formulas: list[Formula] = []
    ops = []
    for instruction in converted.data:
        gate = instruction.operation
        if gate.name not in _WITHOUT_EFFECT:
            qubits = tuple(converted.find_bit(qubit).index for qubit in instruction.qubits)
            angles = tuple(_angle(value, slots, formulas) for value in gate.params)
            ops.append(Op(gate.name, qubits, angles))
    n = slots.n_features
    template = Template(circuit.num_qubits, tuple(ops), n + len(formulas), slots.n_params)
    encode = Formulas(n, tuple(formulas)) if formulas else Features()
    return Circuit(template, n, circuit.name, encode)


def as_circuit(given: QuantumCircuit | Operation) -> QuantumCircuit:
    """The circuit itself, or the one that an instruction or gate alone makes."""
    if isinstance(given, QuantumCircuit):
        return given
    circuit = QuantumCircuit(given.num_qubits, given.num_clbits)
    circuit.append(given, circuit.qubits, circuit.clbits)
    return circuit


def to_qiskit(template: Template) -> QuantumCircuit:
    """The template as a Qiskit circuit with the vectors x (A row angles) and p (P parameters).

    Raises:
        CircuitError: a template that starts from amplitudes, which no gate can write.
    """
    if template.initial != "zeros":
        raise CircuitError(
            "a circuit that starts from amplitudes cannot be written as gates",
            field="initial",
            value=template.initial,
            fix='Convert its gates alone: dataclasses.replace(template, initial="zeros").',
        )
    slots = {"row": ParameterVector("x", template.n_rows)}
    slots["param"] = ParameterVector("p", template.n_params)
    metadata = {OWN_SLOTS: (template.n_rows, template.n_params)}
    circuit = QuantumCircuit(template.n_qubits, metadata=metadata)
    for op in template.ops:
        getattr(circuit, op.gate)(*(_expression(angle, slots) for angle in op.angles), *op.qubits)
    return circuit


def _angle(value: float | ParameterExpression, slots: Slots, formulas: list[Formula]) -> Angle:
    """The angle that a gate's parameter writes; a formula of features is added to `formulas`."""
    if not isinstance(value, ParameterExpression):
        return const(_real(value))
    used = list(value.parameters)
    if not used:
        return const(_real(value.numeric()))
    line = _line(value, used[0]) if len(used) == 1 else None
    if line is not None:
        return _slot(used[0], slots, *line)
    learned = [p for p in used if p.name in slots.params]
    # In a circuit of ours a sum of features is one of row slots; else it is a formula like others.
    apart = used if slots.own and not learned else learned
    if not apart:
        return _of_features(value, slots, formulas)
    slopes = [(p, _slope(value, p)) for p in apart]
    scales = [(p, slope) for p, slope in slopes if slope is not None]
    if len(scales) < len(apart):
        if not learned:
            return _of_features(value, slots, formulas)
        raise _not_affine(value, [p for p, slope in slopes if slope is None])
    angle = _angle(value.bind(dict.fromkeys(apart, 0.0)), slots, formulas)
    for p, scale in scales:
        angle = angle.plus(_slot(p, slots, scale))
    return angle


def _slot(p: Parameter, slots: Slots, scale: float, offset: float = 0.0) -> Angle:
    if p.name in slots.columns:
        return row(slots.columns[p.name], scale, offset)
    return param(slots.params[p.name], scale, offset)


def _of_features(value: ParameterExpression, slots: Slots, formulas: list[Formula]) -> Angle:
    formula = _formula(value, {p: slots.columns[p.name] for p in value.parameters})
    if formula not in formulas:
        formulas.append(formula)
    return row(slots.n_features + formulas.index(formula))


def _not_affine(value: ParameterExpression, bent: Sequence[Parameter]) -> CircuitError:
    names = ", ".join(sorted(p.name for p in bent))
    return CircuitError(
        f"an angle must be a sum of trained parameters, each times a number, and is not in {names}",
        field="circuit",
        value=str(value),
        fix="Write it as a·p + b·q + a formula of the features. A feature may be multiplied by a "
        "trained factor with input_scaling = true; functions of trained parameters are refused.",
    )


def _formula(value: ParameterExpression, columns: dict[Parameter, int]) -> Formula:
    # Names become v0, v1, …: parameters may be called anything, even `lambda`.
    names = {p: Parameter(f"v{column}") for p, column in columns.items()}
    formula = parse(str(value.subs(names)), {names[p].name: columns[p] for p in columns})
    _check_reading(value, formula, columns)
    return formula


def _check_reading(
    value: ParameterExpression, formula: Formula, columns: dict[Parameter, int]
) -> None:
    """The text of an expression is meant for people: compare its reading at one point."""
    x = 0.7310585786 + 0.0531 * np.arange(max(columns.values()) + 1.0)
    try:
        expected = value.bind({p: x[column] for p, column in columns.items()}).numeric()
    except (RuntimeError, ZeroDivisionError):
        return  # not defined at this point
    if isinstance(expected, complex):
        return  # nor over the reals
    found = evaluate(formula, [np.array([number]) for number in x])[0]
    if not np.isclose(found, expected, rtol=1e-9):
        raise CircuitError(
            f"a formula was read as {found:.6g} where Qiskit has {expected:.6g}",
            field="circuit",
            value=str(value),
        )


def _line(value: ParameterExpression, p: Parameter) -> tuple[float, float] | None:
    """(scale, offset) of an expression that is affine in `p`, else None."""
    scale = _slope(value, p)
    return None if scale is None else (scale, _real(value.bind({p: 0.0}).numeric()))


def _slope(value: ParameterExpression, p: Parameter) -> float | None:
    """∂value/∂p where it is a number, else None."""
    try:
        slope = value.gradient(p)
    except RuntimeError:  # Qiskit has no derivative of `sign`
        return None
    if isinstance(slope, ParameterExpression):
        return None if slope.parameters else _real(slope.numeric())
    return _real(slope)


def _real(value: complex) -> float:
    if value.imag:
        raise CircuitError("an angle must be real", field="circuit", value=value)
    return float(value.real)


def _expression(angle: Angle, slots: dict[str, ParameterVector]) -> float | ParameterExpression:
    total: float | ParameterExpression = angle.offset
    for kind, slot, scale in angle.terms:
        scaled = slots[kind][slot] if scale == 1.0 else scale * slots[kind][slot]
        total = scaled + total if total != 0.0 else scaled
    return total


def _in_our_gates(circuit: QuantumCircuit) -> QuantumCircuit:
    plain = _inlined(circuit).remove_final_measurements(inplace=False)
    counts = plain.count_ops()
    if "measure" in counts:
        raise CircuitError(
            "mid-circuit measurement is not supported",
            field="circuit",
            value="measure",
            fix="Measure at the end only; what is measured is said by observables.",
        )
    foreign = sorted(name for name in counts if name not in GATES and name not in _WITHOUT_EFFECT)
    if not foreign:
        return plain
    basis = [*GATES, "id"]
    try:
        return transpile(plain, basis_gates=basis, optimization_level=0)
    except QiskitError as exc:
        raise CircuitError(
            f"no decomposition of {', '.join(foreign)} into {', '.join(GATES)} was found",
            field="circuit",
            value=exc.message,
            fix="Decompose the gate yourself before passing the circuit.",
        ) from exc


def _inlined(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit with every gate that is not Qiskit's own replaced by its definition.

    Also those that bear a name of ours: a file may define a gate `rxx` of its own.
    """
    out = circuit.copy_empty_like()
    for instruction in circuit.data:
        operation = instruction.operation
        if operation.name in _REFUSED:
            raise CircuitError(
                f"{operation.name} is not supported",
                field="circuit",
                value=operation.name,
                fix=_REFUSED[operation.name],
            )
        body = None if _is_standard(operation) else getattr(operation, "definition", None)
        if body is None:
            out.append(instruction)
        else:
            out.compose(_inlined(body), instruction.qubits, instruction.clbits, inplace=True)
    return out


def _is_standard(operation: Instruction) -> bool:
    return operation.name == "barrier" or _STANDARD.get(operation.name) is operation.base_class
