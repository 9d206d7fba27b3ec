"""Calls of gates and of subroutines in an OpenQASM program."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from qiskit.circuit import ParameterExpression
from qiskit.exceptions import QiskitError

from qstore_ray.circuits.library.library import MAX_QUBITS
from qstore_ray.circuits.qasm.arithmetic import Qubits
from qstore_ray.circuits.qasm.gates import (
    MS_DEFAULT,
    Applied,
    Modifier,
    check_call,
    dialect_text,
    modified,
    nearest,
    phase,
    standard_gate,
    standard_gates,
)
from qstore_ray.circuits.qasm.qasm import DEFINITIONS
from qstore_ray.circuits.qasm.state import GateDefinition, Jump, ProgramState
from qstore_ray.circuits.qasm.tokens import Cursor, Token

MODIFIERS = frozenset({"ctrl", "negctrl", "inv", "pow"})
"""Words that stand in front of a gate, before an @."""

_IDLE = ("id", "i", "u0", "gphase")


def call_subroutine(state: ProgramState, token: Token, inside: bool = False) -> Any:
    """What the `def` at `token` returns, once it has run; `inside` an expression or alone."""
    routine = state.subroutines[token.text]
    given: dict[str, Any] = {}
    if not state.cursor.accept("("):
        state.cursor.refuse(
            f"{token.text} is a subroutine, and its arguments stand in brackets",
            token,
            value=token.text,
            fix=f"Write {token.text}({', '.join(one.name for one in routine.arguments)});",
        )
    for name, kind, size, quantum in routine.arguments:
        if given:
            state.cursor.expect(",")
        if quantum:
            value: Any = state.operand()
        else:
            value = state.values.converted(token, kind, state.values.expression())
        if quantum and len(value.numbers) != (size or 1):
            wanted = f"a register of {size} qubits" if size else "a single qubit"
            state.cursor.refuse(f"{name} of {token.text} is {wanted}", token)
        given[name] = value
    state.cursor.expect(")")
    if not inside:
        state.cursor.expect(";")
    back, scopes = state.cursor.at, state.values.scopes
    state.values.scopes = [scopes[0], given]
    state.depth += 1  # an expression that calls is deeper in Python's own stack than a block
    value = None
    try:
        state.cursor.at = routine.body - 1
        state.block(state)
    except Jump as jump:
        if jump.kind != "return":
            raise
        value = jump.value
    finally:
        state.cursor.at, state.values.scopes = back, scopes
        state.depth -= 1
    if inside and value is None:
        state.cursor.refuse(f"{token.text} returns no value", token, value=token.text)
    return state.values.converted(token, routine.returns, value)


def run_gate_call(state: ProgramState) -> None:
    """Apply the gate whose call is next, modifiers, angles, qubits and semicolon."""
    modifiers = []
    while state.cursor.token.text in MODIFIERS:
        modifiers.append(_modifier(state))
    token = state.cursor.identifier()
    angles = _angles(state) if state.cursor.accept("(") else []
    if state.cursor.accept("["):  # the duration of a gate
        state.cursor.skip_to("]")
        state.cursor.expect("]")
    operands = state.operands()
    for qubits in _broadcast(state, operands, token):
        if len(set(qubits)) < len(qubits):
            state.cursor.refuse(f"{token.text} acts on one qubit twice", token)
        if token.text not in _IDLE or token.text in state.gates:
            state.gate(token.text, qubits, token)
        found = _applied(state, token, angles, qubits, modifiers)
        state.ops.extend(found)
        state.steps += len(found)


def _angles(state: ProgramState) -> list[Any]:
    angles = []
    while not state.cursor.accept(")"):
        angles.append(state.values.angle())
        if not state.cursor.sees(")"):
            state.cursor.expect(",")
    return angles


def _modifier(state: ProgramState) -> Modifier:
    kind = state.cursor.take()
    value: Any = 1
    if state.cursor.accept("("):
        value = state.values.angle() if kind.text == "pow" else state.values.whole("a number")
        state.cursor.expect(")")
    if isinstance(value, ParameterExpression):
        state.cursor.refuse("the exponent of pow is no constant", kind)
    if kind.text in ("ctrl", "negctrl") and not 1 <= value <= MAX_QUBITS:
        state.cursor.refuse(f"a gate with {value} controls", kind)
    state.cursor.expect("@")
    return Modifier(kind.text, value)


def _broadcast(state: ProgramState, operands: list[Qubits], token: Token) -> list[tuple[int, ...]]:
    sizes = {len(operand.numbers) for operand in operands if not operand.single}
    if len(sizes) > 1:
        state.cursor.refuse(f"{token.text} on registers of different sizes", token)
    if not sizes:
        return [tuple(operand.numbers[0] for operand in operands)]
    return [
        tuple(operand.numbers[0 if operand.single else k] for operand in operands)
        for k in range(sizes.pop())
    ]


def _applied(
    state: ProgramState,
    token: Token,
    angles: list[Any],
    qubits: tuple[int, ...],
    modifiers: list[Modifier],
) -> list[Applied]:
    n_controls = sum(int(m.value) for m in modifiers if m.kind in ("ctrl", "negctrl"))
    if n_controls and len(qubits) < n_controls:
        state.cursor.refuse(f"{token.text} lacks the qubits of its controls", token)
    own = qubits[n_controls:]
    try:
        ops = _plain(state, token, angles, own)
        for modifier in reversed(modifiers):
            controls: tuple[int, ...] = ()
            if modifier.kind in ("ctrl", "negctrl"):
                n_controls -= int(modifier.value)
                controls = qubits[n_controls : n_controls + int(modifier.value)]
            ops = modified(ops, modifier, controls)
    except (ValueError, TypeError, ArithmeticError, QiskitError) as exc:
        reason = str(exc).strip("'\" ") or type(exc).__name__
        raise state.cursor.error(f"{token.text}: {reason}", token, value=token.text) from exc
    return ops


def _plain(
    state: ProgramState, token: Token, angles: list[Any], qubits: tuple[int, ...]
) -> list[Applied]:
    name = token.text
    if name in state.gates:
        return _expanded(state, state.gates[name], angles, qubits)
    if name == "gphase":
        check_call(len(angles), 0, 1, 0)
        return [phase(angles[0])]
    if name in state.opaque and name not in ("id", "u0"):
        state.cursor.refuse(
            f"the gate {name} is opaque, so nobody knows what it does",
            token,
            value=name,
            fix=f"Define it: gate {name} … {{ … }}.",
        )
    if (gate := standard_gate(name, angles, len(qubits))) is not None:
        return [Applied(gate, qubits)]
    if (definition := _dialect().get(name)) is not None:
        if name == "ms" and len(angles) == 2:
            angles = [*angles, MS_DEFAULT]
        return _expanded(state, definition, angles, qubits)
    near = nearest(name, [*state.gates, *state.subroutines, *standard_gates(), *_dialect()])
    raise state.cursor.error(
        f"no gate {name} is known",
        token,
        value=name,
        fix=f"{near}Or define it in the text: gate {name} … {{ … }}.",
    )


def _expanded(
    state: ProgramState,
    gate: GateDefinition,
    angles: list[Any],
    qubits: tuple[int, ...],
) -> list[Applied]:
    check_call(len(angles), len(qubits), len(gate.angles), len(gate.qubits))
    scope = dict(zip(gate.angles, angles, strict=True))
    scope |= {
        name: Qubits((qubit,), single=True) for name, qubit in zip(gate.qubits, qubits, strict=True)
    }
    inner = ProgramState(gate.cursor, state.block)
    inner.depth, inner.steps, inner.history = state.depth + 1, state.steps, state.history
    if gate.cursor is state.cursor:
        inner.gates, inner.opaque = state.gates, state.opaque
        inner.values.scopes = [state.values.scopes[0]]
    inner.values.version = state.values.version if gate.cursor is state.cursor else 3
    inner.values.scopes = [*inner.values.scopes, scope]
    back, gate.cursor.at = gate.cursor.at, gate.body - 1
    try:
        state.block(inner)
    finally:
        gate.cursor.at = back
    state.steps = inner.steps
    return inner.ops


def define_gate(state: ProgramState) -> None:
    """Keep the gate whose definition is next, behind the word `gate`.

    Where our own writer defined a gate of our table for other programs, it is that gate.
    """
    name = state.cursor.identifier()
    angles = _names(state, ")") if state.cursor.accept("(") else ()
    qubits = _names(state, "{")
    if len({*angles, *qubits}) < len(angles) + len(qubits):
        state.cursor.refuse(f"two arguments of gate {name.text} have one name", name)
    body = state.cursor.at
    state.cursor.skip_to("}")
    end = state.cursor.expect("}").place + 1
    text = state.cursor.text[name.place : end]
    earlier = state.gates.get(name.text)
    if earlier is not None and earlier.text.split() != text.split():
        state.cursor.refuse(
            f"gate {name.text} is defined twice, in two ways",
            name,
            fix="Give each definition its own name.",
        )
    if text != DEFINITIONS.get(name.text, "").removeprefix("gate "):
        state.gates[name.text] = GateDefinition(angles, qubits, body, state.cursor, text)


def _names(state: ProgramState, end: str) -> tuple[str, ...]:
    names = []
    while not state.cursor.accept(end):
        names.append(state.cursor.identifier().text)
        if not state.cursor.sees(end):
            state.cursor.expect(",")
    return tuple(names)


@lru_cache(maxsize=1)
def _dialect() -> dict[str, GateDefinition]:
    state = ProgramState(Cursor(dialect_text(), "the gates of dialects"), _no_block)
    while state.cursor.accept("gate"):
        define_gate(state)
    return state.gates


def _no_block(state: ProgramState) -> None:
    """Definitions are kept, not run."""
