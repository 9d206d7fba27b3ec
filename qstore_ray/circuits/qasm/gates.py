"""The gates that an OpenQASM text may name, and the modifiers in front of them.

Every name of Qiskit's own standard library is known, whether the text includes a library or not.
What only a dialect knows (Braket's, Quantinuum's, older Qiskit's) is defined in `_DIALECTS`, in
OpenQASM, exactly, global phase included, because a definition may stand behind `ctrl @`. A gate
that the text defines itself is always the text's own.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

from qiskit.circuit import Gate, Parameter, QuantumCircuit
from qiskit.circuit.library import (
    C3XGate,
    C4XGate,
    GlobalPhaseGate,
    MCPhaseGate,
    MCXGate,
    UnitaryGate,
    get_standard_gate_name_mapping,
)
from qiskit.quantum_info import Operator

_DIALECTS = """
gate cnot a, b { cx a, b; }
gate ccnot a, b, c { ccx a, b, c; }
gate toffoli a, b, c { ccx a, b, c; }
gate i a { id a; }
gate si a { sdg a; }
gate ti a { tdg a; }
gate v a { sx a; }
gate vi a { sxdg a; }
gate cv a, b { csx a, b; }
gate phaseshift(t) a { p(t) a; }
gate cphaseshift(t) a, b { cp(t) a, b; }
gate cphaseshift00(t) a, b { x a; x b; cp(t) a, b; x a; x b; }
gate cphaseshift01(t) a, b { x a; cp(t) a, b; x a; }
gate cphaseshift10(t) a, b { x b; cp(t) a, b; x b; }
gate xx(t) a, b { rxx(t) a, b; }
gate yy(t) a, b { ryy(t) a, b; }
gate zz(t) a, b { rzz(t) a, b; }
gate xy(t) a, b { rxx(-t / 2) a, b; ryy(-t / 2) a, b; }
gate pswap(t) a, b { swap a, b; cx a, b; p(t) b; cx a, b; }
gate prx(t, f) a { r(t, f) a; }
gate gpi(f) a { x a; rz(2 * f) a; }
gate gpi2(f) a { rz(-f) a; rx(pi / 2) a; rz(f) a; }
gate ms(f, g, t) a, b { rz(-f) a; rz(-g) b; rxx(t) a, b; rz(f) a; rz(g) b; }
gate U1q(t, f) a { rz(-f) a; rx(t) a; rz(f) a; }
gate PhasedX(t, f) a { rz(-f) a; rx(t) a; rz(f) a; }
gate Rx(t) a { rx(t) a; }
gate Ry(t) a { ry(t) a; }
gate Rz(t) a { rz(t) a; }
gate ZZ a, b { rzz(pi / 2) a, b; }
gate ZZMax a, b { rzz(pi / 2) a, b; }
gate ZZPhase(t) a, b { rzz(t) a, b; }
gate RZZ(t) a, b { rzz(t) a, b; }
gate Rxxyyzz(f, g, t) a, b { rxx(f) a, b; ryy(g) a, b; rzz(t) a, b; }
gate CX a, b { cx a, b; }
gate U(t, f, l) a { u(t, f, l) a; }
gate u0(t) a { id a; }
gate phase(t) a { p(t) a; }
gate cphase(t) a, b { cp(t) a, b; }
gate rc3x a, b, c, d { rcccx a, b, c, d; }
gate c3sqrtx a, b, c, d { c3sx a, b, c, d; }
gate iswapdg a, b { inv @ iswap a, b; }
"""
_OF_ANY_WIDTH = ("mcx", "mcx_gray", "mcphase", "mcp", "mcu1")
_MOST_GATES = 100_000
_SCALED = frozenset(
    {"rx", "ry", "rz", "p", "u1", "rxx", "ryy", "rzz", "rzx", "cp", "cu1", "crx", "cry", "crz"}
)


class Applied(NamedTuple):
    """A Qiskit gate on numbered qubits."""

    gate: Gate
    qubits: tuple[int, ...]


class Modifier(NamedTuple):
    """`inv`, `pow` with its exponent, `ctrl` or `negctrl` with the number of controls."""

    kind: str
    value: float = 1


def dialect_text() -> str:
    """Definitions of gates that only some programs know, as OpenQASM source."""
    return _DIALECTS


@cache
def standard_gates() -> dict[str, Gate]:
    """Qiskit's standard gates by name, with placeholders for their angles."""
    gates = {
        name: gate
        for name, gate in get_standard_gate_name_mapping().items()
        if isinstance(gate, Gate) and name != "global_phase"
    }
    return {**gates, "c3x": C3XGate(), "c4x": C4XGate()}


def standard_gate(name: str, angles: list[Any], n_qubits: int) -> Gate | None:
    """Qiskit's gate of this name with these angles; None if no such gate exists.

    Raises:
        ValueError: a wrong number of angles or qubits, as a sentence about it.
    """
    if name in _OF_ANY_WIDTH:
        takes = 0 if name.startswith("mcx") else 1
        _check(len(angles), takes, n_qubits, max(n_qubits, 2))
        return MCPhaseGate(angles[0], n_qubits - 1) if takes else MCXGate(n_qubits - 1)
    gate = standard_gates().get(name)
    if gate is None:
        return None
    _check(len(angles), len(gate.params), n_qubits, gate.num_qubits)
    return gate.base_class(*angles) if angles else gate


def check_call(n_angles: int, n_qubits: int, takes_angles: int, takes_qubits: int) -> None:
    """Raise a ValueError if a gate gets a wrong number of angles or qubits."""
    _check(n_angles, takes_angles, n_qubits, takes_qubits)


def _check(n_angles: int, takes_angles: int, n_qubits: int, takes_qubits: int) -> None:
    if (n_angles, n_qubits) != (takes_angles, takes_qubits):
        raise ValueError(
            f"takes {_count(takes_angles, 'angle')} and {_count(takes_qubits, 'qubit')}, "
            f"not {n_angles} and {n_qubits}"
        )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the known gate whose name is nearest."""
    names = {known_name.lower(): known_name for known_name in sorted(known, reverse=True)}
    near = difflib.get_close_matches(name.lower(), names, n=1)
    return f"Did you mean {names[near[0]]}? " if near else ""


def modified(ops: list[Applied], modifier: Modifier, controls: tuple[int, ...]) -> list[Applied]:
    """What `modifier @` makes of gates; global phases among them are gates on no qubit.

    Raises:
        ValueError: a power of what has no known power, as a sentence about it.
    """
    match modifier.kind:
        case "inv":
            return [Applied(gate.inverse(), qubits) for gate, qubits in reversed(ops)]
        case "pow":
            return _power(ops, modifier.value)
    states = 0 if modifier.kind == "negctrl" else None
    return [found for gate, qubits in ops for found in _controlled(gate, qubits, controls, states)]


def _controlled(
    gate: Gate, qubits: tuple[int, ...], controls: tuple[int, ...], state: int | None
) -> list[Applied]:
    if gate.name == "global_phase":
        if state is None:
            base = MCPhaseGate(gate.params[0], len(controls) - 1) if controls[1:] else None
            phase = base or standard_gate("p", gate.params, 1)
            return [Applied(phase, controls)]
        flips = [Applied(standard_gates()["x"], (qubit,)) for qubit in controls]
        return [*flips, *_controlled(gate, qubits, controls, None), *flips]
    controlled = gate.control(len(controls), ctrl_state=state, annotated=False)
    return [Applied(controlled, (*controls, *qubits))]


def _power(ops: list[Applied], exponent: float) -> list[Applied]:
    if float(exponent).is_integer() and abs(exponent) <= 64:
        once = ops if exponent >= 0 else modified(ops, Modifier("inv"), ())
        if len(once) * abs(exponent) > _MOST_GATES:
            raise ValueError("the power repeats too many gates")
        return once * abs(int(exponent))
    if len(ops) == 1 and ops[0].gate.name in (*_SCALED, "global_phase"):
        gate, qubits = ops[0]
        return [Applied(gate.base_class(exponent * gate.params[0]), qubits)]
    if any(
        isinstance(angle, Parameter) or getattr(angle, "parameters", None)
        for op in ops
        for angle in op.gate.params
    ):
        raise ValueError("a broken power of a gate with parameters is not known")
    qubits = tuple(sorted({qubit for op in ops for qubit in op.qubits}))
    if len(qubits) > 6:
        raise ValueError("a broken power of a gate on more than six qubits is not known")
    circuit = QuantumCircuit(len(qubits))
    for op in ops:
        circuit.append(op.gate, [qubits.index(qubit) for qubit in op.qubits])
    return [Applied(UnitaryGate(Operator(circuit).power(exponent).data), qubits)]


def phase(angle: Any) -> Applied:
    """A global phase, which only a control in front of it makes visible."""
    return Applied(GlobalPhaseGate(angle), ())


MS_DEFAULT = math.pi / 2
"""The third angle of `ms`, if a text gives two."""
