"""Declarations and assignments of OpenQASM programs, and the parameters that inputs become."""

from __future__ import annotations

import pytest

from qstore_ray.circuits.qasm.program import run_program
from tests.unit.circuits.test_program import V3, gates, refused

RUN = {
    "int n = 7 / 2; rx(n) q[0];": "rx(3.0) 0",
    "float t = 1; rx(t / 2) q[0];": "rx(0.5) 0",
    "angle t = 1; rx(t / 2) q[0];": "rx(0.5) 0",
    "int n = 1; rx(n / 2) q[0];": "rx(0.0) 0",
    "float[64] t = 0.5; int[8] n = 2; uint[4] m = 1; complex[float[64]] z = 1; rx(t) q[n - m];":
        "rx(0.5) 1",
    "const float t = 1; const int[8] n = 2; rx(t / 2) q[n];": "rx(0.5) 2",
    "bool b = true; if (b) x q[0];": "x 0",
    'bit[3] c = "011"; if (c[0] + 2 * c[1] + 4 * c[2] == 3) x q[0];': "x 0",
    "bit c = 1; if (c) x q[0];": "x 0",
    "bit[2] c; c = measure q[0:1]; x q[2];": "x 2; measure 0>0; measure 1>1",
    "bit c = measure q[1]; x q[0];": "x 0; measure 1>0",
    "creg c[2]; measure q[0] -> c[1];": "measure 0>0",
    "creg c; measure q[0] -> c;": "measure 0>0",
    "output bit[2] c; output float t; x q[0];": "x 0",
    "output int n = 2; x q[n];": "x 2",
    "array[int[8], 3] a = {2, 1, 0}; x q[a[0]]; a[-1] = 1; x q[a[2]];": "x 2; x 1",
    "array[float, 2] a = {0.5, 1.5}; a[0] += 1; a[1] *= 2; rx(a[0]) q[0]; rx(a[1]) q[1];":
        "rx(1.5) 0; rx(3.0) 1",
    "array[float, 2] a = {0.5, 1.5}; a = {2.5, 3.5}; rx(a[0]) q[0];": "rx(2.5) 0",
    "array[float, 2] a = {0.5, 1.5}; a[-2] = 2.5; a[1] = 0.25; rx(a[0]) q[0]; rx(a[1]) q[0];":
        "rx(2.5) 0; rx(0.25) 0",
    "float t; t = 0.5; rx(t) q[0];": "rx(0.5) 0",
    "bit c; c = 1; if (c) x q[0]; c = measure q[1]; c = 0; if (c) x q[2];": "x 0; measure 1>0",
    "float t; { t = 0.5; } rx(t) q[0];": "rx(0.5) 0",
    "int n = 6; n /= 4; n <<= 1; n |= 1; n %= 2; n **= 5; rx(n) q[0];": "rx(1.0) 0",
    "int n = -7; rx(n % 3) q[0]; rx(7 % -3) q[0]; n %= -3; rx(n) q[0];":
        "rx(-1.0) 0; rx(1.0) 0; rx(-1.0) 0",
    "int n = 1; { n = 2; int n = 3; n = 4; } x q[n];": "x 2",
    "def two() -> int { return 2; } int n = two(); n += two(); rx(n) q[0];": "rx(4.0) 0",
    "let a = q[2]; let b = q[0]; let c = a ++ b; x a; cx c[0], c[1]; h c;": "x 2; cx 2,0; h 2; h 0",
    "let a = q[1:2]; x a[0]; let b = a; x b;": "x 1; x 1; x 2",
    "let a = q[1]; h a; let d = a; cx d, q[0]; cx d, q[0:1][0];": "h 1; cx 1,0; cx 1,0",
    "qubit a; qreg b[1]; x a; h b; cx a, b; cx a, b[0];": "x 3; h 4; cx 3,4; cx 3,4",
    "qubit[1] a; cx a, q[0:0]; h a[0];": "cx 3,0; h 3",
}  # fmt: skip


@pytest.mark.parametrize("body", RUN)
def test_a_variable_has_the_value_that_it_was_given_last(body: str):
    assert gates(body) == RUN[body]


def test_a_bit_that_is_assigned_stays_unknown_where_it_was_measured():
    for body in (
        "bit[2] c; c[0] = measure q[0]; if (c[1]) x q[1];",
        "bit[2] c; c[0] = 1; if (c[0]) x q[1];",
        "float t; t += 1; if (t > 0) x q[1];",
        "bit[2] c; c = measure q[1:2]; if (c[0] == 0) x q[0];",
        "bit c; output float t; if (t > 1) x q[0];",
        "def f() -> bit { return measure q[1]; } bit c; c = f(); if (c) x q[0];",
    ):
        assert "if depends on a measurement or an input" in refused(body)[0], body


def test_what_is_declared_wrongly_is_refused():
    dimensions = "an input array holds float or angle in 1 to 7 dimensions"
    for body, message, value, fix in (
        ("const int n;", "11: the constant n has no value", None, ""),
        ("const float t; rx(t) q[0];", "13: the constant t has no value", None, ""),
        ("int n = 1; int n = 2;", "16: n is declared twice", None, ""),
        ("bit c; bit c;", "12: c is declared twice", None, ""),
        ("let a = q[0]; let a = q[1];", "19: a is declared twice", None, ""),
        ("qubit q;", "7: q is declared twice", None, ""),
        ("input float a; input angle a;", "28: a is declared twice", None, ""),
        ("int n = 1; input float n;", "24: n is declared twice", None, ""),
        ("input int n;", "7: an input of type int is no angle", "int",
         "Declare features and parameters as input float."),
        ("input float[0.5] n;", "13: a size is no whole number", None, ""),
        ("input array[int, 2] w;", "13: " + dimensions, "w", "Declare input array[float, 4] w;"),
        ("input array[float] w;", "13: " + dimensions, "w", "Declare input array[float, 4] w;"),
        ("input array[float, 1, 1, 1, 1, 1, 1, 1, 1] w;", "13: " + dimensions, "w",
         "Declare input array[float, 4] w;"),
        ("input array[float, 0] w;", "23: an array of 0 elements", None, ""),
        ("input array[float, 3, -1] w;", "27: an array of 3 · -1 elements", None, ""),
        ("input array[float, 100001] w;", "28: an array of 100001 elements", None, ""),
        ("input array[float, 1000, 101] w;", "31: an array of 1000 · 101 elements", None, ""),
        ("input array[float, 0.5] w;", "20: a size is no whole number", None, ""),
        ("input array[float, 2 w;", "22: ']' is missing before 'w'", None, ""),
        ("input array float w;", "13: '[' is missing before 'float'", None, ""),
        ("input array[float, 2];", "22: a name is missing before ';'", None, ""),
        ("array float a;", "7: '[' is missing before 'float'", None, ""),
        ("array[float, 2] a = {1.0, 2.0}; a[2] = 1.0;", "33: index 2 is outside 0 to 1", None,
         ""),
        ("array[float, 2] a = {1.0, 2.0}; a[-3] = 1.0;", "33: index -3 is outside 0 to 1", None,
         ""),
        ("array[float, 2] a = {1.0, 2.0}; a[0.5] = 1.0;", "35: an index is no whole number", None,
         ""),
        ("array[float, 2] a = {1.0, 2.0}; a[0] 3;", "38: '=' is missing before '3'", None, ""),
        ("array[float, 2] a = {1.0, 2.0}; a[0 = 3;", "37: ']' is missing before '='", None, ""),
        ("int n = 1; n = 2 h q[0];", "18: ';' is missing before 'h'", None, ""),
        ("int n = 1; n /= 0;", "14: cannot compute /: division by zero", None, ""),
        ("bit[2] c; c[2] = measure q[0];", "12: index 2 is outside 0 to 1", None, ""),
        ("let a q[0];", "7: '=' is missing before 'q'", None, ""),
        ("let a = 3;", "9: a name is missing before '3'", None, ""),
        ("let a = q[0] + q[1];", "14: ';' is missing before '+'", None, ""),
        ("qubit[0] a;", "10: a register of 0 qubits", None, ""),
        ("qreg a[-1];", "6: a register of -1 qubits", None, ""),
        ("qubit a[2];", "8: ';' is missing before '['", None, ""),
        ("qubit[2 a;", "9: ']' is missing before 'a'", None, ""),
        ("bit[0.5] c;", "5: a size is no whole number", None, ""),
        ("int n = 1", "1: ';' is missing before the end of the text", None, ""),
    ):  # fmt: skip
        found, got, way = refused(f"{body}")
        expected = f"line 3, column {message}" if "end of" not in message else found
        assert found == expected, body
        assert (got, way) == (value, fix), body


def test_inputs_are_parameters_numbered_by_rows():
    def angles(body: str) -> list[str]:
        circuit = run_program(V3 + body, "mine")
        return [str(step.operation.params[0]) for step in circuit.data]

    assert angles("input float a; input angle[32] b; rx(a) q[0]; rx(b) q[0];") == ["a", "b"]
    assert angles("input float _x_3_; rx(_x_3_) q[0];") == ["x[3]"]
    body = "input array[float[64], 2, 3] w; for i in [0:1] for j in [0:2] rx(w[i][j]) q[0];"
    assert angles(body) == [f"w[{k}]" for k in range(6)]
    assert angles("input array[angle, 2, 1, 2] w; rx(w[1, 0, 1]) q[0];") == ["w[3]"]
    assert angles(
        "input array[float, 1, 1, 1, 1, 1, 1, 2] w; rx(w[0, 0, 0, 0, 0, 0, 1]) q[0];"
    ) == ["w[1]"]
    wide = run_program(V3 + "input array[float, 1000, 100] w; rx(w[999, 99]) q[0];", "mine")
    assert [p.name for p in wide.parameters] == ["w[99999]"]


def test_openqasm_2_has_registers_of_zeros():
    head = "OPENQASM 2.0;\nqreg q[3];\n"
    assert gates("creg c[2]; if (c == 0) x q[0]; if (c == 1) x q[1];", head) == "x 0"
    assert "if depends" in refused("creg c[2]; measure q[0] -> c[1]; if (c == 0) x q[1];", head)[0]
    assert "if depends" in refused("creg c[2]; if (c == 0) x q[1];")[0]
    assert gates("rx(theta) q[0]; ry(theta / 2) q[1];", head) == "rx(theta) 0; ry(theta/2) 1"
