"""The laws of a gradient method, on a backend that it can differentiate on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given

from qstore_ray.backends.base import Backend, Bindings, Gradients
from qstore_ray.circuits.gates import GATES
from qstore_ray.circuits.observable import Observable, z_observables
from qstore_ray.circuits.template import Op, Template, const, param, row
from qstore_ray.learn.gradients import GradientMethod, linearize
from qstore_ray.simulate import reference
from qstore_ray.testing.strategies import FEW, Case, cases

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

SEEN = tuple(Observable.parse(text) for text in ("X0 Y1", "Z1 + 0.5*X0 Z1", "Y0"))


class GradientLaws:
    """Gradients equal central differences by shared parameters and by the angles of the rows; a
    method with a plan evaluates the planned rows, once.

    Fixtures: `method` and `backend`.
    """

    atol = 1e-8
    """How far a derivative may be from the central difference."""

    @pytest.fixture
    def method(self) -> GradientMethod:
        """The gradient method under test; override it."""
        raise NotImplementedError

    @pytest.fixture
    def backend(self) -> Backend:
        """The backend that it runs on: the exact one of this package, unless overridden."""
        from qstore_ray.backends.statevector import StatevectorBackend

        return StatevectorBackend(engine="numpy")

    @FEW
    @given(case=cases(initial=("zeros",)))
    def test_it_equals_central_differences_by_parameters_and_rows(
        self, method: GradientMethod, backend: Backend, case: Case
    ) -> None:
        self._check(method, backend, case, rows_gradient=True)

    @FEW
    @given(case=cases())
    def test_it_equals_central_differences_by_parameters_alone(
        self, method: GradientMethod, backend: Backend, case: Case
    ) -> None:
        self._check(method, backend, case, rows_gradient=False)

    @pytest.mark.parametrize("per_row", [False, True])
    @pytest.mark.parametrize("gate", [name for name, spec in GATES.items() if spec.n_angles])
    def test_it_is_right_for_every_gate_and_kind_of_angle(
        self, method: GradientMethod, backend: Backend, gate: str, per_row: bool
    ) -> None:
        spec = GATES[gate]
        qubits = (1, 0)[: spec.n_qubits]
        ops = [Op("h", (0,)), Op("ry", (1,), (const(0.4),))]
        for first in (row(0, 0.5, 0.1), param(0, -2.0), param(1)):
            # The same parameter feeds two gates, so derivatives have to be added up.
            slots = (first, param(0, 0.7), const(1.1))[: spec.n_angles]
            ops += [Op(gate, qubits, slots), Op("sx", (0,)), Op("cx", (0, 1))]
        template = Template(2, tuple(ops), 1, 2)
        rng = np.random.default_rng(5)
        bindings = Bindings(rng.normal(size=(3, 1)), rng.normal(size=(3, 2) if per_row else 2))
        self._check(method, backend, Case(template, SEEN, bindings), rows_gradient=True)

    @pytest.mark.parametrize("rows_gradient", [False, True])
    @pytest.mark.parametrize("gate", ["ry", "rzz", "crx", "cp", "u"])
    def test_it_is_right_for_sums_of_slots(
        self, method: GradientMethod, backend: Backend, gate: str, rows_gradient: bool
    ) -> None:
        spec = GATES[gate]
        first = row(0, 0.5).plus(param(0, -2.0)).plus(param(1, 0.3, 0.4))
        second = param(0).plus(row(1, -1.5)).plus(param(0, 0.5))  # the same parameter twice
        third = row(0).plus(row(1, 2.0, -0.2))
        slots = (first, second, third)[: spec.n_angles]
        ops = [Op("h", (0,)), Op("ry", (1,), (second,)), Op(gate, (1, 0)[: spec.n_qubits], slots)]
        ops += [Op("cx", (0, 1)), Op("rx", (0,), (third.plus(param(1)),)), Op("h", (1,))]
        template = Template(2, tuple(ops), 2, 2)
        rng = np.random.default_rng(8)
        bindings = Bindings(rng.normal(size=(3, 2)), rng.normal(size=2))
        case = Case(template, SEEN, bindings)
        self._check(method, backend, case, rows_gradient=rows_gradient)

    def test_no_rows_have_no_gradients(self, method: GradientMethod, backend: Backend) -> None:
        template = Template(1, (Op("rx", (0,), (row(0),)), Op("ry", (0,), (param(0),))), 1, 1)
        empty = Case(template, z_observables(1), Bindings(np.zeros((0, 1)), np.zeros(1)))
        values, found = _gradients(method, backend, empty, np.zeros((0, 1)), rows_gradient=True)
        assert values.shape == found.rows.shape == found.params.shape == (0, 1)

    @FEW
    @given(case=cases(initial=("zeros",)))
    def test_one_call_evaluates_the_very_rows_that_were_planned(
        self, method: GradientMethod, backend: Backend, case: Case
    ) -> None:
        if hasattr(method, "exact") or hasattr(method, "draws"):
            return  # it plans nothing, or something else for each key
        template, _, bindings = case
        planned = method.plan(template, bindings, rows_gradient=True)
        recording = Recording(backend)
        _, pullback = linearize(method, recording, *case, rows_gradient=True)
        (asked,) = recording.asked
        np.testing.assert_array_equal(asked.rows, planned.bindings.rows)
        np.testing.assert_array_equal(asked.params, planned.bindings.params)
        pullback(_cotangent(case))
        assert len(recording.asked) == 1, "the pullback runs nothing"

    def _check(
        self, method: GradientMethod, backend: Backend, case: Case, *, rows_gradient: bool
    ) -> None:
        template, observables, b = case
        cotangent = _cotangent(case)
        values, found = _gradients(method, backend, case, cotangent, rows_gradient=rows_gradient)
        expected = reference.expectations(template, observables, b.rows, b.params, b.amplitudes)
        np.testing.assert_allclose(values, expected, atol=1e-10, rtol=0)
        rows, params, _ = reference.central_differences(
            template, observables, b.rows, b.params, cotangent, amplitudes=b.amplitudes
        )
        assert found.params.shape == (len(b), template.n_params)
        assert found.rows.shape == (len(b), template.n_rows)
        np.testing.assert_allclose(found.params, params, atol=self.atol, rtol=0)
        np.testing.assert_allclose(found.rows, rows * rows_gradient, atol=self.atol, rtol=0)


class Recording:
    """A backend that notes what it is asked to run, and has another one run it."""

    name = "recording"

    def __init__(self, backend: Backend) -> None:
        self.asked: list[Bindings] = []
        self._backend = backend

    def check(self, *arguments: Any) -> None:
        """What the other backend would refuse."""
        self._backend.check(*arguments)

    def evaluate(
        self, template: Template, observables: Any, bindings: Bindings, **options: Any
    ) -> Any:
        """The other backend's values."""
        self.asked.append(bindings)
        return self._backend.evaluate(template, observables, bindings, **options)


def _gradients(
    method: GradientMethod,
    backend: Backend,
    case: Case,
    cotangent: FloatArray,
    *,
    rows_gradient: bool,
) -> tuple[FloatArray, Gradients]:
    estimates, pullback = linearize(method, backend, *case, rows_gradient=rows_gradient)
    return estimates.values, pullback(cotangent)


def _cotangent(case: Case) -> FloatArray:
    return np.random.default_rng(6).normal(size=(len(case.bindings), len(case.observables)))
