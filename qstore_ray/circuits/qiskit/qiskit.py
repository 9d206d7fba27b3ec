"""Circuits from Qiskit, and back.

A `QuantumCircuit` has one kind of parameter; a model has two, the features of a row and the
parameters it learns. Which is which is read from the names: `x[0]`, `x_1`, `x2`, `features[3]` are
features, everything else is learned (or say which with `features=`). Then

    2*θ[1] + θ[0] - 0.5     becomes an angle offset + Σ scale·slot
    2*(π − x[0])*(π − x[1]) becomes a further row angle, computed by the encoding
    θ[0] + x[0]             becomes a sum of the two
    θ[0]*x[0]               is refused: it would need the product of a feature and a parameter

Gates outside the table of `gates.py` are written in gates of the table by `qiskit_gates.py`. What
is measured is said by observables, not by the circuit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Operation, Parameter, ParameterExpression, ParameterVector
from qiskit.exceptions import QiskitError

from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.expressions import Formula, Formulas, evaluate, parse
from qstore_ray.circuits.library.row_angles import Features
from qstore_ray.circuits.qiskit.gates import in_our_gates
from qstore_ray.circuits.slots import FeatureNames, Slots, feature_names, read_slots
from qstore_ray.circuits.template import Angle, Op, Template, const, param, row
from qstore_ray.errors import CircuitError

__all__ = ["OWN_SLOTS", "as_circuit", "from_qiskit", "to_qiskit"]

_ELEMENT = re.compile(r"(.*)\[(\d+)\]")
_FAILURES = (ArithmeticError, ValueError, TypeError, RuntimeError, QiskitError)
"""Errors that Qiskit's expressions raise at undefined points."""
_POINTS = (0.3, 0.8, 1.3)
_SURELY = 1e-3
OWN_SLOTS = "qstore_ray"
"""Key of a circuit's metadata: (A, P) of a template that was written by this package."""
TEXT_ORDER = "qstore_ray_text_order"
"""Key of a circuit's metadata: its parameters are in the order of `_theta_10_` as text."""


def from_qiskit(
    circuit: QuantumCircuit,
    *,
    features: FeatureNames | Parameter | ParameterVector | Sequence[Parameter] | None = None,
    n_features: int | None = None,
) -> Circuit:
    """The circuit of a Qiskit circuit; parameters keep Qiskit's sorted order, vectors by number.

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
    names = _names(circuit)
    own = (circuit.metadata or {}).get(OWN_SLOTS)
    slots = read_slots(names, feature_names(features), n_features, own=own)
    formulas: list[Formula] = []
    ops = []
    gates, kept = in_our_gates(circuit)
    for gate in gates:
        angles = tuple(_angle(value, slots, formulas, gate.name) for value in gate.angles)
        ops.append(Op(gate.name, gate.qubits, angles))
    n = slots.n_features
    template = Template(len(kept), tuple(ops), n + len(formulas), slots.n_params)
    encode = Formulas(n, tuple(formulas)) if formulas else Features()
    left_out = kept != tuple(range(circuit.num_qubits))
    return Circuit(template, n, circuit.name, encode, wires=kept if left_out else ())


def as_circuit(given: QuantumCircuit | Operation) -> QuantumCircuit:
    """The circuit itself, or the circuit of a single instruction or gate."""
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


def _names(circuit: QuantumCircuit) -> list[str]:
    """Names of the parameters in Qiskit's order, with `θ[2]` always before `θ[10]`."""
    names = [p.name for p in circuit.parameters]
    as_text = (circuit.metadata or {}).get(TEXT_ORDER)

    def key(name: str) -> tuple[str, int]:
        match = _ELEMENT.fullmatch(name)
        if match is None:
            return name, -1
        return (f"_{match[1]}_{match[2]}_", -1) if as_text else (f"{match[1]}[", int(match[2]))

    return sorted(names, key=key)


def _angle(
    value: float | ParameterExpression, slots: Slots, formulas: list[Formula], gate: str
) -> Angle:
    """The angle that a gate's parameter writes; a formula of features is added to `formulas`."""
    if not isinstance(value, ParameterExpression):
        return const(_real(value, gate))
    used = list(value.parameters)
    if not used:
        return const(_real(_numeric(value, gate), gate))
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
        raise _not_affine_error(gate, value, [p for p, slope in slopes if slope is None])
    angle = _angle(_bound(value, apart, gate), slots, formulas, gate)
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


def _not_affine_error(
    gate: str, value: ParameterExpression, bent: Sequence[Parameter]
) -> CircuitError:
    names = ", ".join(sorted(p.name for p in bent))
    return CircuitError(
        f"an angle of {gate} must be a sum of trained parameters, each times a number, and is not "
        f"in {names}",
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
    except _FAILURES:
        return  # not defined at this point
    if isinstance(expected, complex):
        return  # nor over the reals
    with np.errstate(all="ignore"):
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
    if scale is None:
        return None
    try:
        offset = value.bind({p: 0.0}).numeric()
    except _FAILURES:  # not defined at 0: no line, though its slope is constant elsewhere
        return None
    return None if isinstance(offset, complex) else (scale, float(offset))


def _slope(value: ParameterExpression, p: Parameter) -> float | None:
    """∂value/∂p if it is a number, else None."""
    if _is_curved(value, p):
        return None
    try:
        slope = value.gradient(p)
        if isinstance(slope, ParameterExpression):
            slope = p if slope.parameters else slope.numeric()
    except _FAILURES:  # Qiskit cannot derive `sign`, nor divide by zero
        return None
    return float(slope) if isinstance(slope, int | float) else None


def _is_curved(value: ParameterExpression, p: Parameter) -> bool:
    """Whether values at three points in `p` show, well above rounding, that it is no line.

    Qiskit's derivative of a product of products takes time that grows as its square at each level.
    """
    at = {other: 0.37 + 0.11 * k for k, other in enumerate(value.parameters)}
    try:
        a, b, c = (value.bind({**at, p: point}).numeric() for point in _POINTS)
    except _FAILURES:  # not defined there
        return False
    return bool(abs(a - 2 * b + c) > _SURELY * (1 + abs(a) + abs(b) + abs(c)))


def _bound(
    value: ParameterExpression, at_zero: Sequence[Parameter], gate: str
) -> ParameterExpression:
    try:
        return value.bind(dict.fromkeys(at_zero, 0.0))
    except _FAILURES as exc:
        raise CircuitError(
            f"an angle of {gate} has no value where its parameters are 0: {exc}",
            field="circuit",
            value=str(value),
        ) from exc


def _numeric(value: ParameterExpression, gate: str) -> complex:
    try:
        return complex(value.numeric())
    except _FAILURES as exc:
        raise CircuitError(
            f"an angle of {gate} has no value: {exc}", field="circuit", value=str(value)
        ) from exc


def _real(value: complex, gate: str) -> float:
    try:
        if value.imag:
            raise CircuitError(f"an angle of {gate} must be real", field="circuit", value=value)
        return float(value.real)
    except (AttributeError, TypeError, OverflowError) as exc:
        raise CircuitError(
            f"an angle of {gate} must be a number", field="circuit", value=value
        ) from exc


def _expression(angle: Angle, slots: dict[str, ParameterVector]) -> float | ParameterExpression:
    total: float | ParameterExpression = angle.offset
    for kind, slot, scale in angle.terms:
        scaled = slots[kind][slot] if scale == 1.0 else scale * slots[kind][slot]
        total = scaled + total
    return total
