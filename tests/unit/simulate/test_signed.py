"""Random errors and their signs: the kernels give what numpy gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.circuits.observable import z_observables
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.simulate import _kernels
from qstore_ray.simulate.compile.signed_program import WORDS, DrawnErrors, ErrorTable, Site
from qstore_ray.simulate.compile.signs import compile_signed
from qstore_ray.simulate.engines import signed_arrays, signed_native
from qstore_ray.testing.strategies import Case, cases

words = st.integers(0, 2**64 - 1)


@st.composite
def tables(draw) -> ErrorTable:
    """Up to 9 sites with up to 15 errors each, from impossible to certain ones."""
    any_error, outcomes, upper = [], [], []
    for site in range(draw(st.integers(1, 9))):
        weights = np.array(draw(st.lists(st.integers(1, 9), min_size=1, max_size=15)), float)
        total = draw(st.sampled_from([0.0, 1e-3, 0.3, 1.0]))
        cumulative = np.cumsum(weights / weights.sum()) * total
        any_error.append(cumulative[-1])
        upper += list(site + cumulative)
        outcomes += list(16 * site + np.arange(len(weights)))
    return ErrorTable(np.array(any_error), np.array(outcomes), np.array(upper))


@given(table=tables(), key=st.tuples(words, words), counter=words, n=st.integers(0, 40))
def test_every_engine_draws_the_same_errors(table: ErrorTable, key, counter: int, n: int):
    counter = min(counter, 2**64 - 1000)
    own = np.array(key, np.uint64)
    expected = signed_arrays.draw_errors(table, own, counter, n)
    found = signed_native.draw_errors(table, own, counter, n)
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.outcomes, expected.outcomes)


@pytest.mark.parametrize("engine", [signed_native, signed_arrays])
@given(table=tables(), first=st.integers(0, 12), n=st.integers(0, 12))
def test_the_errors_of_a_row_depend_on_its_number_alone(engine, table, first: int, n: int):
    key, blocks = np.array([3, 5], np.uint64), -(-len(table.any_error) // WORDS)
    whole = engine.draw_errors(table, key, 7, first + n)
    part = engine.draw_errors(table, key, 7 + first * blocks, n)
    behind = whole.rows >= first
    np.testing.assert_array_equal(part.rows, whole.rows[behind] - first)
    np.testing.assert_array_equal(part.outcomes, whole.outcomes[behind])


@given(case=cases(max_ops=8, max_rows=5), data=st.data())
def test_every_engine_binds_the_same_signed_angles(case: Case, data: st.DataObject):
    template, observables, b = case
    sites = tuple(Site(i + 1, op.qubits[:2]) for i, op in enumerate(template.ops))
    sites += (Site(len(template.ops), (0,)),)
    signed = compile_signed(template, observables, sites)
    place = st.tuples(st.integers(0, len(b) - 1), st.integers(0, len(signed.flips) - 1))
    happened = np.array(data.draw(st.lists(place, max_size=12)), np.int64).reshape(-1, 2)
    errors = DrawnErrors(*np.ascontiguousarray(happened.T))
    found = signed_native.bind_signed(signed, errors, b.rows, b.params)
    expected = signed_arrays.bind_signed(signed, errors, b.rows, b.params)
    np.testing.assert_array_equal(found.signs, expected.signs)
    np.testing.assert_allclose(found.rows, expected.rows, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(found.params, expected.params, rtol=1e-14, atol=1e-14)

    slots = np.random.default_rng(1).normal(size=(len(b), signed.program.n_slots))
    for rows_gradient in (True, False):
        arguments = {"signs": found.signs, "slots": slots, "rows_gradient": rows_gradient}
        by_rows, by_params = signed_native.unbind_signed(signed, **arguments)
        right_rows, right_params = signed_arrays.unbind_signed(signed, **arguments)
        np.testing.assert_allclose(by_rows, right_rows, rtol=1e-14, atol=1e-13)
        np.testing.assert_allclose(by_params, right_params, rtol=1e-14, atol=1e-13)


def test_a_wrong_call_is_an_error_and_not_a_crash():
    gates = (Op("ry", (0,), (row(0),)), Op("ry", (0,), (param(0),)))
    signed = compile_signed(Template(1, gates, 1, 1), z_observables(1), (Site(0, (0,)),))
    rows, params = np.zeros((2, 1)), np.zeros(1)
    for where, outcome in ((2, 0), (-1, 0), (0, 4), (0, -1)):
        with pytest.raises(ValueError, match="out of range"):
            signed_native.bind_signed(
                signed, DrawnErrors(np.array([where]), np.array([outcome])), rows, params
            )
    none = DrawnErrors(np.zeros(0, np.int64), np.zeros(0, np.int64))
    with pytest.raises(ValueError, match="too short"):
        signed_native.bind_signed(signed, none, rows, np.zeros(0))
    with pytest.raises(ValueError, match="too short"):
        signed_native.unbind_signed(signed, np.ones((1, 9)), np.zeros((9, 1)), rows_gradient=True)
    table = np.array([3, 0, 0, 0, 0], np.int64)
    with pytest.raises(ValueError, match="too short"):
        _kernels.draw_errors(table, np.zeros(2, np.uint64), 0, 1, np.zeros(3), np.zeros(2))
