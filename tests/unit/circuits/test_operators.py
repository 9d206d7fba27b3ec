"""Qiskit's operators as observables: in its order of qubits, real, of the circuit's width."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.quantum_info import Pauli, PauliList, SparseObservable, SparsePauliOp, Statevector

from qstore_ray.circuits.observable import Observable, PauliTerm
from qstore_ray.circuits.qiskit.operators import read_observables
from qstore_ray.circuits.template import Op, Template, const
from qstore_ray.errors import CircuitError, ConfigError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import build_model
from qstore_ray.simulate import reference


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        (SparsePauliOp("ZI"), ["Z1"]),
        (SparsePauliOp(["ZIX", "IYI"], [0.5, -2.0]), ["0.5*X0 Z2 - 2.0*Y1"]),
        (SparsePauliOp(["II"], [3.0 + 0j]), ["3.0*I"]),
        (SparsePauliOp.from_list([("XI", 1e-7)]), ["1e-07*X1"]),
        (Pauli("-XI"), ["- X1"]),
        (PauliList(["ZI", "-IX"]), ["Z1", "- X0"]),
        ([SparsePauliOp("ZI"), "Z0", Pauli("YY")], ["Z1", "Z0", "Y0 Y1"]),
        (SparseObservable.from_list([("0I", 1.0)]), ["0.5*I + 0.5*Z1"]),
        (Observable.parse("X0"), ["X0"]),
        ("Z0 Z1", ["Z0 Z1"]),
    ],
    ids=lambda value: re.sub(r" at 0x[0-9a-f]+", "", str(value)),  # the same in every process
)
def test_operators_are_read_in_qiskits_order(given, labels: list[str]):
    found = read_observables(given)
    assert [observable.label for observable in found] == labels
    assert tuple(map(Observable.parse, labels)) == found


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.text("IXYZ", min_size=3, max_size=3), st.floats(-3, 3)), min_size=1, max_size=4
    )
)
def test_expectations_are_qiskits(terms: list[tuple[str, float]]):
    operator = SparsePauliOp.from_list(terms)
    theirs, ops = QuantumCircuit(3), []
    for gate, qubit, angle in (("ry", 0, 0.3), ("rx", 1, 1.1), ("ry", 2, -0.7), ("rz", 1, 0.4)):
        getattr(theirs, gate)(angle, qubit)
        ops.append(Op(gate, (qubit,), (const(angle),)))
    theirs.cx(0, 2)
    template = Template(3, (*ops, Op("cx", (0, 2))))
    found = reference.expectations(
        template, read_observables(operator, 3), np.zeros((1, 0)), np.zeros(0)
    )
    expected = Statevector(theirs).expectation_value(operator).real
    assert found[0, 0] == pytest.approx(expected, abs=1e-12)


def test_a_configuration_keeps_operators_as_text():
    config = ModelConfig(n_qubits=3, observables=SparsePauliOp(["ZII", "IXY"], [0.5, -1.0]))
    assert config.observables == ["0.5*Z2 - Y0 X1"]
    assert ModelConfig.from_dict(config.to_dict()) == config
    model = build_model(config, n_features=3, n_classes=None)
    assert model.observables == (Observable((PauliTerm(0, 4, 0.5), PauliTerm(3, 1, -1.0))),)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (SparsePauliOp("Z"), "of 1 qubits, the circuit has 2"),
        (SparsePauliOp("ZZZ"), "of 3 qubits, the circuit has 2"),
        ([Pauli("ZI"), Pauli("ZII")], "of 3 qubits"),
        (SparsePauliOp("ZI", [1j]), "real"),
        (SparsePauliOp("ZI", [1 + 1e-9j]), "real"),
        (SparsePauliOp("ZI", [float("nan")]), "finite"),
        (SparsePauliOp("ZI", np.array([Parameter("a")])), "real"),
        (Pauli("iZI"), "real"),
        ([SparsePauliOp("ZI"), 3], "int is no observable"),
    ],
    ids=lambda value: re.sub(r" at 0x[0-9a-f]+", "", str(value)),  # the same in every process
)
def test_operators_that_are_no_observables_of_the_circuit_are_refused(given, message: str):
    with pytest.raises(CircuitError, match=message):
        ModelConfig(n_qubits=2, observables=given)


def test_the_width_of_a_circuit_of_ones_own_counts():
    circuit = QuantumCircuit(3)
    circuit.ry(Parameter("x0"), 0)
    assert ModelConfig(circuit=circuit, observables=Pauli("ZII")).observables == ["Z2"]
    with pytest.raises(CircuitError, match="of 2 qubits, the circuit has 3"):
        ModelConfig(circuit=circuit, observables=Pauli("ZI"))


def test_text_beyond_the_qubits_is_refused_when_the_model_is_built():
    config = ModelConfig(n_qubits=2, observables=["Z0 Z5"])
    with pytest.raises(CircuitError, match="qubit 5, the circuit has 2") as caught:
        build_model(config, n_features=2, n_classes=2)
    assert caught.value.field == "model.observables"


def test_what_is_no_observable_is_refused():
    with pytest.raises(ConfigError, match="observables"):
        ModelConfig(observables=[3])


def test_what_is_no_observable_says_what_to_write():
    typed = 'Write Pauli sums such as "Z0" or "0.5*X0 Y2 - Z1", or give a SparsePauliOp.'
    hermitian = "Take the Hermitian part, and bind every parameter."
    real = "a coefficient of an observable must be a real, finite number"
    empty = SparseObservable.zero(2)
    for wrong, message, value, fix in (
        (3, "int is no observable", 3, typed),
        (None, "NoneType is no observable", None, typed),
        ([["Z0", 3]], "int is no observable", 3, typed),
        (empty, "an operator without terms", None, typed),
        (SparsePauliOp("Z", [1j]), real, "1j", hermitian),
        (Pauli("iZ"), real, "1j", hermitian),
        (SparsePauliOp("Z", [float("inf")]), real, None, hermitian),
        (SparsePauliOp("Z", np.array([Parameter("a")])), real, "1.0*a", hermitian),
    ):
        with pytest.raises(CircuitError) as caught:
            read_observables(wrong)
        error = caught.value
        assert (error.message, error.field, error.fix) == (message, "observables", fix)
        assert error.value == value or message == real
    with pytest.raises(CircuitError) as caught:
        read_observables(["Z0", Pauli("ZZ")], 3)
    assert caught.value.message == "the operator is of 2 qubits, the circuit has 3"
    assert (caught.value.field, caught.value.value) == ("observables", "Pauli")
    assert caught.value.fix.startswith("Give operators of the circuit's own number of qubits; for")
    assert read_observables(["Z0", Pauli("ZZZ"), PauliList(["XII", "-IIY"])], 3) == tuple(
        map(Observable.parse, ("Z0", "Z0 Z1 Z2", "X2", "-Y0"))
    )
