"""Statements of an OpenQASM program that decide what runs next, all before the circuit runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qstore_ray.circuits.qasm.arithmetic import Qubits
from qstore_ray.circuits.qasm.declarations import measured_or_value
from qstore_ray.circuits.qasm.state import Jump, ProgramState
from qstore_ray.circuits.qasm.tokens import Token

MOST_REPEATS = 10_000
"""Maximum number of iterations of a `while`, whose condition may hold forever."""


def run_if(state: ProgramState, token: Token) -> None:
    """Run what an `if` decides for, the block behind it or behind its `else`."""
    state.cursor.expect("(")
    holds = state.values.truth("if")
    state.cursor.expect(")")
    for runs in (holds, not holds):
        _run_or_skip(state, runs)
        if not state.cursor.accept("else"):
            return
    state.cursor.refuse("two else follow one if", token)


def run_for(state: ProgramState, token: Token) -> None:
    """Run the loop behind a `for`, once for each element."""
    kind = state.cursor.take()
    if state.cursor.accept("["):
        state.size()
    name = kind if state.cursor.sees("in") else state.cursor.identifier()
    state.cursor.expect("in")
    if state.cursor.accept("["):
        elements: list[Any] = list(state.values.span(None))
        state.cursor.expect("]")
    elif state.cursor.sees("{") and kind.text not in ("float", "angle"):
        elements = list(state.values.span(None))
    else:
        elements = _elements(state, token)
    start = state.cursor.at
    state.cursor.skip_statement()
    end = state.cursor.at
    for element in elements:
        state.cursor.at = start
        value = state.values.converted(name, kind.text, element)
        state.values.scopes.append({name.text: value})
        try:
            if _breaks(state):
                break
        finally:
            state.values.scopes.pop()
    state.cursor.at = end


def _breaks(state: ProgramState) -> bool:
    """Run the body of a loop once; whether it left the loop."""
    try:
        state.block(state)
    except Jump as away:
        if away.kind not in ("break", "continue"):
            raise
        return away.kind == "break"
    return False


def run_while(state: ProgramState, token: Token) -> None:
    """Run the loop behind a `while`, as long as what it asks is known and holds."""
    start = state.cursor.at
    for _ in range(MOST_REPEATS + 1):
        state.cursor.at = start
        state.cursor.expect("(")
        holds = state.values.truth("while")
        state.cursor.expect(")")
        body = state.cursor.at
        if not holds or _breaks(state):
            state.cursor.at = body
            state.cursor.skip_statement()
            return
    state.cursor.refuse(f"this while runs more than {MOST_REPEATS:,} times", token)


def run_switch(state: ProgramState, token: Token) -> None:
    """Run the case, behind a `switch`, that has its value, or the default."""
    state.cursor.expect("(")
    value = state.values.case("switch")
    state.cursor.expect(")")
    state.cursor.expect("{")
    seen: list[int] = []
    while state.cursor.accept("case"):
        labels = _labels(state, seen)
        seen += labels
        _run_or_skip(state, value in labels)
    if state.cursor.accept("default"):
        _run_or_skip(state, value not in seen)
    if not state.cursor.accept("}"):
        state.cursor.refuse("a switch holds cases, and at its end perhaps one default", token)


def _labels(state: ProgramState, seen: Sequence[int]) -> list[int]:
    labels: list[int] = []
    while not state.cursor.sees("{"):
        token = state.cursor.token
        labels.append(state.values.case("case"))
        if labels[-1] in (*seen, *labels[:-1]):
            state.cursor.refuse(f"case {labels[-1]} stands twice in a switch", token)
        if not state.cursor.sees("{"):
            state.cursor.expect(",")
    return labels


def _run_or_skip(state: ProgramState, runs: bool) -> None:
    if runs:
        state.block(state)
    else:
        state.cursor.skip_statement()


def _elements(state: ProgramState, token: Token) -> list[Any]:
    value = state.values.expression()
    if isinstance(value, Qubits):
        return [Qubits((number,), single=True) for number in value.numbers]
    if not isinstance(value, list):
        state.cursor.refuse("a loop needs a range, a set or an array", token)
    return value


def jump(state: ProgramState, token: Token) -> None:
    """Leave what the `break`, `continue`, `return` or `end` at `token` leaves.

    Raises:
        Jump: in every case.
    """
    value = None
    if token.text == "return" and not state.cursor.sees(";"):
        value = measured_or_value(state)
    raise Jump(token, value)
