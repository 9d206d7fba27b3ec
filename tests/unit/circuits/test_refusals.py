"""What circuits refuse: where it is, the value that is wrong, and what to type instead."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.functions import imported
from qstore_ray.circuits.library.coupling import checked_pairs, heavy_hex
from qstore_ray.circuits.load import circuit_of_rows, load_circuit
from qstore_ray.circuits.observable import Observable, named_observables
from qstore_ray.circuits.template import Op, Template, const, param, row
from qstore_ray.circuits.wires import kept_wires, too_wide_error
from qstore_ray.errors import CircuitError, ConfigError, QStoreError, ResourceError

SUM = 'Write for example "Z0", "Z0 Z1" or "0.5*X0 Y2 - Z1".'
NAMES = (
    'Write for example "z", "z+zz_neighbours" or "x+z+xx+zz", or a list of sums such as ["Z0 Z1"].'
)
ANYTHING = (
    "Give a qiskit QuantumCircuit, a .qasm file or OpenQASM source, a Circuit, a Template "
    "that starts from zeros, or a function that returns one of them."
)
TWICE = param(0)._replace(terms=param(0).terms * 2)
WIDE = param(0)._replace(offset=math.inf)


def _one_gate(op: Op) -> Template:
    return Template(2, (Op("h", (0,)), op), n_rows=1, n_params=1)


def _of_zeros() -> Template:
    return Template(1, (Op("ry", (0,), (row(0),)),), n_rows=1)


def needs(first: int, second: int, third: int = 3) -> None:
    """A function that cannot be called without arguments."""


# what is done → (error, field, value, the message, the fix)
Refusal = tuple[Callable[[], Any], type[QStoreError], str, Any, str, str]
REFUSALS: dict[str, Refusal] = {
    "no qubits": (
        lambda: Template(0, ()), CircuitError, "n_qubits", 0,
        "a circuit needs at least one qubit", "",
    ),
    "too few angles": (
        lambda: _one_gate(Op("rx", (0,))), CircuitError, "gate 1 (rx)", Op("rx", (0,)),
        "takes 1 qubits and 1 angles", "",
    ),
    "too many qubits": (
        lambda: _one_gate(Op("h", (0, 1))), CircuitError, "gate 1 (h)", Op("h", (0, 1)),
        "takes 1 qubits and 0 angles", "",
    ),
    "a qubit that is not there": (
        lambda: _one_gate(Op("cx", (0, 2))), CircuitError, "gate 1 (cx)", (0, 2),
        "needs distinct qubits from 0 to 1", "",
    ),
    "a row slot that is not there": (
        lambda: _one_gate(Op("rx", (0,), (row(1),))), CircuitError, "gate 1 (rx)", 1,
        "there are only 1 row slots", "",
    ),
    "a parameter before the first": (
        lambda: _one_gate(Op("rx", (0,), (param(-1),))), CircuitError, "gate 1 (rx)", -1,
        "there are only 1 param slots", "",
    ),
    "an infinite offset": (
        lambda: _one_gate(Op("rx", (0,), (WIDE,))), CircuitError, "gate 1 (rx)", WIDE,
        "an angle must be finite", "",
    ),
    "a slot twice": (
        lambda: _one_gate(Op("rx", (0,), (TWICE,))), CircuitError, "gate 1 (rx)", TWICE,
        "a slot is in an angle twice",
        "Add angles up with `plus`, for example param(0).plus(param(1)).",
    ),
    "text that is no sum": (
        lambda: Observable.parse("Z0 +"), CircuitError, "observable", "Z0 +",
        "not a sum of Pauli strings", SUM,
    ),
    "a letter without a number": (
        lambda: Observable.parse("Z0 X"), CircuitError, "observable", "Z0 X",
        "X needs a qubit number", "Write X0 for qubit 0.",
    ),
    "a qubit twice": (
        lambda: Observable.parse("Z0 X0"), CircuitError, "observable", "Z0 X0",
        "qubit 0 appears twice in one string", "",
    ),
    "an infinite coefficient": (
        lambda: Observable.parse("1e999*Z0"), CircuitError, "observable", "1e999*Z0",
        "a coefficient must be a finite number", "",
    ),
    "a coefficient that is no number": (
        lambda: Observable.parse("1.2.3*Z0"), CircuitError, "observable", "1.2.3*Z0",
        "a coefficient must be a finite number", "",
    ),
    "an unknown word": (
        lambda: named_observables("z+w", 2), CircuitError, "observables", "z+w",
        "not a name of observables: 'w' is not x, y, z, two of them, or zz_neighbours", NAMES,
    ),
    "an observable twice": (
        lambda: named_observables("z+zz+zz_neighbours", 2, [(1, 0)]), CircuitError, "observables",
        "z+zz+zz_neighbours", "not a name of observables: Z0 Z1 is in it twice", NAMES,
    ),
    "a map that is too small": (
        lambda: heavy_hex(128), CircuitError, "entanglement", 128,
        "the map heavy_hex has 127 qubits",
        "Give the pairs of your device as a list, for example from backend.coupling_map.",
    ),
    "a pair of one qubit": (
        lambda: checked_pairs(3, [(0, 1), (2, 2)]), CircuitError, "entanglement", [2, 2],
        "entanglement joins two different qubits from 0 to 2", "",
    ),
    "a pair beyond the last qubit": (
        lambda: checked_pairs(3, [(0, 3)]), CircuitError, "entanglement", [0, 3],
        "entanglement joins two different qubits from 0 to 2", "",
    ),
    "a pair before the first qubit": (
        lambda: checked_pairs(3, [(-1, 1)]), CircuitError, "entanglement", [-1, 1],
        "entanglement joins two different qubits from 0 to 2", "",
    ),
    "a wide circuit without gates": (
        lambda: kept_wires(5000, ()), CircuitError, "circuit", 5000,
        "nothing happens on any of its 5000 qubits", "Give a circuit with gates.",
    ),
    "a function that needs arguments": (
        lambda: load_circuit(needs), ConfigError, "circuit", "needs",
        "the function needs arguments: first, second",
        "Give them default values; it is called without arguments.",
    ),
    "a name without a function": (
        lambda: imported("my_circuits"), ConfigError, "circuit", "my_circuits",
        "a circuit is a .qasm file or module:function",
        "For example circuits/mine.qasm, or my_circuits:build.",
    ),
    "a name without a module": (
        lambda: imported(":build"), ConfigError, "circuit", ":build",
        "a circuit is a .qasm file or module:function",
        "For example circuits/mine.qasm, or my_circuits:build.",
    ),
    "a module that is not there": (
        lambda: imported("no_such_module.at_all:build"), ConfigError, "circuit",
        "no_such_module.at_all:build",
        "cannot import no_such_module.at_all: No module named 'no_such_module'",
        "Give a module that Python finds (its folder on PYTHONPATH).",
    ),
    "a function that is not there": (
        lambda: imported("math:no_such"), ConfigError, "circuit", "math:no_such",
        "math has no function no_such", "",
    ),
    "something that is not called": (
        lambda: imported("math:pi"), ConfigError, "circuit", "math:pi",
        "math has no function pi", "",
    ),
    "a number": (
        lambda: load_circuit(3), ConfigError, "circuit", None, "int is no circuit", ANYTHING,
    ),
    "a list with other things": (
        lambda: load_circuit([QuantumCircuit(1), 3]), ConfigError, "circuit", None,
        "list is no circuit", ANYTHING,
    ),
    "two circuits": (
        lambda: load_circuit((QuantumCircuit(1), QuantumCircuit(1))), ConfigError, "circuit", None,
        "tuple is no circuit", "Join them first: feature_map.compose(ansatz).",
    ),
    "a class": (
        lambda: load_circuit(QuantumCircuit), ConfigError, "circuit", None,
        "the class QuantumCircuit is no circuit",
        "Give an object of the class: QuantumCircuit(…).",
    ),
    "a template that starts from amplitudes": (
        lambda: load_circuit(Template(1, (), initial="amplitudes")), ConfigError, "circuit", None,
        "Template is no circuit", ANYTHING,
    ),
    "features of a template": (
        lambda: load_circuit(_of_zeros(), features="x"), ConfigError, "features", "x",
        "a Template says itself what its features are", "Leave features out.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_it_is_refused_with_its_place_its_value_and_the_way_out(name: str):
    act, error, field, value, message, fix = REFUSALS[name]
    with pytest.raises(error) as caught:
        act()
    found = caught.value
    assert type(found) is error
    assert (found.field, found.value, found.message, found.fix) == (field, value, message, fix)


def test_a_circuit_without_features_lists_its_parameters():
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("w"), 0)
    with pytest.raises(CircuitError, match="no parameter of the circuit is a feature") as caught:
        circuit_of_rows(circuit)
    assert (caught.value.field, caught.value.value) == ("features", None)
    assert "w" in caught.value.fix.partition("Name the data parameters")[0]
    assert caught.value.fix.endswith('features = "phi"; by default they are those called x.')


def test_too_many_used_qubits_are_a_resource_error_with_its_place():
    found = too_wide_error(7, "line 3: ")
    assert type(found) is ResourceError
    assert (found.field, found.value) == ("circuit", 7)
    assert found.message.startswith("line 3: more than ")
    assert found.message.endswith("qubits have a gate or a measurement")
    assert found.fix == "Use fewer qubits, and measure only qubits with gates."
    assert too_wide_error(7).message.startswith("more than ")


@pytest.mark.parametrize(
    ("n", "used", "before", "kept"),
    [
        (3, {1}, None, (0, 1, 2)),
        (3, {1}, (), (0, 1, 2)),
        (4, {0, 3}, (2, 0), (2, 0, 3)),
        (4, {0, 3}, (3, 2, 1, 0), (0, 1, 2, 3)),
        (4, {0, 3}, (2, 4), (0, 1, 2, 3)),
        (4, {3}, (3,), (3,)),
        (5000, {4999, 7}, None, (7, 4999)),
        (0, set(), None, ()),
    ],
)
def test_the_qubits_of_a_model(n, used, before, kept):
    assert kept_wires(n, used, before) == kept


def test_a_template_is_the_circuit_of_its_rows():
    template = _of_zeros()
    circuit = load_circuit(template)
    assert circuit.template is template
    assert (circuit.n_features, circuit.name) == (1, "circuit")
    assert load_circuit(circuit) is circuit
    assert isinstance(load_circuit(_of_zeros), Circuit)
    assert load_circuit(_of_zeros).name == "_of_zeros"


def test_angles_of_constants_and_slots():
    assert const(2) == const(2.0)
    assert row(1, 2.0, 0.5).scaled(2.0) == row(1, 4.0, 1.0)
    assert row(0).depends_on("row")
    assert not row(0).depends_on("param")
    assert not const(1.0).depends_on("row")
