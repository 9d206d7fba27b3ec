"""Loops, branches and jumps of OpenQASM programs."""

from __future__ import annotations

import pytest

from qstore_ray.circuits.qasm import control
from tests.unit.circuits.test_program import gates, refused

RUN = {
    "if (true) x q[0]; h q[0];": "x 0; h 0",
    "if (false) x q[0]; h q[0];": "h 0",
    "if (true) x q[0]; else y q[0]; h q[0];": "x 0; h 0",
    "if (false) x q[0]; else y q[0]; h q[0];": "y 0; h 0",
    "if (false) { x q[0]; } else if (true) { y q[0]; } else { z q[0]; } h q[0];": "y 0; h 0",
    "if (true) { if (false) x q[0]; else y q[0]; } else z q[0];": "y 0",
    "for int i in [2:-1:0] x q[i]; h q[0];": "x 2; x 1; x 0; h 0",
    "for uint[8] i in {2, 0} { x q[i]; h q[i]; }": "x 2; h 2; x 0; h 0",
    "array[float, 2] a = {0.5, 1.5}; for float t in a { rx(t) q[0]; }": "rx(0.5) 0; rx(1.5) 0",
    "for i in [0:1] { for j in [i:1] { x q[i + j]; } }": "x 0; x 1; x 2",
    "for qubit a in q[1:2] { h a; }": "h 1; h 2",
    "int i = 2; for int i in [0:0] { x q[i]; } x q[i];": "x 0; x 2",
    "for int i in [0:2] { int n = i; n += 0; x q[n]; }": "x 0; x 1; x 2",
    "for int i in [0:2] { for int j in [0:2] { if (j == 1) break; x q[i]; } }": "x 0; x 1; x 2",
    "for int i in [0:2] { if (i == 1) continue; x q[i]; } h q[0];": "x 0; x 2; h 0",
    "for int i in [0:2] { x q[i]; if (i == 1) break; } h q[0];": "x 0; x 1; h 0",
    "int i = 0; while (i < 3) { i += 1; if (i == 2) continue; x q[i - 1]; } h q[0];":
        "x 0; x 2; h 0",
    "while (true) { x q[0]; break; } h q[0];": "x 0; h 0",
    "def f(int n) -> int { for int i in [0:9] { if (i == n) return i; } return 0; } "
    "int k = f(2); x q[k];": "x 2",
    "def f(int n) -> int { int k = 0; while (true) { k += 1; if (k > n) return k; } } "
    "int m = f(1); x q[m];": "x 2",
    "def f() { x q[0]; return; y q[0]; } f(); h q[0];": "x 0; h 0",
    "def f(qubit a) -> bit { x a; return measure a; } bit c = f(q[1]); h q[0];":
        "x 1; h 0; measure 1>0",
    "switch (2) { case 0, 2 { x q[0]; } case 1 { y q[0]; } default { z q[0]; } } h q[0];":
        "x 0; h 0",
    "switch (1) { case 0, 2 { x q[0]; } case 1 { y q[0]; } default { z q[0]; } } h q[0];":
        "y 0; h 0",
    "switch (5) { case 0, 2, { x q[0]; } default { z q[0]; } } h q[0];": "z 0; h 0",
    "switch (5) { case 0 { x q[0]; } } h q[0];": "h 0",
    "switch (true) { case 1 { x q[0]; } }": "x 0",
    "switch (1) { }": "",
}  # fmt: skip


@pytest.mark.parametrize("body", RUN)
def test_what_is_decided_runs_once(body: str):
    assert gates(body) == RUN[body]


def test_a_while_repeats_as_often_as_it_may(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(control, "MOST_REPEATS", 3)
    body = "int i = 0;\n while (i < {n}) {{ i += 1; x q[0]; }}"
    assert gates(body.format(n=3)) == "x 0; x 0; x 0"
    assert refused(body.format(n=4))[0] == "line 4, column 2: this while runs more than 3 times"


def test_what_cannot_be_decided_is_refused():
    for body, message in (
        ("if (true) x q[0]; else y q[0]; else z q[0];", "2: two else follow one if"),
        ("if (false) x q[0]; else y q[0]; else z q[0];", "2: two else follow one if"),
        ("if true x q[0];", "5: '(' is missing before 'true'"),
        ("if (true x q[0];", "11: ')' is missing before 'x'"),
        ("for int i of q { }", "12: 'in' is missing before 'of'"),
        ("for int i in {0.5} x q[0];", "16: an element is no whole number"),
        ("for int i in 3 { }", "2: a loop needs a range, a set or an array"),
        ("for int i in [0:1 x q[0];", "20: ']' is missing before 'x'"),
        ("while true { }", "8: '(' is missing before 'true'"),
        ("while (true { }", "14: ')' is missing before '{'"),
        ("switch 1 { }", "9: '(' is missing before '1'"),
        ("switch (1 { }", "12: ')' is missing before '{'"),
        ("switch (1) x q[0];", "13: '{' is missing before 'x'"),
        ("switch (1) { case 0 1 { } }", "22: ',' is missing before '1'"),
        ("switch (1) { case 0 { } case 2, 0 { } }", "34: case 0 stands twice in a switch"),
        ("switch (1) { case 3, 3 { } }", "23: case 3 stands twice in a switch"),
        ("switch (1) { case 0.5 { } }", "20: case of what is no whole number"),
        ("switch (1) { default { } case 0 { } }",
         "2: a switch holds cases, and at its end perhaps one default"),
        ("switch (1) { x q[0]; }", "2: a switch holds cases, and at its end perhaps one default"),
    ):  # fmt: skip
        assert refused(f" {body}")[0] == f"line 3, column {message}", body
