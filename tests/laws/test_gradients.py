"""The laws of a gradient method, on every method and every backend that can serve it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings

from qstore_ray.backends.aer import AerBackend
from qstore_ray.backends.base import Backend, Bindings
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.gates import GATES
from qstore_ray.circuits.lower import lower
from qstore_ray.circuits.observable import Observable, z_observables
from qstore_ray.circuits.template import Op, Template, const, param, row
from qstore_ray.errors import BackendError, CircuitError, UnknownNameError
from qstore_ray.learn.gradients import GRADIENTS, get_gradient, linearize
from qstore_ray.simulate import reference
from tests.strategies import Case, cases, random_states

BACKENDS = {
    "aer": AerBackend,
    "native": lambda: StatevectorBackend(engine="native"),
    "numpy": lambda: StatevectorBackend(engine="numpy"),
}
EXACT_BACKENDS = ("native", "numpy")
PAIRS = [("adjoint", name) for name in EXACT_BACKENDS] + [
    ("parameter_shift", name) for name in BACKENDS
]
EXACT = 1e-8

every_pair = pytest.mark.parametrize(("method", "backend"), PAIRS)
few = settings(max_examples=25)


@lru_cache
def _open(name: str) -> Backend:
    return BACKENDS[name]()


class Recording:
    """A backend that counts what it is asked to run."""

    name = "recording"

    def __init__(self) -> None:
        self.asked: list[Bindings] = []
        self.backend = _open("numpy")

    def evaluate(self, template, observables, bindings, *, shots=None, key=None):
        self.asked.append(bindings)
        return self.backend.evaluate(template, observables, bindings, shots=shots, key=key)


def _gradients(method: str, backend: str, case: Case, cotangent, *, rows_gradient: bool):
    estimates, pullback = linearize(
        GRADIENTS[method](), _open(backend), *case, rows_gradient=rows_gradient
    )
    return estimates.values, pullback(cotangent)


def _cotangent(case: Case) -> np.ndarray:
    return np.random.default_rng(6).normal(size=(len(case.bindings), len(case.observables)))


def _check(method: str, backend: str, case: Case, *, rows_gradient: bool) -> None:
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
    np.testing.assert_allclose(found.params, params, atol=EXACT, rtol=0)
    np.testing.assert_allclose(found.rows, rows * rows_gradient, atol=EXACT, rtol=0)


def test_every_method_is_tested():
    assert {method for method, _ in PAIRS} == set(GRADIENTS)


@every_pair
@few
@given(case=cases(initial=("zeros",)))
def test_it_equals_central_differences_by_parameters_and_rows(method, backend, case):
    _check(method, backend, case, rows_gradient=True)


@every_pair
@few
@given(case=cases())
def test_it_equals_central_differences_by_parameters_alone(method, backend, case):
    _check(method, backend, case, rows_gradient=False)


@every_pair
@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("gate", [name for name, spec in GATES.items() if spec.n_angles])
def test_it_is_right_for_every_gate_and_kind_of_angle(method, backend, gate, per_row):
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
    seen = tuple(Observable.parse(text) for text in ("X0 Y1", "Z1 + 0.5*X0 Z1", "Y0"))
    _check(method, backend, Case(template, seen, bindings), rows_gradient=True)


@every_pair
@pytest.mark.parametrize("rows_gradient", [False, True])
@pytest.mark.parametrize("gate", ["ry", "rzz", "crx", "cp", "u"])
def test_it_is_right_for_sums_of_slots(method, backend, gate, rows_gradient):
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
    seen = tuple(Observable.parse(text) for text in ("X0 Y1", "Z1 + 0.5*X0 Z1", "Y0"))
    _check(method, backend, Case(template, seen, bindings), rows_gradient=rows_gradient)


@few
@given(case=cases(initial=("zeros",)))
def test_parameter_shift_on_aer_equals_adjoint_here(case):
    cotangent = _cotangent(case)
    values, found = _gradients("parameter_shift", "aer", case, cotangent, rows_gradient=True)
    others, expected = _gradients("adjoint", "native", case, cotangent, rows_gradient=True)
    np.testing.assert_allclose(values, others, atol=1e-10, rtol=0)
    np.testing.assert_allclose(found.rows, expected.rows, atol=1e-9, rtol=0)
    np.testing.assert_allclose(found.params, expected.params, atol=1e-9, rtol=0)


@few
@given(case=cases(initial=("zeros",)))
def test_one_call_evaluates_the_very_rows_that_were_planned(case):
    template, _, bindings = case
    for method in (method() for method in GRADIENTS.values() if hasattr(method, "plan")):
        planned = method.plan(template, bindings, rows_gradient=True)
        recording = Recording()
        _, pullback = linearize(method, recording, *case, rows_gradient=True)
        (asked,) = recording.asked
        np.testing.assert_array_equal(asked.rows, planned.bindings.rows)
        np.testing.assert_array_equal(asked.params, planned.bindings.params)
        pullback(_cotangent(case))
        assert len(recording.asked) == 1, "the pullback runs nothing"


def test_a_plan_runs_nothing(monkeypatch: pytest.MonkeyPatch):
    def fail(*args, **kwargs):
        pytest.fail("a plan has run a circuit")

    for backend in (StatevectorBackend, AerBackend):
        for name in ("evaluate", "vjp"):
            monkeypatch.setattr(backend, name, fail, raising=False)
    template = Template(1, (Op("rx", (0,), (param(0),)),), 0, 1)
    bindings = Bindings(np.zeros((2, 0)), np.ones(1))
    plan = GRADIENTS["parameter_shift"]().plan(template, bindings, rows_gradient=True)
    half = np.pi / 2
    expected = [1, 1, 1 + half, 1 + half, 1 - half, 1 - half]
    np.testing.assert_array_equal(plan.bindings.params[:, 0], expected)


@few
@given(case=cases())
@pytest.mark.parametrize("rows_gradient", [False, True])
def test_parameter_shift_plans_n_times_one_plus_two_g_rows(case, rows_gradient):
    template, _, bindings = case
    if template.initial == "amplitudes" and rows_gradient:
        with pytest.raises(CircuitError, match="amplitudes"):
            GRADIENTS["parameter_shift"]().plan(template, bindings, rows_gradient=True)
        return
    wanted = {"param", "row"} if rows_gradient else {"param"}
    gates = sum(any(map(a.depends_on, wanted)) for op in lower(template).ops for a in op.angles)
    plan = GRADIENTS["parameter_shift"]().plan(template, bindings, rows_gradient=rows_gradient)
    assert len(plan.bindings) == len(bindings) * (1 + 2 * gates)


def test_adjoint_gives_the_gradient_of_amplitudes_too():
    template = Template(2, (Op("crx", (0, 1), (param(0),)),), 0, 1, "amplitudes")
    rng = np.random.default_rng(1)
    b = Bindings(np.zeros((2, 0)), rng.normal(size=1), random_states(rng, 2, 2))
    seen = (Observable.parse("X0 Y1 + 0.5*Z0"),)
    cotangent = rng.normal(size=(2, 1))
    case = Case(template, seen, b)
    expected = reference.central_differences(
        template, seen, b.rows, b.params, cotangent, amplitudes=b.amplitudes
    )
    for backend in EXACT_BACKENDS:
        _, found = _gradients("adjoint", backend, case, cotangent, rows_gradient=True)
        np.testing.assert_allclose(found.amplitudes, expected[2], atol=EXACT, rtol=0)


@every_pair
def test_no_rows_have_no_gradients(method, backend):
    template = Template(1, (Op("rx", (0,), (row(0),)), Op("ry", (0,), (param(0),))), 1, 1)
    empty = Case(template, z_observables(1), Bindings(np.zeros((0, 1)), np.zeros(1)))
    values, found = _gradients(method, backend, empty, np.zeros((0, 1)), rows_gradient=True)
    assert values.shape == found.rows.shape == found.params.shape == (0, 1)


def test_adjoint_on_a_backend_that_only_evaluates_is_refused():
    template = Template(1, (Op("rx", (0,), (param(0),)),), 0, 1)
    bindings = Bindings(np.zeros((1, 0)), np.zeros(1))
    with pytest.raises(BackendError, match="parameter_shift") as caught:
        linearize(GRADIENTS["adjoint"](), _open("aer"), template, z_observables(1), bindings)
    assert caught.value.field == "trainer.gradient"


def test_auto_is_adjoint_where_the_backend_can():
    assert get_gradient("auto", _open("numpy")).name == "adjoint"
    assert get_gradient("auto", _open("aer")).name == "parameter_shift"
    with pytest.raises(UnknownNameError, match="auto, parameter_shift"):
        get_gradient("adjoin", _open("aer"))
