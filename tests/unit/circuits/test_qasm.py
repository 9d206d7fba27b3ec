"""Programs in OpenQASM 2 and 3: what they build, and what is refused, with its place."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit, qasm2, qasm3
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import Statevector

from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.load import circuit_of_rows, load_circuit
from qstore_ray.circuits.qasm import program, reader
from qstore_ray.circuits.qasm.reader import from_qasm, from_text
from qstore_ray.circuits.qasm.source import AS_TEXT, in_earlier_order, in_numeric_order
from qstore_ray.circuits.template import param, row
from qstore_ray.errors import CircuitError, QStoreError, ResourceError
from qstore_ray.estimator import QuantumClassifier
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import build_model
from qstore_ray.train.run.same_run import complete_circuit
from tests.circuit_states import V2, V3, overlap, same_state, state


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("write", [qasm2.dumps, qasm3.dumps], ids=["2", "3"])
def test_what_qiskit_writes_builds_the_state_that_qiskit_has(seed: int, write):
    theirs = random_circuit(2 + seed % 3, 4, max_operands=3 if seed % 3 else 2, seed=seed)
    assert overlap(from_text(write(theirs)), theirs) == pytest.approx(1, abs=1e-12)


def _layers(n: int) -> QuantumCircuit:
    theta = ParameterVector("theta", n)
    circuit = QuantumCircuit(3)
    circuit.h(range(3))
    for k in range(n):
        (circuit.rx, circuit.ry, circuit.rz)[k % 3](theta[k], k % 3)
        circuit.cx(k % 3, (k + 1) % 3)
    return circuit


def test_vectors_come_back_in_numeric_order():
    theirs = _layers(12)
    circuit = from_text(qasm3.dumps(theirs))
    values = np.linspace(-2, 2, 12)
    assert overlap(circuit, theirs, values) == pytest.approx(1, abs=1e-12)
    assert [op.angles[0] for op in circuit.template.ops if op.angles] == [
        param(k) for k in range(12)
    ]


def _slots(circuit: Circuit) -> list[int]:
    """The parameter of each rotation, in the order of the gates."""
    return [op.angles[0].terms[0].slot for op in circuit.template.ops if op.angles]


def test_a_text_kept_by_an_earlier_version_keeps_its_order_of_parameters():
    """Parameters learned in the order of the names as text must still fit."""
    theirs = _layers(12)
    theirs.rx(Parameter("alpha"), 0)
    theirs.rx(Parameter("Z"), 0)
    names = [*(f"_theta_{k}_" for k in range(12)), "alpha", "Z"]
    for text in (kept := complete_circuit(qasm3.dumps(theirs)), ModelConfig(circuit=kept).circuit):
        assert _slots(load_circuit(text)) == [sorted(names).index(name) for name in names]
        assert complete_circuit(text) == text


DOORS = {
    "object": lambda circuit, _: circuit,
    "text": lambda circuit, _: qasm3.dumps(circuit),
    "file": lambda circuit, file: file if file.write_text(qasm3.dumps(circuit)) else "",
    "function": lambda circuit, _: lambda: qasm3.dumps(circuit),
}


@pytest.mark.parametrize("door", DOORS)
def test_vectors_are_in_numeric_order_by_every_door(tmp_path: Path, door: str):
    theirs = _layers(12)
    theirs.rx(Parameter("x"), 0)
    given = DOORS[door](theirs, tmp_path / "twelve.qasm")
    kept = ModelConfig(circuit=given).circuit
    fitted = QuantumClassifier(circuit=given, epochs=1).fit([[0.1], [0.2]], [0, 1])
    built = build_model(ModelConfig(circuit=given), n_features=1, n_classes=2)
    circuits = [load_circuit(given), circuit_of_rows(given), fitted.model_.circuit, built.circuit]
    circuits += [load_circuit(text) for text in (kept, complete_circuit(kept))]
    circuits += [load_circuit(ModelConfig.from_dict(ModelConfig(circuit=kept).to_dict()).circuit)]
    for circuit in circuits:
        assert _slots(circuit)[:-1] == [*range(12)]


@pytest.mark.parametrize("mark", [f"\n{AS_TEXT}", f"{AS_TEXT}\n", f"  {AS_TEXT}  \n\n"])
def test_a_text_says_its_order(mark: str):
    text = qasm3.dumps(_layers(12))
    assert in_numeric_order(text + mark) == in_earlier_order(text)
    names = [f"_theta_{k}_" for k in range(12)]
    assert _slots(load_circuit(text + mark)) == [sorted(names).index(name) for name in names]
    assert in_earlier_order(in_numeric_order(text)) == in_numeric_order(text)
    assert in_numeric_order(short := qasm3.dumps(_layers(4))) == in_earlier_order(short) == short


def test_a_file_read_now_is_in_numeric_order_wherever_its_text_goes(tmp_path: Path):
    file = tmp_path / "twelve.qasm"
    file.write_text(qasm3.dumps(_layers(12)), encoding="utf-8")
    kept = ModelConfig(circuit=file).circuit
    assert load_circuit(kept).template == from_qasm(file).template
    assert [op.angles[0].terms[0].slot for op in from_qasm(file).template.ops if op.angles] == [
        *range(12)
    ]


def test_a_file_whose_order_does_not_matter_is_kept_as_it_is(tmp_path: Path):
    file, text = tmp_path / "four.qasm", qasm3.dumps(_layers(4))
    file.write_text(text, encoding="utf-8")
    assert ModelConfig(circuit=str(file)).circuit == text


PROGRAMS = {
    "a loop over a range": ("for uint i in [0:2] { h q[i]; }", "h 0; h 1; h 2"),
    "a loop with a step": ("for int i in [0:2:2] { x q[i]; }", "x 0; x 2"),
    "a loop downwards": ("for int i in [1:-1:0] { rx(0.5*i) q[i]; h q[i]; }", "rx 0.5 1; h 1; h 0"),
    "a loop over a set": ("for int i in {0, 2} x q[i];", "x 0; x 2"),
    "a loop over a register": ("for qubit a in q { h a; }", "h 0; h 1; h 2"),
    "loops in loops": (
        "h q; for int i in [0:1] { for int j in [i+1:2] { cz q[i], q[j]; } }",
        "h 0; h 1; h 2; cz 0 1; cz 0 2; cz 1 2",
    ),
    "break and continue": (
        "for int i in [0:9] { if (i == 1) { continue; } if (i == 3) break; x q[i]; }",
        "x 0; x 2",
    ),
    "constants": ("const int n = 2; const float t = 2 * 0.25; rx(n * t) q[n];", "rx 1.0 2"),
    "variables": ("float t = 0.25; t += 0.5; t = t * 2; ry(t) q[0];", "ry 1.5 0"),
    "an array": ("array[float, 2] a = {0.25, 0.5}; a[0] = 1.0; rx(a[0]) q[0];", "rx 1.0 0"),
    "conditions": (
        "if (true) x q[0]; else y q[0]; if (1 > 2) { x q[1]; } else h q[2];",
        "x 0; h 2",
    ),
    "a subroutine": (
        "def turn(qubit a, float t) { rx(t) a; ry(2*t) a; } turn(q[1], 0.25);",
        "rx 0.25 1; ry 0.5 1",
    ),
    "a function": ("def two(int n) -> int { return 2 * n; } int k = two(1); x q[k];", "x 2"),
    "an alias": ("let a = q[0:1] ++ q[2]; h a; x a[-1];", "h 0; h 1; h 2; x 2"),
    "sets of qubits": ("h q[{0, 2}]; x q[-1];", "h 0; h 2; x 2"),
    "integer division": ("rx(3 / 2 * 0.5) q[0];", "rx 0.5 0"),
    "powers": ("rx(2 ** 3 * 0.125) q[0]; rx(-2.0 ** 2) q[1];", "rx 1.0 0; rx -4.0 1"),
    "functions": (
        "rx(sqrt(4.0)) q[0]; ry(pow(2, 2)) q[1]; rz(cos(0.0)) q[0];",
        "rx 2.0 0; ry 4.0 1; rz 1.0 0",
    ),
    "casts": ("rx(float[64](1) / 2) q[0]; x q[int(2.0)];", "rx 0.5 0; x 2"),
    "controls": (
        "h q; ctrl @ rx(0.5) q[0], q[1]; ctrl(2) @ z q[0], q[1], q[2];",
        "h 0; h 1; h 2; crx 0.5 0 1; ccz 0 1 2",
    ),
    "open controls": (
        "h q; negctrl @ x q[0], q[1]; rx(0.3) q[1];",
        "h 0; h 1; h 2; x 0; cx 0 1; x 0; rx 0.3 1",
    ),
    "inverses": ("h q[0]; inv @ s q[0]; inv @ rx(0.5) q[0];", "h 0; sdg 0; rx -0.5 0"),
    "powers of gates": (
        "pow(0.5) @ x q[0]; pow(2) @ t q[0]; pow(-1) @ s q[0]; pow(0.5) @ rx(1.0) q[0];",
        "sx 0; s 0; sdg 0; rx 0.5 0",
    ),
    "a controlled phase": ("h q; ctrl @ gphase(0.5) q[1];", "h 0; h 1; h 2; p 0.5 1"),
    "a controlled gate of the text": (
        "gate g(t) a { gphase(t); rx(t) a; } h q; ctrl @ g(0.5) q[0], q[1];",
        "h 0; h 1; h 2; p 0.5 0; crx 0.5 0 1",
    ),
    "no effect": (
        "reset q; id q; delay[100ns] q[0]; nop; barrier q; gphase(1.0); h q[0]; reset q[1];",
        "h 0",
    ),
    "final measurements": (
        "bit[3] c; x q[0]; c[2] = measure q[0]; barrier q; bit b = measure q[1]; measure q -> c;",
        "x 0",
    ),
    "a box": ("box[100ns] { h q[0]; }", "h 0"),
    "an annotation": ("@reversible much\nh q[0];", "h 0"),
    "a loop over nothing": ("x q[2]; for int[8] i in [0:-1] { h q[i]; }", "x 2"),
    "a loop variable without a type": ("for _ in [0:2] { s q[1]; }", "s 1; s 1; s 1"),
    "a counter": (
        "int[8] n = 0; for int i in [0:3] { n = n + 1; } rx(n * 0.25) q[0];", "rx 1.0 0"
    ),
    "the end": ("x q[0]; end; y q[0];", "x 0"),
    "hexadecimal": ("x q[0x2]; rx(0b1 * 1e0) q[0];", "x 2; rx 1.0 0"),
    "bits that are known": ('bit[2] c = "01"; if (c[0] == 1) x q[0]; if (c[1]) x q[1];', "x 0"),
}  # fmt: skip


@pytest.mark.parametrize("what", PROGRAMS)
def test_what_is_computed_from_constants_is_computed(what: str):
    body, plain = PROGRAMS[what]
    assert same_state(f"{V3}qubit[3] q;\n{body}\n", plain, 3)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("qreg q[2]; creg c[2]; h q[0]; measure q -> c; barrier q;", "h 0"),
        ("qreg q[2]; rx(1/2) q[0]; ry(2^2) q[1];", "rx 0.5 0; ry 4.0 1"),
        ("qreg q[2]; rx(ln(1)+sqrt(4)) q; U(0.5,0.25,0.75) q[0]; CX q[0],q[1];",
         "rx 2.0 0; rx 2.0 1; u 0.5 0.25 0.75 0; cx 0 1"),
        ("qreg q[2]; gate g(a,b) p,r { rx(a/2) p; cx p,r; ry(-b) r; } g(1,2) q[0],q[1];",
         "rx 0.5 0; cx 0 1; ry -2.0 1"),
        ("qreg a[1]; qreg b[1]; reset a; x b[0]; cx b[0],a[0];", "x 1; cx 1 0"),
        ("qreg q[2]; gate rxx(t) a,b { x a; } rxx(0.3) q[0],q[1];", "x 0"),
    ],
)  # fmt: skip
def test_openqasm_2(text: str, plain: str):
    assert same_state(V2 + text, plain, 2)


@pytest.mark.parametrize(
    "text",
    [
        "qubit[2] q; h q[0]; cx q[0], q[1];",
        "qreg q[2]; h q[0]; cx q[0],q[1];",
        '// author: me\ninclude "qelib1.inc";\nqreg q[2]; h q[0]; cx q[0], q[1];',
        "/* OPENQASM\n 2 */ // x\nOPENQASM 3; qubit[2] q; h q[0]; cx q[0], q[1];",
        "OPENQASM 3.1;\tqubit[2]\tq;\th\tq[0];\tcx q[0], q[1];",
        "bit[2] c; qubit[2] q; h q[0]; cx q[0], q[1]; c = measure q;",
        "h $0; cx $0, $1;",
    ],
)
def test_a_version_line_is_not_needed(text: str):
    assert same_state(text, "h 0; cx 0 1", 2)


def test_symbols_in_openqasm_2_are_parameters():
    """pytket writes them in half-turns, as `rx((a)*pi)`."""
    circuit = from_text(V2 + "qreg q[1]; rx((a)*pi) q[0]; ry(x_0) q[0];")
    angles = [op.angles[0] for op in circuit.template.ops]
    assert angles == [param(0, scale=np.pi), row(0)]


def test_an_array_of_inputs_is_features():
    circuit = from_text(
        V3 + "input array[angle, 4] x; input float w; qubit q; rx(x[3]) q; ry(w*2) q;"
    )
    assert circuit.n_features == 4
    assert [op.angles[0] for op in circuit.template.ops] == [row(3), param(0, scale=2.0)]


def test_a_formula_that_divides_features_is_a_formula():
    circuit = from_text(V3 + "input array[float, 1] x; qubit q; rx(x[0] + x[0]*x[0]/x[0]) q;")
    assert circuit.angles(np.array([[0.3]]))[
        0, circuit.template.ops[0].angles[0].terms[0].slot
    ] == (pytest.approx(0.6))


LAST = "qubit[2] q;\n"
REFUSED = {
    "bits made a number": ('bit[2] f = "11"; while (int[2](f) != 0) x q[0];', "cannot be made int"),
    "an index": ("h q[5];", "line 4, column 4: index 5"),
    "no angle": ("  rx() q;", "line 4, column 3: rx: takes 1 angle and 1 qubit"),
    "division by zero": ("rx(1/0) q;", "line 4, column 5: .*division by zero"),
    "logarithm": ("rx(log(-1)) q;", "line 4, column 4: cannot compute log"),
    "huge power": ("rx(10**10**10) q;", "line 4"),
    "huge shift": ("rx(1 << 10000000) q;", "line 4"),
    "infinite": ("rx(1e400) q;", "inf"),
    "complex": ("rx((-2.0)**0.5) q;", "complex"),
    "unknown gate": ("frobnicate(0.1) q;", "line 4, column 1: no gate frobnicate"),
    "near gate": ("CXX q[0], q[1];", "Did you mean"),
    "undeclared": ("rx(theta) q[0];", "input float theta"),
    "undeclared qubit": ("h r[0];", "r is not declared"),
    "twice": ("cx q[0], q[0];", "one qubit twice"),
    "declared twice": ("qubit q;", "declared twice"),
    "syntax": ("h q[0]\nx q[1];", "line 5, column 1: '.' is missing before 'x'"),
    "no statement": ("= 3;", "line 4, column 1"),
    "open text": ("h q[0]", "end of the text"),
    "open comment": ("/* h q[0];", "line 4, column 1: a comment is not closed"),
    "another language's comment": ("# To do\nh q[0];", "begins with //"),
    "open quote": ('include "a', "a quote is not closed"),
    "brackets": ("rx(" + "(" * 5000 + "1" + ")" * 5000 + ") q;", "brackets"),
    "endless gate": ("gate g a { g a; } g q[0];", "too deep"),
    "powers of powers": ("pow(64) @ pow(64) @ pow(64) @ h q[0];", "too many gates"),
    "too long a range": ("for int i in [0:999999999] { x q[0]; }", "too long"),
    "too many qubits": ("qubit[1000000000] r;", "line 4, column 19: 1000000002 qubits"),
    "measurement": (
        "bit c; c = measure q[0];\n\nx q[0];",
        "line 6.*qubit 0 after its measurement in line 4",
    ),
    "reset": ("h q[0]; reset q[0];", "line 4, column 9: reset of qubit 0"),
    "measured condition": (
        "bit c; c = measure q[0]; if (c == 1) { x q[1]; }",
        "line 4, column 30: if depends",
    ),
    "while": ("bit c; c = measure q[0]; while (c) { x q[0]; }", "column 33: while depends on a"),
    "endless while": ("while (true) { x q[0]; }", "while runs more than 10,000 times"),
    "defcal": ("defcal x $0 { }", "defcal"),
    "extern": ("extern f(float) -> float;", "extern"),
    "opaque": ("opaque magic(a) r; magic(0.1) q[0];", "the gate magic is opaque"),
    "batch": ("rx([0.1 0.3]) q[0];", "an export of a batch"),
    "long batch": ("rx([0.1 0.3 ... 0.4]) q[0];", "an export of a batch"),
    "noise": (
        "#pragma braket noise depolarizing(0.1) q[0]",
        "line 4, column 1: the pragma braket noise",
    ),
    "matrix": ("#pragma braket unitary([[0, 1], [1, 0]]) q[0]", "the pragma braket unitary"),
    "include": ('include "mine.inc";', "line 4.*mine.inc"),
    "array of no dimension": ("input array[float] x;", "1 to 7 dimensions"),
    "input of whole numbers": ("input int n;", "input float"),
    "version": ("OPENQASM 2.0;", "OpenQASM 2.0 in a text of OpenQASM 3"),
    "two definitions": (
        "gate mine a { h a; } gate mine a { x a; } mine q[0];", "mine is defined twice"
    ),
    "a time": ("duration d = 1us;", "times are not supported.*timing"),
    "bits of a fraction": ("float a = 3; rx(a[0]) q[0];", "behind what is no register or array"),
    "bits of a number": ("uint[4] a = 3; rx(a[64]) q[0];", "index 64 is outside 0 to 63"),
    "a sign": ("# a comment", "# is no OpenQASM here"),
    "wrong size": ("def f(qubit[3] a) { h a; } f(q);", "3 qubits"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_read_is_refused_with_its_place(what: str):
    body, message = REFUSED[what]
    with pytest.raises((CircuitError, ResourceError), match=message) as error:
        from_text(f"{V3}{LAST}{body}\n", name="mine.qasm")
    assert "mine.qasm, line" in str(error.value)
    assert error.value.exit_code == 2


@pytest.mark.parametrize("body", ["{ }", "{ x q[0]; }", "x q[0];", "{ g q[0]; }"])
def test_a_program_that_runs_too_long_is_refused(monkeypatch: pytest.MonkeyPatch, body: str):
    monkeypatch.setattr(program, "MOST_STEPS", 1000)
    loops = "for int i in [0:9999] for int j in [0:9999] "
    with pytest.raises(CircuitError, match="more than 1,000 statements"):
        from_text(f"{V3}{LAST}gate g a {{ x a; x a; }}\n{loops}{body}\n// few steps")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no OpenQASM"),
        ("<html><body>qubit</body></html>", "no statement begins with '<'"),
        ("H 0\nCNOT 0 1", "no OpenQASM"),
        ("OPENQASM 4.0; qubit q;", "OpenQASM 2 and 3"),
        ("OPENQASM 3.0;", "no qubits"),
        (V2 + "qreg q[1]; rx q[0];", "line 3, column 12: rx: takes 1 angle"),
        (
            V2 + "qreg q[2]; creg c[2]; measure q -> c; if(c==1) x q[0];",
            "if depends on a measurement",
        ),
        (V2 + "qreg q[31];", "any of its 31 qubits"),
        (V2 + "qreg q[1001];\nh q;", "line 4, column 1: more than 1,000 qubits"),
        (V2 + "qreg q[10001];", "line 3, column 6: 10001 qubits are declared"),
    ],
)
def test_texts_that_are_no_circuit(text: str, message: str):
    with pytest.raises((CircuitError, ResourceError), match=message):
        from_text(text)


def _corpus() -> list[str]:
    bodies = [body for body, _ in (*PROGRAMS.values(), *REFUSED.values()) if len(body) < 500]
    written = [random_circuit(3, 3, seed=seed) for seed in range(3)]
    texts = [write(circuit) for circuit in written for write in (qasm2.dumps, qasm3.dumps)]
    return [f"{V3}qubit[3] q; {body}" for body in bodies] + texts


def test_a_damaged_text_is_refused_or_read_but_never_fails_otherwise():
    generator, corpus = random.Random(7), _corpus()
    words = [re.findall(r"\w+|\s+|.", text) for text in corpus]
    read = 0
    for _ in range(1500):
        tokens = list(generator.choice(words))
        for _ in range(generator.choice((1, 1, 2, 4))):
            at, other = (generator.randrange(len(tokens)) for _ in range(2))
            match generator.randrange(5):
                case 0:
                    del tokens[at:]
                    tokens.append(";")
                case 1:
                    tokens.insert(at, tokens[other])
                case 2:
                    tokens[at], tokens[other] = tokens[other], tokens[at]
                case 3:
                    tokens[at] = generator.choice(generator.choice(words))
                case 4:
                    tokens[at] = ""
        try:
            from_text("".join(tokens))
            read += 1
        except QStoreError:
            continue
    assert read > 50


def _expression(generator: random.Random, depth: int) -> str:
    if depth == 0:
        return generator.choice(
            ["x[0]", "x[1]", "w", "0", "1", "2.5", "pi", "-1", "1e300", "1e-300"]
        )
    first, second = (_expression(generator, depth - 1) for _ in range(2))
    if generator.random() < 0.3:
        names = ["sin", "cos", "tan", "exp", "log", "sqrt", "arcsin", "abs", "floor"]
        return f"{generator.choice(names)}({first})"
    return f"({first} {generator.choice(['+', '-', '*', '/', '**'])} {second})"


@pytest.mark.parametrize("seed", range(4))
def test_any_expression_is_an_angle_or_refused(seed: int):
    generator, known = random.Random(seed), 0
    for _ in range(150):
        angle = _expression(generator, generator.randrange(4))
        text = f"{V3}input array[float, 2] x;\ninput float w;\nqubit q;\nrx({angle}) q;"
        try:
            from_text(text, n_features=2).angles(np.array([[0.3, -0.2], [1.0, 2.0]]))
            known += 1
        except QStoreError:
            continue
    assert 20 < known < 150


@pytest.mark.parametrize(
    "angle",
    ["x % 2", "x > 1", "!x", "x & 1", "floor(x)", "ceiling(x)", "1e308*1e308*x", "x/0", "x[0]"],
)
def test_what_cannot_be_computed_of_an_input_is_refused_with_its_place(angle: str):
    with pytest.raises(CircuitError, match="line 5, column") as error:
        from_text(f"{V3}input float x;\nqubit q;\nrx({angle}) q;")
    assert "qiskit" not in str(error.value)


@pytest.mark.parametrize("operator", ["+", "*"])
@pytest.mark.parametrize("operand", ["x", "w", "x*w"])
def test_an_expression_of_thousands_of_operations_is_refused_at_once(operator: str, operand: str):
    text = f"{V3}input float x;\ninput float w;\nqubit q;\nrx({operator.join([operand] * 3000)}) q;"
    with pytest.raises(CircuitError, match=r"line 6, column .*more than 250 operations"):
        from_text(text)


_INPUTS = "".join(f"input float x{i};\n" for i in range(6))
_SUM = "(x0 + 2*x1 + 3*x2 + 4*x3 + 5*x4 + 6*x5)"
_NESTED = "((x0 - x1)*(x0 - x1) - x1*(x0 - x1))"


@pytest.mark.parametrize(
    "angle",
    [
        f"{_SUM}*{_SUM}/2.5",
        f"x1/({_SUM}*{_SUM})",
        f"{_SUM}*{_SUM}*3.0 + x1*2.0",
        f"sin({_SUM}*{_SUM}) - sin({_SUM})",
        f"{_NESTED}*{_NESTED} - x2*{_NESTED}",
    ],
)
def test_a_product_of_sums_that_qiskit_would_not_finish_is_refused(angle: str):
    with pytest.raises(CircuitError, match=r"line 10, column .*more than 20 terms"):
        from_text(f"{V3}{_INPUTS}qubit q;\nrx({angle}) q;")


@pytest.mark.parametrize(
    "angle",
    [
        f"{_SUM}*{_SUM}*0.1 - x1",
        f"{_SUM} + {_SUM}/2",
        " + ".join(f"(pi - x{i})*(pi - x{j})" for i in range(6) for j in range(i)),
        f"{_SUM}*{_SUM} + x1*x2",
    ],
)
def test_a_product_of_sums_is_computed(angle: str):
    circuit = from_text(f"{V3}{_INPUTS}qubit q;\nrx({angle}) q;", features="x")
    x = np.linspace(0.1, 0.7, 6)
    names = {f"x{i}": value for i, value in enumerate(x)}
    expected = eval(angle, {"pi": np.pi, **names})
    assert circuit.encode(x[None])[0][-1] == pytest.approx(expected)


def test_a_text_is_parsed_once(monkeypatch: pytest.MonkeyPatch):
    calls = []
    run = reader.run_program
    monkeypatch.setattr(reader, "run_program", lambda *a: calls.append(a) or run(*a))
    text = f"{V3}input float x_0; input float w; qubit q; rx(x_0) q; ry(w) q; // a text of its own"
    reader.check_text(text, "mine.qasm")
    first = load_circuit(text)
    assert load_circuit(text, n_features=3).n_features == 3
    assert from_text(text, name="another").template == first.template
    assert len(calls) == 1


def test_thousands_of_gates_are_read():
    """27 qubits, 10,000 gates: each is a gate of the circuit, whatever the register's size."""
    generator = random.Random(3)
    lines = [
        f"cx q[{a}],q[{b}];" if k % 2 else f"u3({k}*pi/7,0.25,-{k}e-3) q[{a}];"
        for k in range(10_000)
        for a, b in [generator.sample(range(27), 2)]
    ]
    circuit = from_text(f"{V2}qreg q[27]; creg c[27];\n" + "\n".join(lines) + "\nmeasure q -> c;")
    assert len(circuit.template.ops) == 10_000


def test_global_phases_of_pennylane_are_read_with_and_without_a_qubit():
    body = "qreg q[2]; gphase(0.25) q[0]; sx q[0]; gphase(pi/4); cx q[0],q[1];"
    assert same_state(V2 + body, "sx 0; cx 0 1", 2)


def test_the_state_of_a_text_is_that_of_its_gates():
    theirs = QuantumCircuit(1)
    theirs.rx(0.5, 0)
    found = state(from_text(V3 + "qubit q; rx(0.5) q;"))
    np.testing.assert_allclose(np.abs(found), np.abs(Statevector(theirs).data), atol=1e-14)
