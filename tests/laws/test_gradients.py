"""The laws of a gradient method, on every method and every backend that can serve it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings

from qstore_ray.backends.aer import AerBackend
from qstore_ray.backends.base import Backend, Bindings
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.lower import lower
from qstore_ray.circuits.observable import Observable, z_observables
from qstore_ray.circuits.template import Op, Template, param
from qstore_ray.errors import CircuitError, ConfigError, UnknownNameError
from qstore_ray.learn.gradients import (
    GRADIENTS,
    GradientMethod,
    draws_its_plan,
    get_gradient,
    linearize,
)
from qstore_ray.simulate import reference
from qstore_ray.testing import GradientLaws
from qstore_ray.testing.strategies import Case, cases, random_states

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

few = settings(max_examples=25)


@lru_cache
def _open(name: str) -> Backend:
    return BACKENDS[name]()


def _gradients(method: str, backend: str, case: Case, cotangent, *, rows_gradient: bool):
    estimates, pullback = linearize(
        GRADIENTS[method](), _open(backend), *case, rows_gradient=rows_gradient
    )
    return estimates.values, pullback(cotangent)


def _cotangent(case: Case) -> np.ndarray:
    return np.random.default_rng(6).normal(size=(len(case.bindings), len(case.observables)))


DRAWN = {"random_coordinate_shift", "spsa"}
"""Methods whose gradients are right in the mean; their laws are in `test_drawn_gradients.py`."""


def test_every_method_is_tested():
    assert {method for method, _ in PAIRS} | DRAWN == set(GRADIENTS)
    assert {name for name in GRADIENTS if draws_its_plan(GRADIENTS[name]())} == DRAWN


class TestEveryMethod(GradientLaws):
    @pytest.fixture(params=PAIRS, ids="-".join)
    def pair(self, request: pytest.FixtureRequest) -> tuple[str, str]:
        return request.param

    @pytest.fixture
    def method(self, pair) -> GradientMethod:
        return GRADIENTS[pair[0]]()

    @pytest.fixture
    def backend(self, pair) -> Backend:
        return _open(pair[1])


@few
@given(case=cases(initial=("zeros",)))
def test_parameter_shift_on_aer_equals_adjoint_here(case):
    cotangent = _cotangent(case)
    values, found = _gradients("parameter_shift", "aer", case, cotangent, rows_gradient=True)
    others, expected = _gradients("adjoint", "native", case, cotangent, rows_gradient=True)
    np.testing.assert_allclose(values, others, atol=1e-10, rtol=0)
    np.testing.assert_allclose(found.rows, expected.rows, atol=1e-9, rtol=0)
    np.testing.assert_allclose(found.params, expected.params, atol=1e-9, rtol=0)


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


def test_adjoint_on_a_backend_that_only_evaluates_is_refused():
    template = Template(1, (Op("rx", (0,), (param(0),)),), 0, 1)
    bindings = Bindings(np.zeros((1, 0)), np.zeros(1))
    with pytest.raises(ConfigError, match="parameter_shift") as caught:
        linearize(GRADIENTS["adjoint"](), _open("aer"), template, z_observables(1), bindings)
    assert caught.value.field == "trainer.gradient"


def test_auto_is_adjoint_where_the_backend_can():
    assert get_gradient("auto", _open("numpy")).name == "adjoint"
    assert get_gradient("auto", _open("aer")).name == "parameter_shift"
    with pytest.raises(UnknownNameError, match="auto, parameter_shift"):
        get_gradient("adjoin", _open("aer"))
