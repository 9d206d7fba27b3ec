"""What a circuit may be given as, what is kept of it, and who reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import AnnotatedOperation, InverseModifier, Parameter
from qiskit.circuit.library import RXGate
from qiskit.quantum_info import Clifford, SparsePauliOp

from qstore_ray.circuits.library.library import build_circuit
from qstore_ray.circuits.load import circuit_of_rows, is_name, kept_circuit, load_circuit
from qstore_ray.circuits.qasm.source import AS_TEXT
from qstore_ray.circuits.qasm.text import circuit_text
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.errors import CircuitError, ConfigError

TEXT = "OPENQASM 3.0;\ninput float b;\ninput float a;\nqubit q;\nrx(a) q; rz(b) q;\n"
OWN = build_circuit(encoding="angle", ansatz="basic", n_qubits=2, n_features=2, layers=1)


def text() -> str:
    return TEXT


def _angles(given, **options) -> list:
    return [op.angles[0] for op in load_circuit(given, **options).template.ops]


def test_a_name_is_neither_a_text_nor_a_file():
    for name in ("mine:build", "mine", "x"):
        assert is_name(name)
    for other in ("library", "a.qasm", "qubit q;", TEXT, 3, None, Path("mine")):
        assert not is_name(other)


def test_features_and_their_number_are_used_by_every_door(tmp_path: Path):
    file = tmp_path / "mine.qasm"
    file.write_text(TEXT, encoding="utf-8")
    theirs = QuantumCircuit(1)
    theirs.rx(Parameter("a"), 0)
    theirs.rz(Parameter("b"), 0)
    for given in (TEXT, str(file), file, theirs, text, f"{__name__}:text", lambda: theirs):
        assert _angles(given) == [param(0), param(1)]
        assert _angles(given, features=["b"]) == [param(0), row(0)]
        assert _angles(given, features=["b", "a"]) == [row(1), row(0)]
        wide = load_circuit(given, features="a", n_features=4)
        assert (wide.n_features, wide.template.n_rows, wide.template.n_params) == (4, 4, 1)
        assert circuit_of_rows(given, ["b", "a"]).template.n_rows == 2
        kept = kept_circuit(given, ["b", "a"])
        assert '// qstore_ray: features=["b", "a"]' in kept
        assert _angles(kept) == [row(1), row(0)]
        with pytest.raises(
            CircuitError, match="no parameter of the circuit is a feature"
        ) as caught:
            circuit_of_rows(given)
        assert caught.value.fix.startswith("Its parameters are a, b. Name the data parameters,")
        with pytest.raises(CircuitError, match="no parameter of the circuit is a feature"):
            kept_circuit(given)
        with pytest.raises(CircuitError, match="no parameter of the circuit has this name"):
            kept_circuit(given, "c")


def test_the_names_of_features_are_kept_only_where_they_were_given():
    theirs = QuantumCircuit(1)
    theirs.rx(Parameter("x0"), 0)
    assert "features=" not in kept_circuit(theirs)
    assert 'features=["x0"]' in kept_circuit(theirs, "x")
    assert "features=" not in kept_circuit(OWN)
    assert load_circuit(kept_circuit(OWN)) == load_circuit(kept_circuit(lambda: OWN))
    assert load_circuit(kept_circuit(OWN)).template == OWN.template


def test_a_text_by_the_name_alone_of_an_earlier_version_is_in_its_order():
    inputs = "".join(f"input float _t_{k}_;\n" for k in (2, 10))
    gates = "input float x;\nqubit q;\nrx(_t_2_) q; rx(_t_10_) q; ry(x) q;\n"
    both = f"OPENQASM 3.0;\n{inputs}{gates}"
    assert _angles(kept_circuit(both))[:2] == [param(0), param(1)]
    assert _angles(kept_circuit(lambda: both))[:2] == [param(0), param(1)]
    assert _angles(kept_circuit(lambda: both, earlier=True))[:2] == [param(1), param(0)]
    assert _angles(kept_circuit(lambda: f"{both}{AS_TEXT}\n"))[:2] == [param(1), param(0)]
    assert kept_circuit(lambda: OWN, earlier=True) == kept_circuit(OWN)


def test_a_function_says_its_name_or_its_class():
    class Maker:
        def __call__(self):
            return 3

    def build():
        return 3

    for maker, name in ((build, build.__qualname__), (Maker(), "Maker"), (lambda: [3], None)):
        with pytest.raises(ConfigError) as caught:
            load_circuit(maker)
        assert caught.value.message.startswith("the function returned ")
        assert caught.value.message.endswith(", not a circuit")
        assert caught.value.field == "circuit"
        assert name is None or caught.value.value == name
        assert caught.value.fix.startswith("Give a qiskit QuantumCircuit, a .qasm file or ")
    for returned in ("mine:build", "a.qasm", Path("a.qasm")):
        with pytest.raises(ConfigError, match=r"the function returned .*, not a circuit"):
            load_circuit(lambda returned=returned: returned)
    template = Template(1, (Op("h", (0,)),), 3)
    made = load_circuit(lambda: template)
    assert (made.template, made.n_features) == (template, 3)
    assert load_circuit(template).name == "circuit"
    np.testing.assert_array_equal(made.angles(np.ones((2, 3))), np.ones((2, 3)))


def test_operations_of_qiskit_are_circuits():
    w = Parameter("w")
    for given in (RXGate(w), AnnotatedOperation(RXGate(w), [InverseModifier()])):
        assert load_circuit(given).template.n_params == 1
    assert load_circuit(RXGate(w), features="w").n_features == 1
    for given in ((RXGate(w), RXGate(w)), [QuantumCircuit(1)]):
        with pytest.raises(ConfigError) as caught:
            load_circuit(given)
        assert caught.value.fix == "Join them first: feature_map.compose(ansatz)."
    for given in ([], [RXGate(w), 3], {"a": RXGate(w)}):
        with pytest.raises(ConfigError) as caught:
            load_circuit(given)
        assert caught.value.fix.startswith("Give a qiskit QuantumCircuit")


EXPORTS = {
    "pennylane": "qml.to_openqasm(qnode)(…)",
    "cirq": "cirq.qasm(circuit)",
    "pytket": "pytket.qasm.circuit_to_qasm_str(circuit)",
    "braket": "circuit.to_ir(IRType.OPENQASM).source",
    "pyquil": "program.out(), rewritten as OpenQASM",
    "qutip_qip": "qutip_qip.qasm.circuit_to_qasm_str(circuit)",
    "qibo": "circuit.to_qasm()",
}


class _Foreign:
    pass


@pytest.mark.parametrize("library", EXPORTS)
@pytest.mark.parametrize("place", ["", ".circuits.circuit"])
def test_circuits_of_other_libraries_are_exported_first(library: str, place: str, monkeypatch):
    monkeypatch.setattr(_Foreign, "__module__", library + place)
    with pytest.raises(ConfigError) as caught:
        load_circuit(_Foreign())
    assert caught.value.message == "_Foreign is no circuit"
    assert caught.value.value is None
    assert caught.value.fix == f"Export it as OpenQASM and give the text: {EXPORTS[library]}."


def test_what_knows_its_features_takes_none():
    for given in (OWN, OWN.template):
        with pytest.raises(ConfigError) as caught:
            load_circuit(given, features="x")
        kind = type(given).__name__
        assert caught.value.message == f"a {kind} says itself what its features are"
        assert (caught.value.field, caught.value.value) == ("features", "x")
        assert caught.value.fix == "Leave features out."
    assert load_circuit(OWN) is OWN
    assert circuit_of_rows(OWN) is OWN
    with pytest.raises(CircuitError) as caught:
        circuit_of_rows(Template(1, (Op("h", (0,)),)))
    assert caught.value.fix.startswith("It has no parameters. Name the data parameters,")


class _Called(QuantumCircuit):
    def __call__(self):
        raise AssertionError("a circuit is not called")


def test_a_circuit_that_can_be_called_is_a_circuit():
    circuit = _Called(1)
    circuit.rx(Parameter("x0"), 0)
    assert load_circuit(circuit).n_features == 1


def test_features_that_are_none_are_the_value_of_the_error():
    for act in (circuit_of_rows, kept_circuit):
        with pytest.raises(
            CircuitError, match="no parameter of the circuit is a feature"
        ) as caught:
            act(TEXT, [])
        assert (caught.value.field, caught.value.value) == ("features", [])


def test_an_operation_of_qiskit_that_is_no_instruction_is_a_circuit():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    found = load_circuit(Clifford(circuit)).template
    assert found.n_qubits == 2
    assert {"cx", "h"} <= {op.gate for op in found.ops}


class Lookalike:
    """Named as Qiskit's class is, but of another library."""


Lookalike.__name__ = "QuantumCircuit"


@pytest.mark.parametrize(
    "given",
    [SparsePauliOp("ZZ"), Parameter("x"), Lookalike()],
    ids=lambda each: type(each).__module__,
)
def test_other_objects_of_qiskit_and_other_classes_of_its_names_are_no_circuits(given):
    with pytest.raises(ConfigError, match=f"{type(given).__name__} is no circuit"):
        load_circuit(given)


TEN = (
    "OPENQASM 3.0;\ninput float[64] _w_10_;\ninput float[64] _w_2_;\nqubit q;\n"
    "rx(_w_10_) q; rz(_w_2_) q;\n"
)


def test_parameters_of_a_vector_are_in_the_order_of_their_numbers_unless_the_text_says_otherwise():
    assert _angles(TEN) == [param(1), param(0)]
    assert _angles(f"{TEN}{AS_TEXT}\n") == [param(0), param(1)]


def test_a_text_of_ours_may_be_told_which_its_features_are():
    """It says how many row angles and parameters it has; names say the same."""
    found = load_circuit(circuit_text(OWN), features="x")
    assert found.n_features == OWN.n_features
    assert found.template == OWN.template
