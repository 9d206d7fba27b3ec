"""Refused programs in OpenQASM: what a user reads of the place, the value and the way out.

The record is `tests/golden/qasm_refusals.json`: message, value and fix of each error.
`python -m tests.unit.circuits.test_qasm_refusals` writes it again.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from qstore_ray.circuits.qasm.reader import from_text
from qstore_ray.circuits.qasm.values import MOST_OPERATIONS
from qstore_ray.errors import UsageError
from tests.circuit_states import V2
from tests.unit.circuits.test_qasm import LAST, REFUSED, V3

RECORD = Path(__file__).parents[2] / "golden" / "qasm_refusals.json"
_PLACE = re.compile(r"mine\.qasm, line (\d+)(?:, column (\d+))?: (.+)", re.DOTALL)
_FOREIGN = re.compile(r"(cannot (?:compute|make it) \S+: ).+")
"""Words of Python and Qiskit, which differ from version to version."""

# Behind `LAST`, two qubits q of OpenQASM 3, unless it is in `WHOLE`.
MORE = {
    "an unknown character": "h q[0];\n  x § q[1];",
    "an open list": "box[100ns",
    "no name": "let 3 = q;",
    "no name at the end": "let",
    "another word than the one expected": "for int i of [0:1] { }",
    "no bracket behind an if that does not run": "if (false) if x q[0];",
    "no bracket at the end": "if (false) if",
    "a register of nothing": "qubit[0] r;",
    "a broken size": "qubit[0.5] r;",
    "a number is no qubit": "int a = 1;\nh a;",
    "a number among the qubits": "int a = 1;\ncx q[0], a;",
    "too many qubits with a gate": f"{V2}qreg r[1001];\n  h r;",
    "an input twice": "input float a;\ninput float a;",
    "an input twice in two spellings": "input array[float, 4] a;\ninput float _a_3_;",
    "a variable twice": "int a = 1;\nfloat a = 2.0;",
    "a measured angle": "bit c;\nc = measure q[1];\nrx(c) q[0];",
    "qubits as an angle": "rx(q) q[0];",
    "too large a whole number": "rx(10**400) q[0];",
    "a broken index": "h q[0.5];",
    "a range of four": "h q[0:1:2:3];",
    "a range without an end": "for int i in [0:] x q[0];",
    "a range without a start": "for int i in [:1] x q[0];",
    "a range with no step": "for int i in [0:0:1] x q[0];",
    "a range of a number": "for int i in [1] x q[0];",
    "an element of a real number": "float t = 0.5;\nrx(t[0]) q[0];",
    "an index before the first": "h q[-3];",
    "an index behind a range": "h q[0:2];",
    "too many powers": f"rx(2{'**1' * 70}) q[0];",
    "too many operations": f"input float w;\nrx({'+'.join(['w'] * (MOST_OPERATIONS + 2))}) q[0];",
    "too many functions": (
        f"input float w;\nrx({'+'.join(['w'] * (MOST_OPERATIONS + 1))} + sin(w)) q[0];"
    ),
    "no value": "rx(*) q[0];",
    "a word instead of a value": "int[8] i = ;",
    "thousands of digits": f"rx({'1' * 5000}) q[0];",
    "a measurement in an expression": "rx(1 + measure q[0]) q[1];",
    "an undeclared index": "h q[k];",
    "qubits made a number": "rx(float(q)) q[0];",
    "infinity made whole": "rx(int(1e400)) q[0];",
    "one value of a power": "rx(pow(2)) q[0];",
    "three values of a remainder": "rx(mod(5, 3, 2)) q[0];",
    "two values of a sine": "rx(sin(1, 2)) q[0];",
    "an input of which no function is known": "input float w;\nrx(floor(w)) q[0];",
    "an input inverted bit by bit": "input float w;\nrx(~w) q[0];",
    "an operator without a meaning for inputs": "input float w;\nrx(w % 2) q[0];",
    "an operator on the other side": "input float w;\nrx(2 % w) q[0];",
    "the opposite of a register": "rx(-q) q[0];",
    "sums of registers": "rx(q + 1) q[0];",
    "a broken number inverted": "rx(~0.5) q[0];",
    "a complex power": "rx((-1)**0.5) q[0];",
    "a power that overflows": "rx(2 ** 5000) q[0];",
    "a shift beyond the limit": "int i = 1 << 4097;",
    "a shift to the left of nothing": "int i = 1 << -1;",
    "a subroutine without brackets": "def f(qubit a, float t) { rx(t) a; }\nf q[0], 0.5;",
    "a subroutine on too many qubits": "def f(qubit a) { h a; }\nf(q);",
    "a subroutine without an argument": "def f(qubit a, float t) { rx(t) a; }\nf(q[0]);",
    "an argument without a type": "def f(a) { }",
    "an unknown exponent": "input float w;\npow(w) @ x q[0];",
    "no control": "ctrl(0) @ x q[0], q[1];",
    "a thousand controls": "negctrl(1001) @ x q[0], q[1];",
    "a broken number of controls": "ctrl(1.5) @ x q[0], q[1];",
    "a control without a sign": "ctrl x q[0], q[1];",
    "controls without qubits": "ctrl(2) @ x q[0];",
    "registers of different sizes": "qubit[3] r;\ncx q, r;",
    "too many angles": "gphase(0.5, 0.5);",
    "too many qubits of a gate of the text": "gate g(t) a { rx(t) a; }\ng(0.5) q[0], q[1];",
    "an angle for x": "mcx(0.5) q[0], q[1];",
    "a broken power of inputs": (
        "input float w;\npow(0.5) @ crx(w) q[0], q[1];\npow(0.5) @ u(w, 0, 0) q[0];"
    ),
    "a broken power on seven qubits": (
        "qubit[7] r;\ngate seven a, b, c, d, e, f, g { mcx a, b, c, d, e, f, g; }\n"
        "pow(0.5) @ seven r[0], r[1], r[2], r[3], r[4], r[5], r[6];"
    ),
    "an opaque gate": "opaque magic a;\n magic q[0];",
    "arguments of one name": "gate g(a) a { }",
    "qubits of one name": "gate g a, a { }",
    "a gate twice": "gate g a { h a; }\ngate g a { x a; }",
    "a gate that is like none": "zzzzzzzzzz q[0];",
    "a gate like one of the text": "gate mygate a { h a; }\nmygat q[0];",
    "a gate like a subroutine": "def turning(qubit a) { h a; }\nturnin q[0];",
    "a gate like one of a dialect": "phaseshif(0.5) q[0];",
    "two else": "if (true) x q[0]; else y q[0]; else z q[0];",
    "two else that do not run": "if (false) x q[0]; else y q[0]; else z q[0];",
    "a loop over a number": "for int i in 3 { x q[0]; }",
    "a loop over a constant": "const int n = 3;\n for int i in n { x q[0]; }",
    "an if of an input": "input float w;\nif (w > 0.5) x q[0];",
    "an if of a register": "if (q) x q[0];",
    "a case that is not known": "bit c;\nc = measure q[0];\nswitch (1) { case c { } }",
    "a constant without a value": "const int n;",
    "an input of bits": "input bit b;",
    "an array of eight dimensions": "input array[float, 1, 1, 1, 1, 1, 1, 1, 1] w;",
    "an array of too many inputs": "input array[float, 100001] w;",
    "an element that is not there": "array[float, 2] a = {1.0, 2.0};\na[2] = 1.0;",
    "an element before the first": "array[float, 2] a = {1.0, 2.0};\na[-3] = 1.0;",
    "a broken place in an array": "array[float, 2] a = {1.0, 2.0};\na[0.5] = 1.0;",
    "an element without a value": "array[float, 2] a = {1.0, 2.0};\na[0] 3;",
    "break outside of a loop": "x q[0];\nbreak;",
    "return outside of a subroutine": "x q[0];\nreturn 3;",
    "no qubits": "OPENQASM 3.0;\nint a = 1;",
    "no qubits and no version": "h x;",
    "gates alone": "gate g a { h a; }",
    "version 4": "OPENQASM 4.0;\nqubit q;",
    "version 1": "OPENQASM 1;\nqubit q;",
    "another version later": f"{V2}qreg r[1];\nOPENQASM 3.0;",
    "a number as a statement": "3;",
    "calibrations": "cal { }",
    "timing": "stretch s;",
    "blocks too deep": "{" * 70 + "x q[0];" + "}" * 70,
    "a subroutine of itself": "def f(qubit a) { f(a); }\nf(q[0]);",
    "a pragma": "#pragma mine is best of all\nx q[0];",
    "a pragma without a sign": "pragma mine\nx q[0];",
    "an include that is no text": "include mine;",
    "a cast as a statement": "float(3) q[0];",
    "nothing returned": "def f() { }\nint k = f();",
    "an include in a folder": 'include "../lib/mine.inc";',
    "a measurement into a number": "int a = 1;\nmeasure q[0] -> a;",
    "a measurement into nothing": "measure q[0] -> c;",
    "a gate behind a measurement": "bit c;\nc = measure q[1];\nh q;",
    "a gate behind a register's measurement": "measure q;\n  cx q[0], q[1];",
    "a reset of everything": "h q[1];\n  reset;",
    "a bad index of what is measured": "bit[2] c;\nmeasure q[0] -> c[2];",
    "a batch of angles": "rx([0.1]) q[0];",
    "angles of a batch behind another": "u(0.1, [0.1, 0.2], 0) q[0];",
    "a time as an angle": "rx(100ns) q[0];",
}  # fmt: skip

WHOLE = {
    *("no qubits", "no qubits and no version", "gates alone", "version 4", "version 1"),
    *("another version later", "too many qubits with a gate"),
}
"""Programs of `MORE` that stand alone."""


def _text(what: str) -> str:
    body = REFUSED[what][0] if what in REFUSED else MORE[what]
    return f"{body}\n" if what in WHOLE else f"{V3}{LAST}{body}\n"


def _refusal(what: str) -> list[Any]:
    with pytest.raises(UsageError) as caught:
        from_text(_text(what), name="mine.qasm")
    error = caught.value
    assert _PLACE.match(error.message), error.message
    assert error.field == "circuit"
    return [_FOREIGN.sub(r"\1…", error.message), error.value, error.fix]


@pytest.mark.parametrize("what", [*REFUSED, *MORE])
def test_a_refusal_names_its_place_its_value_and_the_way_out(what: str):
    assert _refusal(what) == json.loads(RECORD.read_text())[what]


if __name__ == "__main__":
    lines = [
        f" {json.dumps(what)}: {json.dumps(_refusal(what), ensure_ascii=False)}"
        for what in (*REFUSED, *MORE)
    ]
    RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n")
