"""OpenQASM programs as the gates that they run, in their order."""

from __future__ import annotations

import pytest

from qstore_ray.circuits.qasm import program
from qstore_ray.circuits.qasm.program import run_program
from qstore_ray.errors import CircuitError

V3 = "OPENQASM 3.0;\nqubit[3] q;\n"


def gates(body: str, head: str = V3) -> str:
    """The gates of a program, as `rx(0.5) 0; cx 0,1`."""
    circuit = run_program(head + body, "mine")
    found = []
    for step in circuit.data:
        angles = ",".join(map(str, step.operation.params))
        qubits = ",".join(str(circuit.find_bit(q).index) for q in step.qubits)
        bits = "".join(f">{circuit.find_bit(c).index}" for c in step.clbits)
        found.append(f"{step.operation.name}{f'({angles})' if angles else ''} {qubits}{bits}")
    return "; ".join(found)


def refused(body: str, head: str = V3) -> tuple[str, object, str]:
    """Message, value and fix of the error."""
    with pytest.raises(CircuitError) as caught:
        run_program(head + body, "mine")
    return caught.value.message.removeprefix("mine, "), caught.value.value, caught.value.fix


RUN = {
    "; h q[0];;": "h 0",
    "{ int a = 1; x q[a]; } int a = 2; x q[a];": "x 1; x 2",
    "{ { } } h q[0]; { x q[1]; }": "h 0; x 1",
    "int a = 1; { a = 2; } x q[a];": "x 2",
    "@mine of x\nh q[0];": "h 0",
    "@a\n@b c (;\nh q[0]; x q[1];": "h 0; x 1",
    "int h = 2; h q[h];": "h 2",
    "qubit h; h h; h q[0];": "h 3; h 0",
    "array[int, 2] x = {1, 2}; x[0] = 0; x q[x[0]]; x q[x[1]];": "x 0; x 2",
    "int a = 1; a += 1; a *= 3; a -= 4; x q[a];": "x 2",
    "nop; nop q[0]; barrier; barrier q; delay[100ns] q[0]; delay(100) q; delay q; h q[0];": "h 0",
    "delay[100ns] q[0]; x q[1]; h q[0];": "x 1; h 0",
    "box { h q[0]; } box[2 * 3ns] { x q[1]; } box h q[2];": "h 0; x 1; h 2",
    "reset; reset q[1]; h q[1]; reset q[0];": "h 1",
    "opaque magic(a) b; opaque other c, d; h q[0];": "h 0",
    "opaque id a; id q[0]; opaque u0(t) a; u0(1) q[0]; h q[0];": "id 0; id 0; h 0",
    "def f(qubit a, int n) { x a; if (n > 0) f(a, n - 1); } f(q[1], 2);": "x 1; x 1; x 1",
    "def f() { h q[0]; } f(); f();": "h 0; h 0",
    "def f(int n) -> int { return n + 1; } int k = f(0); k = f(k); x q[k];": "x 2",
    "def f(qubit[2] a, qubit b) { cx a[1], b; } f(q[0:1], q[2]);": "cx 1,2",
    "def f(array[float, 2] a, int[8] n) { rx(a[n]) q[0]; } f({0.5, 1.5}, 1);": "rx(1.5) 0",
    "def f(qreg a[2]) { h a; } f(q[1:2]);": "h 1; h 2",
    "def f(readonly int n) { x q[n]; } f(2);": "x 2",
    "int n = 2; def f(int m) { x q[n - m]; } { int n = 9; f(1); }": "x 1",
    "gate g a { h a; } g q[1]; gate k(t) a, b { rx(t) a; cx a, b; g b; } k(0.5) q[0], q[2];":
        "h 1; rx(0.5) 0; cx 0,2; h 2",
    "for int i in {2, 0} x q[i];": "x 2; x 0",
    "for float t in {0.5, 2 * 0.75} rx(t) q[0];": "rx(0.5) 0; rx(1.5) 0",
    "x q[0]; end; y q[0];": "x 0",
    "x q[0]; for int i in [0:2] { if (i == 1) { end; } x q[1]; } y q[0];": "x 0; x 1",
    "#pragma braket verbatim\n# pragma braket result x\npragma braket result y\nh q[0];": "h 0",
    'include "stdgates.inc"; include "some/where/qelib1.inc"; h q[0];': "h 0",
    "OPENQASM 3.1; h q[0];": "h 0",
    "bit[3] c; c[1] = measure q[2]; x q[1]; measure q[0] -> c[0];": "x 1; measure 0>0; measure 2>1",
    "bit[3] c; c = measure q; c = measure q;": "measure 0>0; measure 1>1; measure 2>2",
    "measure q[1];": "measure 1>0",
    "gphase(0.5); h q[0];": "h 0",
    "let a = q[1]; let b = q[0:1] ++ q[2]; x a; h b; y b[-1];": "x 1; h 0; h 1; h 2; y 2",
    "h[100ns] q[0]; rx(0.5)[100ns] q[1];": "h 0; rx(0.5) 1",
    "cx q[0], q[1:2]; cx q[0:1], q[2];": "cx 0,1; cx 0,2; cx 0,2; cx 1,2",
    "qubit[2] a; qubit b; cx a, q[0:1]; cx a, b;": "cx 3,0; cx 4,1; cx 3,5; cx 4,5",
}  # fmt: skip


@pytest.mark.parametrize("body", RUN)
def test_a_program_runs_its_statements(body: str):
    assert gates(body) == RUN[body]


def test_a_program_has_the_qubits_that_it_declares():
    for text, width, bits in (
        ("qubit q; h q;", 1, 0),
        ("qubit[4] q; h q[0]; measure q[1:2];", 4, 2),
        ("qreg q[2]; qubit r; x r;", 3, 0),
        ("h $10; x $2;", 11, 0),
        ("qubit[2] q; h $1;", 4, 0),
    ):
        circuit = run_program(text, "mine")
        assert (circuit.num_qubits, circuit.num_clbits) == (width, bits)
    assert gates("h $2; cx $0, $1;", "") == "h 2; cx 0,1"
    assert gates("qubit q; x q; h $0;", "") == "x 1; h 0"


def test_the_version_is_the_one_that_is_written_or_what_the_words_are_of():
    """1/2 is a half in OpenQASM 2, and nothing in OpenQASM 3."""
    for head, half in (
        ("OPENQASM 2.0; qreg q[1];", "0.5"),
        ("OPENQASM 2; qreg q[1];", "0.5"),
        ("OPENQASM 2.1; qubit q;", "0.5"),
        ("OPENQASM 3; qreg q[1];", "0.0"),
        ("OPENQASM 3.0; qubit q;", "0.0"),
        ("// mine\nOPENQASM 3.1; qubit q;", "0.0"),
        ("qreg q[1];", "0.5"),
        ("qubit q;", "0.0"),
        ("qreg q[1]; qubit r;", "0.0"),
    ):
        assert gates("rx(1/2) q;", head) == f"rx({half}) 0", head
    assert gates("rx(1/2) $0;", "") == "rx(0.0) 0"
    assert refused("OPENQASM 2.0;")[0] == "line 3, column 10: OpenQASM 2.0 in a text of OpenQASM 3"
    assert refused("OPENQASM 3.0 h")[0] == "line 3, column 14: ';' is missing before 'h'"
    for version in ("1.0", "4", "20.0", "33"):
        message, value, fix = refused("qubit q;", f"\nOPENQASM {version};")
        assert message == "line 2, column 10: there are OpenQASM 2 and 3"
        assert (value, fix) == (version, 'Write "OPENQASM 3.0;".')


def test_what_declares_nothing_is_no_program():
    fix = 'Let the file begin with "OPENQASM 3.0;".'
    none = "line 1, column 1: this is no OpenQASM: it declares no qubits and no version"
    assert refused("h x;", "") == (none, None, fix)
    gate = "line 1, column 1: the text defines gates but declares no qubits and no version"
    assert refused("gate g a { }", "") == (gate, None, fix)
    message, _, fix = refused("int a = 1;", "OPENQASM 3.0;\n")
    assert (message, fix) == (
        "line 2, column 11: the circuit has no qubits",
        "Declare them: qubit[2] q;",
    )


def test_a_statement_that_is_none_is_refused():
    for body, message, value, fix in (
        ("= 3;", "1: no statement begins with '='", None, ""),
        ("x q[0]; 3;", "9: no statement begins with '3'", None, ""),
        ("cal { }", "1: cal is not supported", "cal", "Describe it as gates."),
        ("defcalgrammar x;", "1: defcalgrammar is not supported", "defcalgrammar",
         "Describe it as gates."),
        ("stretch a;", "1: stretch is not supported", "stretch",
         "Remove what is about timing; circuits here are gates only."),
        ("x q[0]; break;", "9: break stands outside of what it leaves", None, ""),
        ("continue;", "1: continue stands outside of what it leaves", None, ""),
        ("return 1;", "1: return stands outside of what it leaves", None, ""),
        ("include mine;", "1: a text cannot include mine; only a file includes what lies beside it",
         "mine", "Give the path of the file instead of its text, or put the definitions here."),
        ("include 'mine.inc';",
         "1: a text cannot include 'mine.inc'; only a file includes what lies beside it",
         "mine.inc", "Give the path of the file instead of its text, or put the definitions here."),
        ("#pragma mine own way\n",
         "1: the pragma mine own may change the state and is not supported",
         "#pragma mine own way", "Remove the line, if the circuit is right without it."),
        ("def f(qubit) { }", "12: an argument needs a type and a name", None, ""),
        ("def f(int a; int b) { }", "12: a name is missing before ';'", None, ""),
        ("measure q[0] -> n;", "17: n is no bit", "n", ""),
        ("int n = 1; measure q[0] -> n;", "28: n is no bit", "n", ""),
        ("float(3) q[0];", "1: no gate float is known", "float",
         "Or define it in the text: gate float … { … }."),
        ("def f() { } int k = f();", "21: f returns no value", "f", ""),
        ("def f() { return; } rx(1) q[0]; int k = f();", "41: f returns no value", "f", ""),
    ):  # fmt: skip
        found, got, way = refused(body)
        assert found == f"line 3, column {message}", body
        assert (got, way) == (value, fix), body


def test_blocks_are_as_deep_as_they_may_be_and_come_back():
    assert gates("{" * 60 + "x q[0];" + "}" * 60) == "x 0"
    assert refused("{" * 61 + "x q[0];" + "}" * 61)[0] == (
        "line 3, column 61: blocks or calls are too deep in one another"
    )
    assert gates("{ x q[0]; }" * 70) == "; ".join(["x 0"] * 70)
    calls = "gate g0 a { x a; }" + "".join(f"gate g{k + 1} a {{ g{k} a; }}" for k in range(70))
    assert gates(calls + " g20 q[0];" * 5) == "; ".join(["x 0"] * 5)
    assert "too deep in one another" in refused(f"{calls} g70 q[0];")[0]


def test_statements_and_gates_are_counted(monkeypatch: pytest.MonkeyPatch):
    """Each statement, block and gate is a step; a gate of the text and its gates are some too."""
    for statements, steps in (
        ("", 3),
        ("x q[0];", 5),
        ("x q;", 7),
        ("for int i in [0:2] { x q[i]; }", 13),
        ("gate g a { x a; y a; } g q[0];", 12),
        ("def f(qubit a) { x a; } f(q[0]);", 8),
        ("if (true) { } else { }", 5),
    ):
        body = f"{statements};"
        monkeypatch.setattr(program, "MOST_STEPS", steps)
        run_program(V3 + body, "mine")
        monkeypatch.setattr(program, "MOST_STEPS", steps - 1)
        assert f"the program runs more than {steps - 1} statements" in refused(body)[0], body
