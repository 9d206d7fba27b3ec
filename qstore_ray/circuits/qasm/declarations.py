"""Statements of an OpenQASM program that declare a name or change what it means."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from qstore_ray.circuits.qasm.arithmetic import Qubits, Unknown, kind_of
from qstore_ray.circuits.qasm.state import ProgramState
from qstore_ray.circuits.qasm.tokens import Token

TYPES = frozenset({"float", "int", "uint", "angle", "bool", "bit", "complex", "duration", "array"})
"""Words that begin the declaration of a classical variable."""
_MOST_INPUTS = 100_000
_MOST_DIMENSIONS = 7
"""As many as an array of OpenQASM 3 has."""


def _quantum(state: ProgramState, token: Token) -> None:
    size = None
    if token.text == "qubit" and state.cursor.accept("["):
        size = state.size()
    name = state.cursor.identifier()
    if token.text == "qreg" and state.cursor.accept("["):
        size = state.size()
    state.cursor.expect(";")
    numbers = state.new_qubits(1 if size is None else size, name)
    state.values.declare(name, Qubits(numbers, single=size is None))


def _creg(state: ProgramState, _: Token) -> None:
    name = state.cursor.identifier()
    size = state.size() if state.cursor.accept("[") else None
    _bits(state, name, size)


def _bits(state: ProgramState, name: Token, size: int | None) -> None:
    value: Any = Unknown(size, unwritten=state.values.version == 2)
    if state.cursor.accept("="):
        value = measured_or_value(state)
    state.cursor.expect(";")
    state.values.declare(name, value)


def measured_or_value(state: ProgramState) -> Any:
    """The value behind an =: of an expression, or the unknown bits of a measurement."""
    if state.cursor.accept("measure"):
        qubits = state.operand()
        state.measure(qubits)
        return Unknown(None if qubits.single else len(qubits.numbers))
    return state.values.expression()


def declare_classical(state: ProgramState, constant: bool = False) -> None:
    """Declare the variable whose type is next; a `constant` has to have a value."""
    kind = element = state.cursor.take()
    size = None
    if kind.text == "array":
        state.cursor.expect("[")
        element = state.cursor.token
        state.cursor.skip_to("]")
        state.cursor.expect("]")
    elif state.cursor.accept("["):
        if kind.text == "bit":
            size = state.size()
        else:
            state.cursor.skip_to("]")
            state.cursor.expect("]")
    name = state.cursor.identifier()
    if kind.text == "bit":
        _bits(state, name, size)
        return
    value: Any = Unknown(kind=element.text)
    if state.cursor.accept("="):
        value = measured_or_value(state)
    elif constant:
        state.cursor.refuse(f"the constant {name.text} has no value", name)
    state.cursor.expect(";")
    state.values.declare(name, state.values.converted(name, element.text, value))


def _const(state: ProgramState, _: Token) -> None:
    declare_classical(state, constant=True)


def _input(state: ProgramState, _: Token) -> None:
    kind = state.cursor.take()
    if kind.text == "array":
        _input_array(state)
        return
    if kind.text not in ("float", "angle"):
        state.cursor.refuse(
            f"an input of type {kind.text} is no angle",
            kind,
            value=kind.text,
            fix="Declare features and parameters as input float.",
        )
    if state.cursor.accept("["):
        state.size()
    name = state.cursor.identifier()
    state.cursor.expect(";")
    state.values.declare(name, state.values.new_input(name, name.text))


def _input_array(state: ProgramState) -> None:
    state.cursor.expect("[")
    kind = state.cursor.take()
    if state.cursor.accept("["):
        state.size()
    sizes = []
    while state.cursor.accept(","):
        sizes.append(state.values.whole("a size"))
    state.cursor.expect("]")
    name = state.cursor.identifier()
    state.cursor.expect(";")
    if kind.text not in ("float", "angle") or not 1 <= len(sizes) <= _MOST_DIMENSIONS:
        state.cursor.refuse(
            f"an input array holds float or angle in 1 to {_MOST_DIMENSIONS} dimensions",
            kind,
            value=name.text,
            fix=f"Declare input array[float, 4] {name.text};",
        )
    length = math.prod(sizes)
    if min(sizes) < 1 or length > _MOST_INPUTS:
        state.cursor.refuse(f"an array of {' · '.join(map(str, sizes))} elements", name)
    elements: list[Any] = [state.values.new_input(name, f"{name.text}[{k}]") for k in range(length)]
    for size in reversed(sizes[1:]):  # the last index runs fastest
        elements = [elements[k : k + size] for k in range(0, len(elements), size)]
    state.values.declare(name, elements)


def _output(state: ProgramState, _: Token) -> None:
    declare_classical(state)


def _let(state: ProgramState, _: Token) -> None:
    name = state.cursor.identifier()
    state.cursor.expect("=")
    qubits = state.operand()
    numbers = list(qubits.numbers)
    while state.cursor.accept("++"):
        numbers += state.operand().numbers
    state.cursor.expect(";")
    state.values.declare(name, Qubits(tuple(numbers), qubits.single and len(numbers) == 1))


def run_assignment(state: ProgramState, token: Token) -> None:
    """Give the variable at `token`, or its element, another value."""
    target, place = state.values.look_up(token.text), None
    is_part = state.cursor.sees("[")
    if isinstance(target, list) and state.cursor.accept("["):
        place = state.values.whole("an index")
        state.cursor.expect("]")
        if not -len(target) <= place < len(target):
            state.cursor.refuse(f"index {place} is outside 0 to {len(target) - 1}", token)
    else:
        if is_part and type(target) is int:
            state.cursor.refuse("a bit of a number cannot be assigned", token, value=token.text)
        state.values.index(target)
    symbol = state.cursor.take()
    if not symbol.text.endswith("="):
        state.cursor.refuse(f"'=' is missing before {symbol.text!r}", symbol)
    value = measured_or_value(state)
    state.cursor.expect(";")
    old = target if place is None else target[place]
    if symbol.text != "=":
        value = state.values.computed(symbol._replace(text=symbol.text[:-1]), old, value)
    value = state.values.converted(token, kind_of(old), value)
    if place is not None:
        target[place] = value
    elif is_part:  # the bits stay unknown even if some of them are assigned
        state.values.write_bits(token.text)
    else:
        scope = next(scope for scope in reversed(state.values.scopes) if token.text in scope)
        scope[token.text] = value


DECLARATIONS: dict[str, Callable[[ProgramState, Token], None]] = {
    "qubit": _quantum,
    "qreg": _quantum,
    "creg": _creg,
    "const": _const,
    "input": _input,
    "output": _output,
    "let": _let,
}
"""Declarations by the word that they begin with, which is taken already."""
