"""Batches with padded rows: only the real rows run, and what the caller gets is of full size."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from qstore_ray.backends.base import Bindings, can_differentiate
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.gradients import get_gradient
from qstore_ray.learn.gradients.base import linearize
from qstore_ray.learn.layers import fill_dense
from qstore_ray.learn.model import build_model
from qstore_ray.learn.padding import without_padding
from qstore_ray.learn.step import value_and_grad

PLAIN = StatevectorBackend(engine="numpy")
SEEN = (Observable.parse("Z0"), Observable.parse("0.5*X1 - Z0 Z1"))
OPS = (Op("ry", (0,), (row(0).plus(param(0)),)), Op("cx", (0, 1)), Op("rx", (1,), (param(1),)))
REAL, PADDED = 3, 5


def _case(initial: str, copies: int) -> tuple[Template, Bindings, np.ndarray]:
    """A circuit, values for copies of a padded batch, and which of its rows are real."""
    n, rng = copies * PADDED, np.random.default_rng(copies)
    template = Template(2, OPS, 1, 2, initial=initial)
    states = rng.normal(size=(n, 4)) + 1j * rng.normal(size=(n, 4))
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    amplitudes = states if initial == "amplitudes" else None
    bindings = Bindings(rng.normal(size=(n, 1)), rng.normal(size=(n, 2)), amplitudes)
    return template, bindings, np.arange(n)[np.arange(n) % PADDED < REAL]


class _Recording:
    """What a backend is asked, answered by an exact one."""

    name = "recording"

    def __init__(self, draws: bool = False) -> None:
        self.asked: list[tuple[Bindings, dict[str, Any]]] = []
        self.draws = draws

    def evaluate(self, template, observables, bindings, **options):
        self.asked.append((bindings, options))
        return PLAIN.evaluate(template, observables, bindings)


every_case = pytest.mark.parametrize("initial", ["zeros", "amplitudes"])


@every_case
@pytest.mark.parametrize("copies", [1, 2, 3])
def test_real_rows_are_themselves_and_padded_ones_the_first(initial: str, copies: int):
    template, bindings, real = _case(initial, copies)
    expected, exact = PLAIN.vjp(template, SEEN, bindings.part(real), rows_gradient=True)
    padded = without_padding(PLAIN, REAL, PADDED)
    assert can_differentiate(padded)
    found, pullback = padded.vjp(template, SEEN, bindings, rows_gradient=True)
    first = [PADDED * copy for copy in range(copies) for _ in range(PADDED - REAL)]
    rest = np.setdiff1d(np.arange(len(bindings)), real)
    for values in (found.values, padded.evaluate(template, SEEN, bindings).values):
        np.testing.assert_allclose(values[real], expected.values, atol=1e-14)
        np.testing.assert_array_equal(values[rest], values[first])
    cotangent = np.random.default_rng(9).normal(size=found.values.shape)
    for mine, theirs in zip(pullback(cotangent), exact(cotangent[real]), strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            np.testing.assert_allclose(mine[real], theirs, atol=1e-14)
            assert not mine[rest].any()
    assert (pullback(cotangent).amplitudes is None) == (initial == "zeros")


@every_case
def test_only_real_rows_run_with_a_key_of_their_own(initial: str):
    template, bindings, real = _case(initial, 2)
    backend = _Recording()
    padded = without_padding(backend, REAL, PADDED)
    padded.evaluate(template, SEEN, bindings, key=DrawKey((1,), n_rows=PADDED))
    padded.evaluate(template, SEEN, bindings, key=DrawKey((1,)))
    padded.evaluate(template, SEEN, bindings)
    for asked, _ in backend.asked:
        np.testing.assert_array_equal(asked.rows, bindings.rows[real])
    options = [options for _, options in backend.asked]
    assert options == [{"key": DrawKey((1,), n_rows=REAL)}, {"key": DrawKey((1,))}, {}]
    assert padded.name == "recording"
    assert without_padding(backend, PADDED, PADDED) is backend


@every_case
def test_shifts_and_the_exact_gradient_agree_in_blocks_and_by_row(initial: str):
    template, bindings, _ = _case(initial, 1)
    cotangent = np.random.default_rng(7).normal(size=(PADDED, len(SEEN)))
    methods = [get_gradient("parameter_shift", PLAIN), get_gradient("adjoint", PLAIN)]
    for block in (None, 2, 5):
        shifted, exact = (
            linearize(method, PLAIN, template, SEEN, bindings, block=block)[1](cotangent).params
            for method in methods
        )
        assert shifted.shape == ((PADDED if block is None else -(-PADDED // block)), 2)
        np.testing.assert_allclose(shifted, exact, atol=1e-12)


def test_a_key_reaches_the_backends_that_draw():
    template, bindings, _ = _case("zeros", 1)
    shift, spsa = get_gradient("parameter_shift", PLAIN), get_gradient("spsa", PLAIN)
    key = DrawKey((1, 2))
    for method, draws, expected in (
        (shift, False, {"key": key._replace(n_rows=PADDED)}),
        (shift, True, {"key": key._replace(n_rows=PADDED)}),
        (spsa, True, {"key": key._replace(n_rows=PADDED)}),
        (spsa, False, {}),
    ):
        backend = _Recording(draws)
        linearize(method, backend, template, SEEN, bindings, key=key)
        assert [options for _, options in backend.asked] == [expected]
        backend = _Recording(draws)
        if method is shift:
            linearize(method, backend, template, SEEN, bindings)
            assert [options for _, options in backend.asked] == [{}]


def test_a_key_does_not_reach_a_backend_that_never_draws():
    template, bindings, _ = _case("zeros", 1)
    asked = []

    def evaluate(*given, **options):
        asked.append(options)
        return PLAIN.evaluate(*given)

    backend: Any = SimpleNamespace(name="plain", evaluate=evaluate)
    linearize(get_gradient("spsa", PLAIN), backend, template, SEEN, bindings, key=DrawKey((1, 2)))
    assert asked == [{}]


def test_gradients_of_a_layer_are_outer_products_of_rows_or_their_sums():
    rng = np.random.default_rng(1)
    x, cotangent = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 5))
    expected = np.einsum("brn,brm->brnm", x, cotangent)
    weights, bias = np.empty((2, 3, 4, 5)), np.empty((2, 3, 5))
    fill_dense(weights, bias, x, cotangent)
    np.testing.assert_allclose(weights, expected)
    np.testing.assert_array_equal(bias, cotangent)
    weights, bias = np.empty((2, 4, 5)), np.empty((2, 5))
    fill_dense(weights, bias, x, cotangent)
    np.testing.assert_allclose(weights, expected.sum(axis=1))
    np.testing.assert_allclose(bias, cotangent.sum(axis=1))


@pytest.mark.parametrize("clip", [None, 0.4])
@pytest.mark.parametrize("n_rows", [5, 16, 21])
def test_weights_of_a_batch_are_those_of_its_rows(n_rows: int, clip: float | None):
    """Σᵢ wᵢ · (gradient and loss of row i); a weighted gradient is clipped after its weight."""
    model = build_model(ModelConfig(n_qubits=2, layers=1), n_features=2, n_classes=3)
    rng = np.random.default_rng(n_rows)
    theta, x = model.initial(1), rng.normal(size=(n_rows, 2))
    y, weight = rng.integers(0, 3, n_rows), rng.uniform(0.2, 3.0, n_rows)
    adjoint = get_gradient("adjoint", PLAIN)

    def found(part: slice, clip: float | None, weight: np.ndarray | None) -> np.ndarray:
        rows = value_and_grad(model, theta, x[part], y[part], PLAIN, adjoint, weight, clip=clip)
        return rows.sum(axis=0)

    whole = found(slice(None), clip, weight)
    each = [slice(i, i + 1) for i in range(n_rows)]
    alone = [found(part, clip, weight[part]) for part in each]
    np.testing.assert_allclose(whole, np.sum(alone, axis=0), atol=1e-12)
    plain = np.array([found(part, None, None) for part in each])[:, : model.n_parameters + 1]
    if clip is None:
        np.testing.assert_allclose(whole[: model.n_parameters + 1], weight @ plain, atol=1e-12)
    else:
        norms = np.linalg.norm([row[: model.n_parameters] for row in alone], axis=1)
        scaled = weight * np.linalg.norm(plain[:, :-1], axis=1)
        np.testing.assert_allclose(norms, np.minimum(scaled, clip), rtol=1e-9)
        assert (scaled > clip).any()
