"""Features for encodings: columns scaled, rows kept apart, widths checked."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qstore_ray.circuits.library.encodings import ENCODINGS
from qstore_ray.circuits.library.library import build_circuit
from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.prepare.quantum import HALF_TURN, QuantumDataAdapter, preprocessing_for
from qstore_ray.data.prepare.steps import MinMax
from qstore_ray.errors import CircuitError, DataError, UnknownNameError, UsageError

PROPORTIONAL = np.array([[0.0, 1, 2, 3], [0.0, 10, 20, 30]])
QUBITS_MORE = {"hamiltonian": 1}
"""How many more qubits than features an encoding takes."""
every_encoding = pytest.mark.parametrize("encoding", ENCODINGS)


def _states_differ(encoding, out):
    """Whether two rows are different states: amplitudes up to sign, all others as they are."""
    if encoding == "amplitude":
        return abs(out[0] @ out[1]) < 1 - 1e-9
    return not np.allclose(out[0], out[1])


@every_encoding
def test_rows_that_are_multiples_of_each_other_stay_apart(encoding):
    n_qubits = 4 + QUBITS_MORE.get(encoding, 0)
    out = QuantumDataAdapter(encoding, n_qubits).fit(PROPORTIONAL).transform(PROPORTIONAL)
    assert _states_differ(encoding, out)


def test_they_stay_apart_where_features_fill_all_amplitudes():
    out = QuantumDataAdapter("amplitude", 2).fit(PROPORTIONAL).transform(PROPORTIONAL)
    assert out.shape == (2, 4)
    assert _states_differ("amplitude", out)


@given(
    arrays(np.float64, (3, 3), elements=st.integers(-9, 9).map(float)),
    st.sampled_from([*HALF_TURN, "amplitude"]),
)
@settings(deadline=None)
def test_rows_of_train_that_differ_are_never_the_same_state(x, encoding):
    out = QuantumDataAdapter(encoding, 3 + QUBITS_MORE.get(encoding, 0)).fit(x).transform(x)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        if (x[i] != x[j]).any():
            assert _states_differ(encoding, out[[i, j]])


@pytest.mark.parametrize("encoding", HALF_TURN)
def test_angles_span_half_a_turn_and_later_rows_are_held_at_its_ends(encoding):
    n_qubits = 2 + QUBITS_MORE.get(encoding, 0)
    adapter = QuantumDataAdapter(encoding, n_qubits).fit([[0.0, 5.0], [2.0, 9.0]])
    top = HALF_TURN[encoding]
    np.testing.assert_allclose(
        adapter.transform([[0.0, 9.0], [1.0, 7.0]]), [[0, top], [top / 2] * 2]
    )
    np.testing.assert_allclose(adapter.transform([[-50.0, 99.0]]), [[0, top]])  # fmt: skip


def test_every_encoding_that_turns_qubits_has_a_range():
    assert set(HALF_TURN) | {"basis", "amplitude"} == set(ENCODINGS)


@every_encoding
def test_what_comes_out_is_what_the_circuit_takes(encoding):
    x = np.random.default_rng(1).normal(size=(20, 4))
    n_qubits = 4 + QUBITS_MORE.get(encoding, 0)
    out = QuantumDataAdapter(encoding, n_qubits).fit(x).transform(x)
    circuit = build_circuit(
        encoding=encoding,
        ansatz="hardware_efficient",
        n_qubits=n_qubits,
        n_features=out.shape[1],
        layers=1,
    )
    circuit.encode(out)
    if encoding == "basis":
        assert set(np.unique(out)) == {0.0, 1.0}
    if encoding == "amplitude":
        np.testing.assert_allclose(np.linalg.norm(out, axis=1), 1.0)
        assert out.shape == (20, 16)
        assert not out[:, 5:].any()


@every_encoding
def test_too_many_features_say_how_many_components_there_may_be(encoding):
    room = {"dense_angle": 6, "amplitude": 8, "hamiltonian": 2}.get(encoding, 3)
    with pytest.raises(CircuitError, match=f"the encoding {encoding} takes") as caught:
        QuantumDataAdapter(encoding, 3).fit(np.eye(9))
    assert caught.value.field == "n_features"
    assert caught.value.value == 9
    assert f"{room} components (PCA)" in caught.value.fix
    assert preprocessing_for(encoding, 3, room)


def test_the_steps_go_into_a_dataset():
    steps = preprocessing_for("angle", 4, 4)
    assert steps == (MinMax(feature_range=(0.0, math.pi), clip=True),)
    config = DatasetConfig(name="iris", params={"dataset": "iris"}, preprocessing=steps)
    assert DatasetConfig.from_dict(config.to_dict()) == config


def test_an_adapter_is_fitted_first_and_known_by_name():
    with pytest.raises(UsageError, match="not seen training rows") as caught:
        QuantumDataAdapter("angle", 2).transform([[1.0, 2.0]])
    assert "fit(x_train)" in caught.value.fix
    with pytest.raises(UnknownNameError, match="unknown encoding") as unknown:
        preprocessing_for("angel", 2, 2)
    assert "'angle'" in unknown.value.fix


def test_rows_are_checked():
    with pytest.raises(DataError, match="NaN"):
        QuantumDataAdapter("angle", 2).fit([[1.0, math.nan], [2.0, 1.0]])
    with pytest.raises(DataError, match="rows have 1 features"):
        QuantumDataAdapter("angle", 2).fit(np.eye(2)).transform([[1.0]])
