"""Pauli propagation beside the state: exact without a cut, and near with one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.advise.advantage.pauli_paths import pauli_paths
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.library.library import ANSATZE, build_circuit
from qstore_ray.circuits.observable import Observable, named_observables
from qstore_ray.simulate.compile.frame import pauli_rotations


def both(circuit, observables, seed, **limits):
    """By propagation and by the state: one row at random angles."""
    rng = np.random.default_rng(seed)
    template = circuit.template
    rows = circuit.angles(rng.random((1, circuit.n_features)))
    params = rng.normal(size=template.n_params)
    rotations, terms = pauli_rotations(template, observables)
    slots = np.concatenate([rows[0], params])
    exact = StatevectorBackend().evaluate(template, observables, Bindings(rows, params)).values[0]
    return pauli_paths(rotations, terms, slots, len(observables), **limits), exact


@given(
    st.sampled_from(sorted(ANSATZE)),
    st.sampled_from(["angle", "zz", "iqp"]),
    st.sampled_from(["x", "y", "z", "z+zz"]),
    st.integers(0, 2**32 - 1),
)
def test_all_strings_give_the_exact_values(ansatz, encoding, observables, seed):
    circuit = build_circuit(encoding=encoding, ansatz=ansatz, n_qubits=3, n_features=3, layers=1)
    found, exact = both(circuit, named_observables(observables, 3), seed, cut=0.0, most=10**6)
    np.testing.assert_allclose(found.values, exact, atol=1e-12)


def test_a_sum_of_strings_with_y_is_exact():
    circuit = build_circuit(
        encoding="angle", ansatz="efficient_su2", n_qubits=3, n_features=3, layers=1
    )
    observables = (Observable.parse("0.5*Y0 Y1 - X2 Y0"), Observable.parse("Z0 + 2*I"))
    found, exact = both(circuit, observables, 7, cut=0.0, most=10**6)
    np.testing.assert_allclose(found.values, exact, atol=1e-12)


@pytest.mark.parametrize("cut", [1e-2, 1e-3, 1e-4])
def test_a_smaller_cut_is_nearer_and_keeps_more(cut):
    circuit = build_circuit(
        encoding="zz", ansatz="strongly_entangling", n_qubits=6, n_features=6, layers=2
    )
    observables = named_observables("z", 6)
    coarse, exact = both(circuit, observables, 1, cut=10 * cut, most=10**6)
    fine, _ = both(circuit, observables, 1, cut=cut, most=10**6)
    assert fine.strings > coarse.strings
    assert np.linalg.norm(fine.values - exact) <= np.linalg.norm(coarse.values - exact)


def test_too_many_strings_give_no_value():
    circuit = build_circuit(
        encoding="zz", ansatz="strongly_entangling", n_qubits=6, n_features=6, layers=2
    )
    found, _ = both(circuit, named_observables("z", 6), 1, most=10)
    assert found.values is None
    assert found.strings > 10
