"""A circuit in front of raw features: what it checks, in which order it computes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from qstore_ray.circuits.circuit import Circuit, all_finite
from qstore_ray.circuits.expressions import Formulas
from qstore_ray.circuits.library.row_angles import Features, NoAngles, RowAmplitudes
from qstore_ray.circuits.template import Template
from qstore_ray.errors import CircuitError, DataError

PLAIN = Circuit(Template(1, (), 2), 2, "mine", Features())
LOADING = Circuit(Template(1, (), initial="amplitudes"), 2, "mine", NoAngles(), RowAmplitudes(1))


def test_finite_values_are_told_even_where_their_sum_is_not():
    assert all_finite(np.ones((2, 3)))
    assert all_finite(np.zeros((0, 3)))
    assert all_finite(np.full((2, 2), 1e308))
    assert all_finite(np.array([1e308, 1e308, -1e308]))
    for bad in (np.nan, np.inf, -np.inf):
        values = np.ones((2, 3))
        values[1, 2] = bad
        assert not all_finite(values)
    assert not all_finite(np.array([np.inf, -np.inf, 1.0]))
    assert type(all_finite(np.full(2, 1e308))) is bool


def test_amplitudes_are_loaded_exactly_where_the_template_starts_from_them():
    for template, load, initial in (
        (Template(1, ()), RowAmplitudes(1), "zeros"),
        (Template(1, (), initial="amplitudes"), None, "amplitudes"),
    ):
        with pytest.raises(CircuitError) as caught:
            Circuit(template, 2, "mine", NoAngles(), load)
        message = "`load` is given exactly when the template starts from amplitudes"
        assert (caught.value.message, caught.value.field) == (message, "load")
        assert caught.value.value == initial


def test_wires_are_for_display():
    moved = Circuit(PLAIN.template, 2, "mine", Features(), wires=(5,))
    assert moved == PLAIN
    assert hash(moved) == hash(PLAIN)
    assert pickle.loads(pickle.dumps(moved)).wires == (5,)
    assert PLAIN.wires == ()


def _error(act, x, kind: type[Exception] = DataError):
    with pytest.raises(kind) as caught:
        act(np.asarray(x))
    return caught.value


@pytest.mark.parametrize("circuit", [PLAIN, LOADING], ids=["angles", "amplitudes"])
def test_rows_have_the_width_of_the_circuit_and_are_finite(circuit: Circuit):
    acts = [
        circuit.angles,
        lambda x: circuit.pullback(x, x, x),
        *([circuit.amplitudes] if circuit.load else []),
    ]
    for act in acts:
        for x in (np.ones((2, 3)), np.ones((2, 1)), np.ones(2), np.ones((1, 2, 2))):
            error = _error(act, x)
            assert error.message == "the circuit 'mine' takes rows of 2 features"
            assert (error.field, error.value) == ("x", x.shape)
        for bad in (np.nan, np.inf, -np.inf):
            error = _error(act, [[1.0, 1.0], [1.0, bad], [bad, 1.0]])
            assert (error.row, error.field) == (1, "x")
            assert "row 1 holds NaN or infinity" in str(error)
            assert error.fix == "Impute or drop missing values before the circuit."


def test_any_numbers_in_any_order_in_memory_give_the_same_bits():
    formulas = Circuit(Template(1, (), 3), 2, "mine", Formulas(2, (("mul", 0, ("sin", 1)),)))
    x = np.random.default_rng(0).normal(size=(50, 2))
    expected = formulas.angles(x)
    assert expected.dtype == np.float64
    for same in (np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2], x[::-1][::-1], x.tolist()):
        np.testing.assert_array_equal(formulas.angles(same), expected)
    single = formulas.angles(x.astype(np.float32))
    assert single.dtype == np.float64
    assert formulas.angles(np.array([[1, 2]])).dtype == np.float64
    np.testing.assert_array_equal(PLAIN.angles([[1, 2]]), [[1.0, 2.0]])


def test_angles_that_are_not_finite_name_their_row():
    circuit = Circuit(Template(1, (), 2), 1, "mine", Formulas(1, (("log", 0),)))
    error = _error(circuit.angles, [[1.0], [0.0], [-1.0]])
    assert (error.row, error.field) == (1, "x")
    assert "row 1 is encoded as an angle that is not finite" in str(error)
    assert error.fix == (
        "Scale the features into the range where the circuit's formulas are defined."
    )
    huge = Circuit(Template(1, (), 2), 1, "mine", Formulas(1, (("mul", 0, 1.0),)))
    assert huge.angles(np.full((2, 1), 1e308)).max() == 1e308


def test_gradients_of_angles_and_amplitudes_add_up():
    x, angles = np.array([[3.0, 4.0]]), np.array([[0.5, -1.0]])
    np.testing.assert_array_equal(PLAIN.pullback(x, angles), angles)
    assert PLAIN.amplitudes(x) is None
    np.testing.assert_allclose(LOADING.amplitudes(x), [[0.6, 0.8]])
    amplitudes = np.array([[1.0 + 5j, 0.0 - 2j]])
    # d(x/|x|)/dx at (3, 4) along (1, 0): (1 − 0.36, −0.48) / 5
    found = LOADING.pullback(x, np.zeros((1, 0)), amplitudes)
    np.testing.assert_allclose(found, [[0.128, -0.096]], atol=1e-15)
    error = _error(lambda x: LOADING.pullback(x, np.zeros((1, 0))), x, CircuitError)
    assert (error.message, error.field) == (
        "the gradient of the amplitudes is needed",
        "amplitudes",
    )
    both = Circuit(Template(1, (), 2, initial="amplitudes"), 2, "b", Features(), RowAmplitudes(1))
    np.testing.assert_allclose(both.pullback(x, angles, amplitudes), found + angles)
