"""Types of OpenQASM 3: a variable keeps its own, and subroutines stand in expressions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.circuits.qasm.program import run_program
from qstore_ray.errors import CircuitError

if TYPE_CHECKING:
    from qiskit.circuit import QuantumCircuit

HEAD = "OPENQASM 3.0;\nqubit[2] q;\n"


def _circuit(text: str) -> QuantumCircuit:
    return run_program(HEAD + text, "t.qasm")


def _angles(text: str) -> list[float]:
    return [float(angle) for call in _circuit(text).data for angle in call.operation.params]


GIVEN = {
    "declared": "{kind} x = {value};",
    "constant": "const {kind} x = {value};",
    "assigned": "{kind} x = 7; x = {value};",
    "assigned later": "{kind} x; x = {value};",
    "sized": "{kind}[32] x = {value};",
    "element": "array[{kind}, 2] a = {{7, {value}}}; {kind} x = a[1];",
    "assigned element": "array[{kind}, 2] a = {{7, 7}}; a[1] = {value}; {kind} x = a[1];",
    "cast": "{kind} x = {kind}({value});",
    "argument": "def f({kind} x, qubit r) {{ rx(x / 2) r; }} f({value}, q[0]);",
    "returned": "def f() -> {kind} {{ return {value}; }} rx(f() / 2) q[0];",
    "element of a loop": "array[float, 1] a = {{{value}}}; for {kind} x in a {{ rx(x / 2) q[0]; }}",
}
"""How `x` of a type gets a value; the last ones halve it themselves."""


@pytest.mark.parametrize("way", [*GIVEN])
@pytest.mark.parametrize(
    ("kind", "value", "half"),
    [
        ("float", "1", 0.5),
        ("angle", "1", 0.5),
        ("float", "true", 0.5),
        ("int", "5", 2.0),
        ("int", "2.9", 1.0),
        ("int", "-2.9", -1.0),
        ("uint", "3.5", 1.0),
    ],
)
def test_a_variable_keeps_its_type(way: str, kind: str, value: str, half: float):
    text = GIVEN[way].format(kind=kind, value=value)
    if "rx" not in text:
        text += " rx(x / 2) q[0];"
    assert _angles(text) == [half]


@given(
    st.sampled_from(["float", "int"]),
    st.lists(
        st.tuples(
            st.sampled_from(["=", "+=", "-=", "*="]),
            st.one_of(st.integers(-9, 9), st.integers(-36, 36).map(lambda k: k / 4)),
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_assignments_are_those_of_typed_numbers(kind: str, steps):
    to = {"float": float, "int": math.trunc}[kind]
    x, text = to(1), f"{kind} x = 1;"
    for sign, value in steps:
        text += f" x {sign} {value};"
        x = to({"=": value, "+=": x + value, "-=": x - value, "*=": x * value}[sign])
    half = x / 2 if kind == "float" else math.trunc(x / 2)
    np.testing.assert_allclose(_angles(f"{text} rx(x / 2) q[0];"), [half])


TWICE = "def f(int n) -> int { return n + 1; } def g(int n) -> float { return n * 2.5; } "


@pytest.mark.parametrize(
    ("text", "angles"),
    [
        ("rx(f(f(0))) q[0];", [2]),
        ("float x = f(1) + g(2) * f(0); rx(x) q[0];", [7]),
        ("rx(-f(1) ** 2) q[0];", [-4]),
        ("rx(0.5) q[f(0)];", [0.5]),
        ("if (f(0) == 1) { rx(0.25) q[0]; } else { rx(1) q[0]; }", [0.25]),
        ("for int i in [0:f(1)] { rx(g(i)) q[0]; }", [0, 2.5, 5]),
        ("def h(int n) -> int { return f(n) * f(n); } rx(h(2)) q[0];", [9]),
        ("def h(qubit r) -> int { rx(1) r; return 2; } rx(h(q[0]) + h(q[1])) q[0];", [1, 1, 4]),
        ("rx(max2(1, f(2))) q[0];", [3]),
        ("def s(int n) -> int { if (n == 0) { return 0; } return n+s(n-1); } rx(s(9)) q[0];", [45]),
        ("int b = 1; def h(int a) -> int { a = 5; return a; } rx(h(b) + b) q[0];", [6]),
        ("array[int, 2] a = {1, 2}; a[f(0)] += f(4); rx(a[1]) q[0];", [7]),
    ],
)  # fmt: skip
def test_subroutines_in_expressions(text: str, angles: list[float]):
    more = "def max2(int a, int b) -> int { if (a > b) { return a; } return b; } "
    assert _angles(TWICE + more + text) == angles


def test_subroutines_of_inputs():
    circuit = _circuit(
        "input float t; def f(float a) -> float { return 2 * a + 1; } rx(f(f(t)) - f(t)) q[0];"
    )
    (angle,) = circuit.data[0].operation.params
    assert float(angle.bind({next(iter(circuit.parameters)): 0.3})) == pytest.approx(
        (2 * 1.6 + 1) - 1.6
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(int n) -> int { return 1 + f(n - 1); } rx(f(1)) q[0];", "too deep"),
        (f"def f(int n) -> int {{ return {'(' * 50}f(n){')' * 50}; }} rx(f(1)) q[0];", "brackets"),
        ("def f(qubit r) { x r; } rx(f(q[0]) + 1) q[0];", "f returns no value"),
        ("def f(qubit r) -> bit { return measure r; } if (f(q[0]) == 1) { x q[1]; }", "if depends"),
        ("def f(int a, int b) -> int { return a; } rx(1 + f(0)) q[0];", "',' is missing"),
        ("rx(1 + f(0)) q[0];", "f is not declared"),
        ("input float t; int n = t; rx(n) q[0];", "an input becomes int"),
        ("input float t; rx(int(t)) q[0];", "an input becomes int"),
        ("float x; rx(x) q[0];", "type float without a value"),
        ("uint n = 3; n[0] = 0; rx(n) q[0];", "a bit of a number"),
        ("uint n = 3; if (n[64] == 0) { x q[0]; }", "outside 0 to 63"),
        ("uint[8] n = -1; rx(n) q[0];", "-1 is negative"),
    ],
    ids=[
        "endless", "brackets", "nothing", "measured", "arguments", "unknown", "input", "cast",
        "no value", "bit", "index", "sign",
    ],
)  # fmt: skip
def test_what_cannot_be_computed_is_refused(text: str, message: str):
    with pytest.raises(CircuitError, match=message) as caught:
        _circuit(text)
    assert "t.qasm, line 3" in str(caught.value)


@given(st.integers(0, 2**40))
def test_bits_of_a_number(number: int):
    text = f"uint[64] n = {number}; for int i in [0:40] {{ if (bool(n[i])) {{ rx(i) q[0]; }} }}"
    assert sum(2 ** int(angle) for angle in _angles(text)) == number
