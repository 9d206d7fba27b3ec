"""Flags of circuits whose entanglement, cones and frequencies are known."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.advise.advantage.contenders import without_entanglement
from qstore_ray.advise.advantage.simulability import cut_facts, frequencies, simulability
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.library.library import build_circuit
from qstore_ray.circuits.observable import named_observables, z_observables
from qstore_ray.circuits.template import Op, Template, param, row

RNG = np.random.default_rng(0)


def facts(circuit, observables="z"):
    template = circuit.template
    x = RNG.random((4, circuit.n_features))
    bindings = Bindings(
        circuit.angles(x), RNG.normal(size=template.n_params), circuit.amplitudes(x)
    )
    return simulability(template, named_observables(observables, template.n_qubits), bindings)


def built(**changed):
    settings = {
        "encoding": "angle", "ansatz": "efficient_su2", "n_qubits": 4, "n_features": 4, "layers": 2,
    }  # fmt: skip
    return build_circuit(**{**settings, **changed})


def test_a_ghz_state_has_one_bit_at_every_cut():
    ops = (Op("h", (0,)), *(Op("cx", (q, q + 1)) for q in range(4)))
    states = StatevectorBackend().states(Template(5, ops), Bindings(np.zeros((1, 0)), np.zeros(0)))
    for qubit in range(4):
        found = cut_facts(states, qubit)
        assert found.entropy == pytest.approx(1.0)
        assert found.rank == 2


def test_a_pair_is_entangled_at_its_own_cut_only():
    ops = (Op("h", (1,)), Op("cx", (1, 2)))
    states = StatevectorBackend().states(Template(4, ops), Bindings(np.zeros((1, 0)), np.zeros(0)))
    assert [cut_facts(states, q).rank for q in range(3)] == [1, 2, 1]


@pytest.mark.parametrize("encoding", ["angle", "dense_angle", "zz", "iqp"])
def test_the_twin_is_a_product_and_says_so(encoding):
    circuit = built(encoding=encoding)
    found = facts(without_entanglement(circuit))
    assert any("without entanglement" in flag for flag in found.flags)
    assert max(found.cones) == 1
    assert not any("without entanglement" in flag for flag in facts(circuit).flags)


def test_the_twin_keeps_the_features_and_parameters_of_the_circuit():
    circuit = built()
    twin = without_entanglement(circuit)
    assert twin.template.n_params == circuit.template.n_params
    assert twin.n_features == circuit.n_features


def test_frequencies_are_those_of_reuploading():
    once = Template(1, (Op("ry", (0,), (row(0),)),), n_rows=1)
    assert frequencies(once) == 3.0
    thrice = Template(1, (Op("ry", (0,), (row(0),)), Op("rx", (0,), (row(0),))) * 2, n_rows=1)
    assert frequencies(thrice) == 9.0
    assert frequencies(built().template) == 3.0**4
    assert frequencies(built(encoding="amplitude", n_features=16).template) == 1.0


def test_a_shallow_wide_circuit_has_narrow_cones_and_no_states():
    circuit = built(n_qubits=40, n_features=40, layers=1, entanglement="pairwise")
    template = circuit.template
    bindings = Bindings(np.zeros((1, 40)), np.zeros(template.n_params))
    found = simulability(template, z_observables(40), bindings)
    assert found.cuts == ()
    assert max(found.cones) <= 6
    assert any("no observable sees more than" in flag for flag in found.flags)
    assert not any("fits into memory" in flag for flag in found.flags)


def test_angles_are_what_is_no_clifford_gate():
    ops = (Op("h", (0,)), Op("cx", (0, 1)), Op("t", (1,)), Op("rz", (0,), (param(0),)))
    bindings = Bindings(np.zeros((1, 0)), np.zeros(1))
    found = simulability(Template(2, ops, n_params=1), z_observables(2), bindings)
    assert (found.rotations, found.gates, found.clifford_share) == (2, 4, 0.5)


def test_few_pauli_strings_are_a_flag_and_many_are_none():
    easy = facts(built(encoding="angle", layers=1))
    assert easy.strings_error is not None
    assert any("Pauli strings" in flag for flag in easy.flags)
    deep = facts(
        built(encoding="zz", ansatz="strongly_entangling", n_qubits=8, n_features=8, layers=6)
    )
    assert deep.strings_error is None
    assert not any("Pauli strings" in flag for flag in deep.flags)


def test_loaded_amplitudes_are_not_propagated():
    found = facts(built(encoding="amplitude", n_features=16))
    assert (found.strings, found.strings_error) == (0, None)
