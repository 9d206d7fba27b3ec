"""Statements of OpenQASM that are decided before a circuit runs."""

import pytest

from qstore_ray.circuits.qasm.reader import from_text
from qstore_ray.errors import CircuitError

V2 = 'OPENQASM 2.0;\ninclude "qelib1.inc";\n'
V3 = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[4] q;\n'


def _gates(text: str) -> str:
    ops = from_text(text).template.ops
    return "; ".join(f"{op.gate} {','.join(map(str, op.qubits))}" for op in ops)


@pytest.mark.parametrize(
    ("body", "gates"),
    [
        ("if(c==0) x q[0]; if(c==1) h q[0];", "x 0"),
        ("if(c==3) x q[0]; y q[1];", "y 1"),
        ("measure q[1] -> d[0]; if(c==0) x q[0];", "x 0"),
        ("if(c!=0) x q[0]; if(!c) z q[0];", "z 0"),
        ("if(c==1) measure q[0] -> c[0]; if(c==0) x q[0];", "x 0"),
    ],
)
def test_a_register_of_openqasm_2_is_0_until_it_is_written(body, gates):
    assert _gates(f"{V2}qreg q[2]; creg c[2]; creg d[1];\n{body}") == gates


@pytest.mark.parametrize(
    "text",
    [
        V2 + "qreg q[2]; creg c[2];\nmeasure q[0] -> c[0]; if(c==0) x q[1];",
        V2 + "qreg q[2]; creg c[2];\nmeasure q -> c; if(c==0) x q[1];",
        "qreg q[2]; creg c[2];\nc[0] = measure q[0]; if(c==0) x q[1];",
        V3 + "bit[2] c; if(c==0) x q[1];",  # has no value there
    ],
)
def test_a_condition_on_bits_that_are_not_known_is_refused(text):
    with pytest.raises(CircuitError, match="if depends on a measurement or an input"):
        from_text(text)


@pytest.mark.parametrize(
    ("body", "gates"),
    [
        ("int i = 0; while (i < 3) { h q[i]; i += 1; } x q[3];", "h 0; h 1; h 2; x 3"),
        ("int i = 9; while (i < 3) { h q[i]; } x q[3];", "x 3"),
        ("int i = 0; while (true) { i += 1; if (i == 1) continue; h q[i]; if (i == 3) break; }",
         "h 2; h 3"),
        ("int i = 0; while (i < 2) i += 1; h q[i];", "h 2"),
        ("int i = 0; while (i < 2) { int j = 0; while (j <= i) { h q[j]; j += 1; } i += 1; }",
         "h 0; h 0; h 1"),
    ],
)  # fmt: skip
def test_a_while_over_known_values_is_unrolled(body, gates):
    assert _gates(V3 + body) == gates


@pytest.mark.parametrize(
    ("value", "gates"), [(0, "x 0"), (1, "y 0; y 1"), (2, "y 0; y 1"), (7, "z 0")]
)
def test_a_switch_over_a_known_value_runs_one_case(value, gates):
    cases = "case 0 { x q[0]; } case 1, 2 { y q[0]; y q[1]; } default { z q[0]; }"
    assert _gates(f"{V3}const int n = {value}; switch (n) {{ {cases} }}") == gates


def test_a_switch_inside_a_loop_leaves_the_loop_by_break():
    body = "for int i in [0:3] { switch (i) { case 2 { break; } default { h q[i]; } } }"
    assert _gates(V3 + body) == "h 0; h 1"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("bit c; c = measure q[0]; switch (c) { case 0 { x q[1]; } }", "switch depends on a"),
        ("switch (0.5) { case 0 { x q[1]; } }", "switch of what is no whole number"),
        ("switch (1) { case 0, 0 { x q[1]; } }", "case 0 stands twice"),
        ("switch (1) { case 0 { } case 0 { } }", "case 0 stands twice"),
        ("switch (1) { default { } case 0 { } }", "at its end perhaps one default"),
        ("switch (1) { x q[0]; }", "at its end perhaps one default"),
    ],
)
def test_a_switch_that_cannot_be_decided_is_refused(body, message):
    with pytest.raises(CircuitError, match=f"line 4, .*{message}"):
        from_text(V3 + body)


@pytest.mark.parametrize("index", ["[i][j]", "[i, j]"])
def test_an_input_array_of_two_dimensions_is_numbered_by_rows(index):
    text = (
        f"OPENQASM 3.0;\ninput array[float[64], 2, 3] w;\ninput array[float, 2] x;\nqubit[3] q;\n"
        f"for int i in [0:1] {{ for int j in [0:2] {{ U(w{index}, 0, x[i]) q[j]; }} }}"
    )
    circuit = from_text(text)
    slots = [op.angles[0].terms[0].slot for op in circuit.template.ops]
    assert (circuit.template.n_params, slots) == (6, [0, 1, 2, 3, 4, 5])


def test_features_are_a_prefix_of_an_array_of_two_dimensions():
    text = "input array[angle, 2, 2] data;\nqubit q;\nU(data[1][0], data[0][1], data[-1][-1]) q;"
    circuit = from_text(text, features="data")
    slots = [angle.terms[0].slot for angle in circuit.template.ops[0].angles]
    assert (circuit.n_features, slots) == (4, [2, 1, 3])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("input array[float, 2, 0] w;", "an array of 2 · 0 elements"),
        ("input array[float, 2, 3] w; rx(w[2][0]) q[0];", "index 2 is outside 0 to 1"),
        ("input array[float, 2, 3] w; rx(w[0, 3]) q[0];", "index 3 is outside 0 to 2"),
        ("input array[float, 2, 3] w; rx(w[0]) q[0];", "an angle is no number"),
        ("input array[float, 2] w; rx(w[0, 0]) q[0];", "square brackets behind"),
        ("input array[int, 2] w;", "float or angle"),
    ],
)
def test_arrays_that_are_none_are_refused(body, message):
    with pytest.raises(CircuitError, match=message):
        from_text(V3 + body)


def test_a_subroutine_called_as_a_gate_is_told_how():
    body = "def pair(qubit[2] p) { h p[0]; cx p[0], p[1]; }\npair q[0:1];"
    with pytest.raises(CircuitError, match="pair is a subroutine") as caught:
        from_text(V3 + body)
    assert "Write pair(p);" in str(caught.value.fix)
