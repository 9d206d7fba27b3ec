"""A circuit's own text: what is read without Qiskit, and which changes make it any OpenQASM."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.expressions import Formulas
from qstore_ray.circuits.library.library import build_circuit
from qstore_ray.circuits.library.row_angles import (
    Bits,
    Features,
    NoAngles,
    PairProducts,
    Repeated,
    RowAmplitudes,
)
from qstore_ray.circuits.qasm.encoding_text import (
    encoded_circuit,
    encoding_error,
    with_wires,
    written_encoding,
)
from qstore_ray.circuits.qasm.qasm import to_qasm3
from qstore_ray.circuits.qasm.text import circuit_text, read_own, with_encoding
from qstore_ray.circuits.template import Op, Template, const, param, row
from qstore_ray.errors import CircuitError

OPS = (
    Op("h", (0,)),
    Op("u", (1,), (row(0), param(1, 0.5, -1e-30), const(math.pi))),
    Op("rxx", (2, 0), (row(1, -2.0).plus(param(0, 1e-7)),)),
    Op("sxdg", (1,)),
    Op("iswap", (1, 2)),
    Op("ccx", (2, 0, 1)),
)
PLAIN = Circuit(Template(3, OPS, 2, 3), 2, "mine", Features())
TEXT = """OPENQASM 3.0;
// qstore_ray: rows=2 params=3
include "stdgates.inc";
gate sxdg a { s a; h a; s a; }
gate iswap a, b { s a; s b; h a; cx a, b; cx b, a; h b; }
gate rxx(t) a, b { h a; h b; cx a, b; rz(t) b; cx a, b; h b; h a; }
input float[64] x_0;
input float[64] x_1;
input float[64] p_0;
input float[64] p_1;
input float[64] p_2;
qubit[3] q;
h q[0];
U(1.0*x_0 + 0.0, 0.5*p_1 + -1e-30, 3.141592653589793) q[1];
rxx(-2.0*x_1 + 1e-07*p_0 + 0.0) q[2], q[0];
sxdg q[1];
iswap q[1], q[2];
ccx q[2], q[0], q[1];
"""


def test_a_text_is_written_and_read_without_a_loss():
    assert circuit_text(PLAIN) == to_qasm3(PLAIN.template) == TEXT
    assert read_own(TEXT, "mine") == PLAIN
    assert read_own(TEXT).name == "circuit"
    named = circuit_text(PLAIN, features=["a", "θ"])
    assert named == TEXT.replace(
        "// qstore_ray: rows", '// qstore_ray: features=["a", "\\u03b8"]\n// qstore_ray: rows'
    )
    assert read_own(named, "mine") == PLAIN


def test_wires_are_kept():
    wired = Circuit(PLAIN.template, 2, "mine", Features(), wires=(7, 5, 90))
    text = circuit_text(wired)
    assert text.splitlines()[1] == "// qstore_ray: wires=[7, 5, 90]"
    assert read_own(text, "mine").wires == (7, 5, 90)
    assert read_own(text.replace("[7, 5, 90]", "[7, 5]"), "mine").wires == ()
    assert with_wires(PLAIN, {"wires": [1, 2, 3]}).wires == (1, 2, 3)
    for comments in ({}, {"wires": [1, 2]}, {"wires": 3}, {"wires": "abc"}):
        assert with_wires(PLAIN, comments) is PLAIN
    assert with_encoding(PLAIN, text).wires == (7, 5, 90)


CHANGES = {
    "another version": ("3.0;", "3.1;"),
    "another include": ('"stdgates.inc"', "'stdgates.inc'"),
    "another definition": ("{ s a; h a; s a; }", "{ s a; h a; }"),
    "an input twice": ("x_1;", "x_0;"),
    "an input of another kind": ("x_1;", "p_1;"),
    "inputs in another order": ("x_0;\ninput float[64] x_1", "x_1;\ninput float[64] x_0"),
    "an input too few": ("input float[64] p_2;\n", ""),
    "an input of another type": ("float[64] x_0", "float[32] x_0"),
    "another register": ("qubit[3] q", "qubit[3] r"),
    "a long register": ("qubit[3]", "qubit[00003]"),
    "a space": ("h q[0];", "h  q[0];"),
    "two gates in a line": ("h q[0];\n", "h q[0]; "),
    "no semicolon": ("h q[0];", "h q[0]"),
    "a comment": ("h q[0];", "h q[0]; // mine"),
    "a word": ("0.5*p_1", "pi*p_1"),
    "an order": ("0.5*p_1 + -1e-30", "-1e-30 + 0.5*p_1"),
    "a product": ("0.5*p_1", "p_1*0.5"),
    "a bracket": ("0.5*p_1", "(0.5)*p_1"),
    "another input": ("0.5*p_1", "0.5*y_1"),
    "a number of another form": ("3.141592653589793", "3."),
    "a register instead of its qubits": ("h q[0];", "h q;"),
    "nothing else": (TEXT.partition("input")[2], ""),
    "no header": ("// qstore_ray: rows=2 params=3\n", ""),
    "a comment that is no JSON": (
        "// qstore_ray: rows", "// qstore_ray: features=[\n// qstore_ray: rows"
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_text_is_not_read_as_our_own(change: str):
    old, new = CHANGES[change]
    assert old in TEXT
    assert read_own(TEXT.replace(old, new, 1)) is None


def test_comments_of_an_edited_text_are_read():
    circuit = build_circuit(encoding="iqp", ansatz="basic", n_qubits=2, n_features=2, layers=1)
    text = circuit_text(circuit)
    template = Template(2, (), 3, 0)
    bare = Circuit(template, 3, "mine", Features())
    found = with_encoding(bare, f"x;\n{text}")
    assert (found.n_features, found.encode, found.name) == (2, circuit.encode, "mine")
    assert with_encoding(bare, "x; // qstore_ray: circuit=3") is bare
    assert with_encoding(bare, '// qstore_ray: features=["a"]') is bare
    formulas = with_encoding(bare, '// qstore_ray: formulas=[["sin", 0]]\n')
    assert (formulas.n_features, formulas.encode) == (2, Formulas(2, (("sin", 0),)))
    for comment in ("formulas=[", "circuit=mine"):
        with pytest.raises(CircuitError) as caught:
            with_encoding(bare, f"// qstore_ray: {comment}")
        assert caught.value.value == '"not JSON"'


# ------------------------------------------------------------------------------------ encodings

WRITTEN = [
    (Features(), {"name": "features"}, 3),
    (Bits(), {"name": "bits"}, 3),
    (NoAngles(), {"name": "none"}, 0),
    (PairProducts(3, 0.5), {"name": "pairs", "center": 0.5}, 6),
    (Formulas(3, (("sin", 0), 1.5)), {"name": "formulas", "formulas": [["sin", 0], 1.5]}, 5),
    (Repeated(Bits(), 2), {"name": "repeated", "times": 2, "inner": {"name": "bits"}}, 6),
    (Repeated(PairProducts(3, 1.0), 3),
     {"name": "repeated", "times": 3, "inner": {"name": "pairs", "center": 1.0}}, 18),
]  # fmt: skip


@pytest.mark.parametrize(("encode", "about", "width"), WRITTEN, ids=lambda value: str(value)[:20])
def test_an_encoding_is_written_and_read(encode, about, width: int):
    written = written_encoding(encode)
    assert {**written, "formulas": None} == {**about, "formulas": None}
    template = Template(2, (), width, 0)
    found = encoded_circuit(template, {"circuit": {"n_features": 3, "encode": about}}, "mine")
    assert found == Circuit(template, 3, "mine", encode)
    for other in (width - 1, width + 1):
        if other >= 0:
            with pytest.raises(CircuitError, match="no encoding"):
                encoded_circuit(
                    Template(2, (), other, 0),
                    {"circuit": {"n_features": 3, "encode": about}},
                    "mine",
                )


def test_amplitudes_are_loaded_by_as_many_qubits_as_there_are():
    template = Template(2, (), 0, 0)
    for n in (1, 4):
        about = {"n_features": n, "encode": {"name": "none"}, "load": {"name": "amplitudes"}}
        found = encoded_circuit(template, {"circuit": about}, "mine")
        assert (found.template.initial, found.load) == ("amplitudes", RowAmplitudes(2))
        assert found.n_features == n
        np.testing.assert_allclose(found.amplitudes(np.ones((1, n)))[0, :n], n**-0.5)
    about = {"name": "amplitudes"}
    assert written_encoding(RowAmplitudes(2)) == about
    whole = circuit_text(found)
    assert whole.splitlines()[1] == (
        '// qstore_ray: circuit={"n_features": 4, "encode": {"name": "none"}, '
        '"load": {"name": "amplitudes"}}'
    )


BROKEN = [
    3,
    {},
    {"n_features": 3},
    {"encode": {"name": "features"}},
    {"n_features": "many", "encode": {"name": "features"}},
    {"n_features": 0, "encode": {"name": "features"}},
    {"n_features": 3, "encode": 3},
    {"n_features": 3, "encode": {"name": "mine"}},
    {"n_features": 3, "encode": {"name": "pairs"}},
    {"n_features": 3, "encode": {"name": "pairs", "center": 1}},
    {"n_features": 3, "encode": {"name": "formulas", "formulas": 3}},
    {"n_features": 3, "encode": {"name": "repeated", "times": 1, "inner": {}}},
    {"n_features": 3, "encode": {"name": "repeated", "times": 1.0, "inner": {"name": "bits"}}},
    {"n_features": 3, "encode": {"name": "features"}, "load": None},
    {"n_features": 3, "encode": {"name": "features"}, "load": {"name": "bits"}},
    {"n_features": 5, "encode": {"name": "none"}, "load": {"name": "amplitudes"}},
]


@pytest.mark.parametrize("about", BROKEN, ids=str)
def test_comments_that_describe_no_encoding_are_refused(about):
    width = 0 if "none" in str(about) else 3
    template = Template(2, (), 0 if about == BROKEN[5] else width, 0)
    with pytest.raises(CircuitError) as caught:
        encoded_circuit(template, {"circuit": about}, "mine")
    error = caught.value
    assert error.message == "the text describes no encoding of this circuit's row angles"
    assert (error.field, error.fix) == ("circuit", "Take the text as this package wrote it.")
    assert isinstance(error.value, str)
    assert encoding_error({"a": 1}).value == '{"a": 1}'


class _OwnEncoding:
    def __call__(self, x):
        return x

    def pullback(self, x, cotangent):
        return cotangent


def test_an_encoding_of_ones_own_is_not_kept():
    for encode in (_OwnEncoding(), Repeated(_OwnEncoding(), 2)):
        with pytest.raises(CircuitError) as caught:
            written_encoding(encode)
        error = caught.value
        assert error.message == "an encoding of a class of your own cannot be kept with the model"
        assert (error.field, error.value) == ("circuit", "_OwnEncoding")
        assert error.fix.startswith("Write its angles as formulas of the features in a Qiskit ")
        assert error.fix.endswith("or transform the features by a preprocessing step.")
