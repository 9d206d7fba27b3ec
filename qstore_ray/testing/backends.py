"""The laws of a backend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given

from qstore_ray.backends.base import Backend, Bindings, can_differentiate, can_sample
from qstore_ray.backends.keys import DrawKey
from qstore_ray.circuits.gates import GATES
from qstore_ray.circuits.observable import Observable, z_observables
from qstore_ray.circuits.template import Op, Template, const, param, row
from qstore_ray.errors import BackendError, CircuitError
from qstore_ray.simulate import reference
from qstore_ray.testing.strategies import FEW, Case, cases, random_states

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

TURN = Template(2, (Op("ry", (0,), (row(0),)), Op("rx", (1,), (param(0),))), n_rows=1, n_params=1)

WRONG = {
    "too few row angles": Bindings(np.zeros((2, 0)), np.zeros(1)),
    "too many row angles": Bindings(np.zeros((2, 2)), np.zeros(1)),
    "rows of one dimension": Bindings(np.zeros(2), np.zeros(1)),
    "too many parameters": Bindings(np.zeros((2, 1)), np.zeros(2)),
    "parameters for other rows": Bindings(np.zeros((2, 1)), np.zeros((3, 1))),
    "a row angle that is NaN": Bindings(np.array([[0.0], [np.nan]]), np.zeros(1)),
    "an infinite parameter": Bindings(np.zeros((2, 1)), np.array([np.inf])),
    "amplitudes for zeros": Bindings(np.zeros((1, 1)), np.zeros(1), np.eye(1, 4)),
}


class BackendLaws:
    """Values equal the obvious simulator's, whatever else is in the batch; what cannot be computed
    is refused.

    Fixtures: `backend`.
    """

    atol = 1e-10
    """How far a value may be from the reference."""

    @pytest.fixture
    def backend(self) -> Backend:
        """The backend under test; override it."""
        raise NotImplementedError

    @FEW
    @given(cases())
    def test_it_agrees_with_the_reference(self, backend: Backend, case: Case) -> None:
        np.testing.assert_allclose(
            _values(backend, *case), _expected(*case), atol=self.atol, rtol=0
        )

    @pytest.mark.parametrize("gate", GATES)
    def test_it_agrees_on_every_gate_with_every_kind_of_angle(
        self, backend: Backend, gate: str
    ) -> None:
        spec = GATES[gate]
        slots = (row(0, 0.5, 0.1), param(0, -2.0), const(1.1))[: spec.n_angles]
        op = Op(gate, (2, 0, 1)[: spec.n_qubits], slots)
        template = Template(3, (op,), 1, 1, "amplitudes")
        rng = np.random.default_rng(5)
        bindings = Bindings(rng.normal(size=(2, 1)), rng.normal(size=1), random_states(rng, 2, 3))
        seen = [
            Observable.parse(text) for text in ("X0 Y1 Z2", "Z2 + 0.5*X0 Z1 - Y1", "Y2", "X1", "I")
        ]
        found = _values(backend, template, seen, bindings)
        np.testing.assert_allclose(
            found, _expected(template, seen, bindings), atol=self.atol, rtol=0
        )

    @FEW
    @given(cases())
    def test_a_batch_is_its_rows_one_by_one(self, backend: Backend, case: Case) -> None:
        template, observables, bindings = case
        alone = [
            _values(backend, template, observables, _row(bindings, i)) for i in range(len(bindings))
        ]
        together = _values(backend, *case)
        np.testing.assert_allclose(together, np.vstack(alone), atol=1e-14, rtol=0)

    @pytest.mark.parametrize("n_rows", [0, 1, 15, 16, 17, 40])
    def test_it_keeps_the_order_of_rows(self, backend: Backend, n_rows: int) -> None:
        x = np.random.default_rng(0).permutation(n_rows) / 10.0
        found = _values(backend, TURN, z_observables(2), Bindings(x[:, None], np.array([0.3])))
        expected = np.column_stack([np.cos(x), np.full(n_rows, np.cos(0.3))])
        np.testing.assert_allclose(found, expected, atol=self.atol)

    def test_it_takes_parameters_per_row(self, backend: Backend) -> None:
        params = np.array([[0.1], [1.2], [-2.0]])
        found = _values(backend, TURN, z_observables(2), Bindings(np.zeros((3, 1)), params))
        np.testing.assert_allclose(
            found, np.hstack([np.ones((3, 1)), np.cos(params)]), atol=self.atol
        )

    def test_x_and_y_of_the_zero_state_vanish_and_z_is_one(self, backend: Backend) -> None:
        seen = [Observable.parse(text) for text in ("X0", "Y0", "Z0", "X1", "Y1", "Z1", "I")]
        empty = Template(2, ())
        found = _values(backend, empty, seen, Bindings(np.zeros((2, 0)), np.zeros(0)))
        np.testing.assert_allclose(found, [[0, 0, 1, 0, 0, 1, 1]] * 2, atol=1e-15)

    def test_small_values_are_not_rounded_to_zero(self, backend: Backend) -> None:
        angle = np.array([[np.pi / 2 - 1e-13]])
        found = _values(backend, TURN, z_observables(1), Bindings(angle, np.zeros(1)))
        assert found[0, 0] == pytest.approx(1e-13, abs=1e-15)

    def test_different_inputs_give_different_values(self, backend: Backend) -> None:
        rows = np.linspace(0.1, 3.0, 7)[:, None]
        seen = [Observable.parse("Z0"), Observable.parse("Y1")]
        base = _values(backend, TURN, seen, Bindings(rows, np.array([0.3])))
        assert len(set(base[:, 0].tolist())) == len(rows)
        other = _values(backend, TURN, seen, Bindings(rows, np.array([0.4])))
        assert (base[:, 1] != other[:, 1]).all()

    def test_templates_of_one_shape_are_not_confused(self, backend: Backend) -> None:
        bindings = Bindings(np.array([[0.7]]), np.array([0.0]))
        other = replace(TURN, ops=(Op("rx", (0,), (row(0, scale=2.0),)), *TURN.ops[1:]))
        seen = [Observable.parse("Z0")]
        assert _values(backend, TURN, seen, bindings)[0, 0] == pytest.approx(np.cos(0.7))
        assert _values(backend, other, seen, bindings)[0, 0] == pytest.approx(np.cos(1.4))
        assert _values(backend, TURN, [Observable.parse("X0")], bindings)[0, 0] == pytest.approx(
            np.sin(0.7)
        )

    @pytest.mark.parametrize("bindings", WRONG.values(), ids=WRONG)
    def test_bindings_that_do_not_fit_are_refused(
        self, backend: Backend, bindings: Bindings
    ) -> None:
        with pytest.raises(CircuitError):
            backend.evaluate(TURN, z_observables(2), bindings)

    @pytest.mark.parametrize("amplitudes", [None, np.zeros((1, 4)), np.ones((1, 4)), np.eye(1, 8)])
    def test_amplitudes_that_are_no_states_are_refused(
        self, backend: Backend, amplitudes: AnyArray | None
    ) -> None:
        loading = replace(TURN, initial="amplitudes")
        with pytest.raises(CircuitError, match="amplitudes"):
            backend.evaluate(
                loading, z_observables(2), Bindings(np.zeros((1, 1)), np.zeros(1), amplitudes)
            )

    def test_observables_that_do_not_fit_are_refused(self, backend: Backend) -> None:
        bindings = Bindings(np.zeros((1, 1)), np.zeros(1))
        for observables in ([], [Observable.parse("Z2")]):
            with pytest.raises(CircuitError, match="observable"):
                backend.evaluate(TURN, observables, bindings)

    def test_shots_are_refused_by_a_backend_that_does_not_sample(self, backend: Backend) -> None:
        """For one that does, see `SamplingLaws`."""
        one_row = Bindings(np.zeros((1, 1)), np.zeros(1))
        if can_sample(backend):
            found = backend.evaluate(TURN, z_observables(2), one_row, shots=8, key=DrawKey((1,)))
            assert found.usage.shots >= 8
            return
        with pytest.raises(BackendError, match="shots"):
            backend.evaluate(TURN, z_observables(2), one_row, shots=100)

    @FEW
    @given(cases())
    def test_exact_gradients_are_central_differences(self, backend: Backend, case: Case) -> None:
        if not can_differentiate(backend):
            assert not hasattr(backend, "vjp")
            return
        template, observables, b = case
        cotangent = np.random.default_rng(6).normal(size=(len(b), len(observables)))
        estimates, pullback = backend.vjp(template, observables, b, rows_gradient=True)
        np.testing.assert_allclose(estimates.values, _values(backend, *case), atol=1e-14, rtol=0)
        found = pullback(cotangent)
        expected = reference.central_differences(
            template, observables, b.rows, b.params, cotangent, amplitudes=b.amplitudes
        )
        for ours, theirs in zip(found, expected, strict=True):
            assert (ours is None) == (theirs is None)
            if theirs is not None:
                assert ours is not None
                np.testing.assert_allclose(abs(ours - theirs), 0.0, atol=1e-8)


def _values(
    backend: Backend, template: Template, observables: Sequence[Observable], bindings: Bindings
) -> FloatArray:
    found = backend.evaluate(template, observables, bindings)
    assert found.values.shape == (len(bindings), len(observables))
    assert found.values.dtype == np.float64
    return found.values


def _row(bindings: Bindings, i: int) -> Bindings:
    """Row i alone."""
    params, amplitudes = bindings.params, bindings.amplitudes
    return Bindings(
        bindings.rows[i : i + 1],
        params if params.ndim == 1 else params[i : i + 1],
        None if amplitudes is None else amplitudes[i : i + 1],
    )


def _expected(
    template: Template, observables: Sequence[Observable], bindings: Bindings
) -> FloatArray:
    b = bindings
    return reference.expectations(template, observables, b.rows, b.params, b.amplitudes)
