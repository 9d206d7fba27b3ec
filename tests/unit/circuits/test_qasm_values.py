"""Values in OpenQASM: what an angle may be computed from, and what is refused at which place."""

from __future__ import annotations

import pytest

from qstore_ray.circuits.qasm.reader import from_text
from qstore_ray.errors import CircuitError

HEAD = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\n'


@pytest.mark.parametrize(
    ("body", "angle"),
    [
        ("rx(sizeof(q)) q[0];", 2.0),
        ("rx(sizeof({1, 2, 5})) q[0];", 3.0),
        ("array[float, 2] a = {1.0, 2.0}; rx(sizeof(a)) q[0];", 2.0),
        ("rx(pow(2, 3) - mod(7, 4)) q[0];", 5.0),
        ("rx(int(2.9)) q[0];", 2.0),
        ("rx(2 ** 3 ** 0) q[0];", 2.0),
    ],
)
def test_an_angle_is_computed(body, angle):
    (op,) = from_text(HEAD + body).template.ops
    assert op.angles[0].offset == angle


def test_an_input_stays_one_through_a_cast():
    (op,) = from_text(f"{HEAD}input float x; rx(float(x)) q[0];").template.ops
    assert [term.scale for term in op.angles[0].terms] == [1.0]


@pytest.mark.parametrize(
    ("body", "column", "words"),
    [
        ("const int a = 1; const int a = 2;", 28, "a is declared twice"),
        ("input float _x_3_; input float _x_3_;", 32, "x[3] is declared twice"),
        ("rx(measure q[0]) q[0];", 4, "a measurement stands inside an expression"),
        ("bit c; c = measure q[0]; rx(sin(c)) q[0];", 29, "an angle is the result of a measure"),
        ("rx(pow(2)) q[0];", 4, "pow takes two values"),
        ("rx(sin(1, 2)) q[0];", 4, "sin takes one value"),
        ("rx(sizeof(3)) q[0];", 4, "sizeof takes a register or an array"),
        ("rx(sizeof(1.5)) q[0];", 4, "sizeof takes a register or an array"),
        ("rx(bool(q)) q[0];", 4, "a register or an array cannot be made bool"),
        ("rx(int(1e400)) q[0];", 4, "cannot make it int"),
        ("rx(1e400) q[0];", 4, "an angle is inf"),
        ("rx(10 ** 400) q[0];", 4, "an angle is too large a number"),
        (f"rx({'9' * 5000}) q[0];", 4, "a number is too long"),
        (f"rx({'**'.join('1' * 300)}) q[0];", 182, "too many powers in one another"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_a_value_that_cannot_be_is_refused_at_its_place(body, column, words):
    with pytest.raises(CircuitError) as caught:
        from_text(f"{HEAD}{body}\n", name="mine.qasm")
    assert f"mine.qasm, line 4, column {column}: {words}" in caught.value.message
