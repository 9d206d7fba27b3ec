"""Whole states: the reference's amplitudes and phases, on every engine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from qstore_ray.backends.aer import AerBackend
from qstore_ray.backends.base import Bindings, can_prepare_states
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.gates import GATES
from qstore_ray.circuits.template import Op, Template, const, param, row
from qstore_ray.errors import CircuitError, ResourceError
from qstore_ray.simulate import reference
from qstore_ray.testing.strategies import cases, random_states

NAMES = ("native", "numpy")
EXACT = 1e-12
every_engine = pytest.mark.parametrize("engine", NAMES)


def _states(engine: str, template: Template, b: Bindings, **options) -> np.ndarray:
    found = StatevectorBackend(engine=engine, **options).states(template, b)
    assert found.shape == (len(b), 2**template.n_qubits)
    assert found.dtype == np.complex128
    return found


def _expected(template: Template, b: Bindings) -> np.ndarray:
    return reference.states(template, b.rows, b.params, b.amplitudes)


def _chain(n_qubits: int) -> Template:
    """Every kind of thing that a program takes out of the way, on all qubits."""
    ops = []
    for q in range(n_qubits):
        after = (q + 1) % n_qubits
        ops += [Op("h", (q,)), Op("p", (q,), (row(0, 0.7),)), Op("rx", (q,), (param(0, 1 + q),))]
        ops += [Op("cx", (q, after)), Op("y", (after,)), Op("ry", (q,), (const(0.1 * q),))]
        ops += [Op("cz", (after, q)), Op("u", (q,), (row(1), param(1), const(4.0)))]
    return Template(n_qubits, tuple(ops), 2, 2)


@every_engine
@settings(max_examples=60)
@given(cases())
def test_states_are_the_reference_s_with_their_phase(engine: str, case):
    template, _, b = case
    np.testing.assert_allclose(
        _states(engine, template, b), _expected(template, b), atol=EXACT, rtol=0
    )


@every_engine
@pytest.mark.parametrize("gate", GATES)
def test_the_phase_of_every_gate_is_kept(engine: str, gate: str):
    spec = GATES[gate]
    slots = (row(0, 0.5, 0.1), param(0, -2.0), const(1.1))[: spec.n_angles]
    template = Template(3, (Op(gate, (2, 0, 1)[: spec.n_qubits], slots),) * 3, 1, 1, "amplitudes")
    rng = np.random.default_rng(5)
    b = Bindings(rng.normal(size=(2, 1)), rng.normal(size=1), random_states(rng, 2, 3))
    np.testing.assert_allclose(
        _states(engine, template, b), _expected(template, b), atol=EXACT, rtol=0
    )


@every_engine
@pytest.mark.parametrize("turns", range(1, 5))
def test_a_whole_turn_is_minus_one(engine: str, turns: int):
    template = Template(1, (Op("h", (0,)), Op("rz", (0,), (const(2 * np.pi * turns),))))
    found = _states(engine, template, Bindings(np.zeros((1, 0)), np.zeros(0)))
    np.testing.assert_allclose(found, (-1) ** turns * np.sqrt([[0.5, 0.5]]), atol=EXACT)


@every_engine
@pytest.mark.parametrize("n_qubits", [5, 8, 11, 12, 13])
def test_wide_states_are_the_reference_s(engine: str, n_qubits: int):
    rng = np.random.default_rng(n_qubits)
    b = Bindings(rng.uniform(-9, 9, (3, 2)), rng.uniform(-9, 9, 2))
    template = _chain(n_qubits)
    np.testing.assert_allclose(
        _states(engine, template, b), _expected(template, b), atol=EXACT, rtol=0
    )


@every_engine
def test_a_batch_is_its_rows_in_order_however_it_is_cut(engine: str, monkeypatch):
    rng = np.random.default_rng(1)
    rows, params = rng.normal(size=(37, 2)), rng.normal(size=(37, 2))
    together = _states(engine, _chain(4), Bindings(rows, params))
    alone = [
        _states(engine, _chain(4), Bindings(rows[i : i + 1], params[i : i + 1])) for i in range(37)
    ]
    np.testing.assert_allclose(together, np.vstack(alone), atol=1e-14, rtol=0)
    for module in ("native", "arrays"):
        monkeypatch.setattr(f"qstore_ray.simulate.engines.{module}.CHUNK_BYTES", 1)
    np.testing.assert_array_equal(
        _states(engine, _chain(4), Bindings(rows, params), threads=2), together
    )


@pytest.mark.parametrize("n_qubits", [4, 12])
def test_single_precision_states_are_near(n_qubits: int):
    b = Bindings(np.full((9, 2), 0.3), np.array([0.2, -1.0]))
    found = _states("native", _chain(n_qubits), b, precision="complex64")
    np.testing.assert_allclose(found, _expected(_chain(n_qubits), b), atol=1e-5)


@every_engine
def test_no_rows_give_no_states(engine: str):
    assert len(_states(engine, _chain(3), Bindings(np.zeros((0, 2)), np.zeros(2)))) == 0


def test_more_states_than_memory_are_refused_with_numbers():
    rows = np.broadcast_to(np.zeros((1, 2)), (10**8, 2))
    with pytest.raises(ResourceError, match="GiB") as caught:
        StatevectorBackend().states(_chain(13), Bindings(rows, np.zeros(2)))
    assert (caught.value.field, caught.value.value) == ("rows", 10**8)
    assert "rows at a time" in caught.value.fix


def test_bindings_that_do_not_fit_are_refused():
    with pytest.raises(CircuitError) as caught:
        StatevectorBackend().states(_chain(2), Bindings(np.zeros((1, 3)), np.zeros(2)))
    assert caught.value.field == "rows"


def test_a_backend_says_whether_it_has_states():
    assert can_prepare_states(StatevectorBackend())
    assert not can_prepare_states(AerBackend())
