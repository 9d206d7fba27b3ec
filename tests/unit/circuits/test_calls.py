"""Calls in OpenQASM programs: registers, modifiers against matrices, definitions, subroutines."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit.quantum_info import Operator
from scipy.linalg import fractional_matrix_power

from qstore_ray.circuits.qasm import program
from qstore_ray.circuits.qasm.program import run_program
from tests.circuit_states import equal_up_to_phase
from tests.unit.circuits.test_program import V3, gates, refused

RUN = {
    "h q;": "h 0; h 1; h 2",
    "cx q[0], q[1];": "cx 0,1",
    "cx q[2], q[0:1];": "cx 2,0; cx 2,1",
    "cx q[0:1], q[1:2];": "cx 0,1; cx 1,2",
    "ccx q[0], q[1], q[2:2];": "ccx 0,1,2",
    "u(0.5, 1, -1.5) q[0];": "u(0.5,1.0,-1.5) 0",
    "id q[0]; i q[1];": "id 0; id 1",
    "gate g(a, b) c, d { rx(a) c; ry(b - a) d; } g(0.5, 2.0) q[2], q[0];": "rx(0.5) 2; ry(1.5) 0",
    "gate g a, b { cx a, b; cx b, a; } g q[0:1], q[1:2];": "cx 0,1; cx 1,0; cx 1,2; cx 2,1",
    "gate g() a { h a; } g() q[0]; g q[1];": "h 0; h 1",
    "gate g a { } g q[0]; h q[0];": "h 0",
    "gate g a { h a; } gate g a {  h   a; } g q[0];": "h 0",
    "gate h a { x a; } h q[0]; gate k a { h a; } k q[1];": "x 0; x 1",
    "const float t = 0.5; gate g(s) a { rx(s + t) a; } { float t = 9.0; g(1.0) q[0]; }":
        "rx(1.5) 0",
    "gate g(t) a { rx(t) a; } gate k(t) a { g(2 * t) a; rx(t) a; } k(0.25) q[0];":
        "rx(0.5) 0; rx(0.25) 0",
    "cnot q[0], q[1]; Rx(0.5) q[2];": "cx 0,1; rx(0.5) 2",
    "inv @ s q[0]; inv @ rx(0.5) q[1];": "sdg 0; rx(-0.5) 1",
    "pow(2) @ x q[0]; pow(0) @ x q[1]; pow(-2) @ s q[2];": "x 0; x 0; sdg 2; sdg 2",
    "pow(0.5) @ rx(1.0) q[0]; pow(-0.5) @ cp(1.0) q[0], q[1];": "rx(0.5) 0; cp(-0.5) 0,1",
    "pow(65) @ rz(0.5) q[0];": "rz(32.5) 0",
    "pow(2.0) @ h q[0];": "h 0; h 0",
    "ctrl @ x q[0], q[1];": "cx 0,1",
    "ctrl(2) @ x q[2], q[0], q[1];": "ccx 2,0,1",
    "ctrl @ ctrl @ x q[2], q[0], q[1];": "ccx 2,0,1",
    "ctrl @ gphase(0.5) q[1]; ctrl(2) @ gphase(0.5) q[1], q[0];": "p(0.5) 1; cp(0.5) 1,0",
    "negctrl @ gphase(0.5) q[1];": "x 1; p(0.5) 1; x 1",
    "gphase(0.5); h q[0];": "h 0",
}  # fmt: skip


@pytest.mark.parametrize("body", RUN)
def test_a_call_runs_its_gates(body: str):
    assert gates(body).replace("mcphase", "cp") == RUN[body]


X, Y, Z = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])
S, T, H = np.diag([1, 1j]), np.diag([1, np.exp(0.25j * np.pi)]), (X + Z) / np.sqrt(2)
SWAP = np.eye(4)[[0, 2, 1, 3]]
RX = np.cos(0.35) * np.eye(2) - 1j * np.sin(0.35) * X
OF_TEXT = RX @ S * np.exp(0.3j)
DEFINED = "gate mine a { gphase(0.3); s a; rx(0.7) a; }\n"
UNITARIES = {"x": X, "t": T, "h": H, "rx(0.7)": RX, "swap": SWAP, "mine": OF_TEXT}


def _controlled(u: np.ndarray, value: int) -> np.ndarray:
    """u where a further first qubit is `value`."""
    blocks = [np.eye(len(u)), u] if value else [u, np.eye(len(u))]
    return np.block([[blocks[0], np.zeros_like(u)], [np.zeros_like(u), blocks[1]]])


def _modified(words: list[str], u: np.ndarray) -> np.ndarray:
    for word in reversed(words):
        name, _, number = word.rstrip(")").partition("(")
        match name:
            case "inv":
                u = u.conj().T
            case "pow":
                u = fractional_matrix_power(u, float(number))
            case _:
                for _ in range(int(number or 1)):
                    u = _controlled(u, name == "ctrl")
    return u


MODIFIED = [
    *(f"{words} {gate}" for gate in UNITARIES for words in ("inv", "pow(2)", "ctrl", "negctrl")),
    *("pow(-1) mine", "pow(0.5) t", "pow(0.5) rx(0.7)", "pow(-3) h", "pow(64) t", "pow(1.5) t"),
    *("inv ctrl mine", "ctrl inv mine", "ctrl negctrl x", "negctrl ctrl x", "negctrl(2) x"),
    *("ctrl(2) rx(0.7)", "ctrl pow(0.5) rx(0.7)", "pow(2) ctrl mine", "negctrl inv t"),
]


@pytest.mark.parametrize("call", MODIFIED)
def test_a_modified_gate_is_its_matrix(call: str):
    """Exact but for one phase of the whole; a control makes the phase of what it controls seen."""
    *words, gate = call.split()
    expected = _modified(words, np.asarray(UNITARIES[gate], complex))
    n = len(expected).bit_length() - 1
    qubits = ", ".join(f"q[{k}]" for k in range(n))
    line = " ".join((*(f"{word} @" for word in words), gate, qubits))
    text = f"OPENQASM 3.0;\n{DEFINED}qubit[{n}] q;\n{line};"
    found = Operator(run_program(text, "mine").reverse_bits()).data
    assert equal_up_to_phase(np.asarray(found), expected)


def test_a_call_that_cannot_be_made_is_refused():
    for body, message, value, fix in (
        ("cx q[0], q[0];", "1: cx acts on one qubit twice", None, ""),
        ("cx q[0:1], q[1:0];", "1: cx on registers of different sizes", None, ""),
        ("ctrl(0) @ x q[0];", "1: a gate with 0 controls", None, ""),
        ("negctrl(1001) @ x q[0];", "1: a gate with 1001 controls", None, ""),
        ("inv @ ctrl(2) @ x q[0];", "17: x lacks the qubits of its controls", None, ""),
        ("inv x q[0];", "5: '@' is missing before 'x'", None, ""),
        ("pow(2 @ x q[0];", "7: ')' is missing before '@'", None, ""),
        ("input float w; pow(w) @ x q[0];", "16: the exponent of pow is no constant", None, ""),
        ("rx(0.5 q[0];", "8: ',' is missing before 'q'", None, ""),
        ("h(1) q[0];", "1: h: takes 0 angles and 1 qubit, not 1 and 1", "h", ""),
        ("cx q[0];", "1: cx: takes 0 angles and 2 qubits, not 0 and 1", "cx", ""),
        ("mcp q[0], q[1];", "1: mcp: takes 1 angle and 2 qubits, not 0 and 2", "mcp", ""),
        ("mcx q[0];", "1: mcx: takes 0 angles and 2 qubits, not 0 and 1", "mcx", ""),
        ("gphase q[0];", "1: gphase: takes 1 angle and 0 qubits, not 0 and 0", "gphase", ""),
        ("u0 q[0];", "1: u0: takes 1 angle and 1 qubit, not 0 and 1", "u0", ""),
        ("gate g(t) a { } g q[0];", "17: g: takes 1 angle and 1 qubit, not 0 and 1", "g", ""),
        ("gate g a, a { }", "6: two arguments of gate g have one name", None, ""),
        ("gate g(a) a { }", "6: two arguments of gate g have one name", None, ""),
        ("gate g(a, a) b { }", "6: two arguments of gate g have one name", None, ""),
        ("gate g a { h a; } gate g a { x a; }", "24: gate g is defined twice, in two ways", None,
         "Give each definition its own name."),
        ("gate g a b { }", "10: ',' is missing before 'b'", None, ""),
        ("opaque m a; m q[0];", "13: the gate m is opaque, so nobody knows what it does", "m",
         "Define it: gate m … { … }."),
        ("def f(qubit a, int n) { } f q[0], 1;",
         "27: f is a subroutine, and its arguments stand in brackets", "f", "Write f(a, n);"),
        ("def f(qubit a) { } f(q);", "20: a of f is a single qubit", None, ""),
        ("def f(qubit[2] a) { } f(q[0]);", "23: a of f is a register of 2 qubits", None, ""),
        ("def f(int a, int b) { } f(1 2);", "29: ',' is missing before '2'", None, ""),
        ("def f(int a) { } f(1, 2);", "21: ')' is missing before ','", None, ""),
        ("def f(int a) { } f(1) h q[0];", "23: ';' is missing before 'h'", None, ""),
        ("gate g a { frob a; } g q[0];", "12: no gate frob is known", "frob",
         "Or define it in the text: gate frob … { … }."),
        ("mygat q[0]; gate mygate a { }", "1: no gate mygat is known", "mygat", None),
        ("gate mygate a { } mygat q[0];", "19: no gate mygat is known", "mygat",
         "Did you mean mygate? Or define it in the text: gate mygat … { … }."),
        ("def turning() { } turnin q[0];", "19: no gate turnin is known", "turnin",
         "Did you mean turning? Or define it in the text: gate turnin … { … }."),
        ("toffol q[0];", "1: no gate toffol is known", "toffol",
         "Did you mean toffoli? Or define it in the text: gate toffol … { … }."),
    ):  # fmt: skip
        found, got, way = refused(body)
        assert found == f"line 3, column {message}", body
        assert got == value, body
        assert fix is None or way == fix, body


def test_a_body_is_in_the_version_of_its_text():
    two = "OPENQASM 2.0;\nqreg q[2];\n"
    body = (
        "gate g(t) a { rx(1/2 + t) a; u0(1) a; } opaque u0(t) a; opaque id a; g(2^3) q[0]; id q[1];"
    )
    assert gates(body, two) == "rx(8.5) 0; id 0; id 1"
    assert gates("gate g a { rx(1/2) a; } g q[0];") == "rx(0.0) 0"


def test_a_failed_call_leaves_no_scope_behind():
    body = "def f(int n) -> int { return n; } int n = 2; int k = f(1); x q[n]; x q[k];"
    assert gates(body) == "x 2; x 1"
    assert gates("int n = 1; def f() { x q[n]; int n = 2; x q[n]; } f(); f();") == "; ".join(
        ["x 1", "x 2"] * 2
    )
    again = run_program(f"{V3}gate g a {{ h a; }} g q[0]; gate k a {{ g a; g a; }} k q[1];", "mine")
    assert [step.operation.name for step in again.data] == ["h"] * 3


def test_every_gate_of_a_call_is_a_step(monkeypatch: pytest.MonkeyPatch):
    for body, steps in (("h q;;", 7), ("pow(4) @ x q[0];;", 8), ("gphase(1);;", 5)):
        monkeypatch.setattr(program, "MOST_STEPS", steps)
        run_program(V3 + body, "mine")
        monkeypatch.setattr(program, "MOST_STEPS", steps - 1)
        assert "the program runs more than" in refused(body)[0]


@pytest.mark.parametrize("angle", ["t", "2 * t"])
def test_a_broken_power_of_a_gate_with_an_input_is_refused(angle: str):
    body = f"input float t; gate g(s) a {{ rx(s) a; h a; }} pow(0.5) @ g({angle}) q[0];"
    message, value, _ = refused(body)
    assert message.endswith("a broken power of a gate with parameters is not known")
    assert value == "g"
