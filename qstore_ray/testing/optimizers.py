"""The laws of an optimizer that steps by gradients."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pytest

from qstore_ray.config import Config
from qstore_ray.learn.optimizers import Optimizer

if TYPE_CHECKING:
    from qstore_ray.learn.optimizers.base import OptimizerState
    from qstore_ray.types import FloatArray

Pace: TypeAlias = Mapping[str, tuple[float, int]]
"""Learning rate and number of steps for each function."""

PARABOLA, ROSENBROCK = "parabola", "rosenbrock"

_FUNCTIONS = {
    PARABOLA: (np.zeros(3), np.array([1.0, -2.0, 0.5])),
    ROSENBROCK: (np.array([-0.5, 1.0]), np.ones(2)),
}
"""Where the descent begins, and where the minimum is."""


class OptimizerLaws:
    """It reaches minima, its functions are pure, its state goes through a checkpoint.

    Fixtures: `optimizer`; `pace`, if the default one is too fast or too slow for it.
    """

    @pytest.fixture
    def optimizer(self) -> Optimizer:
        """The optimizer under test; override it."""
        raise NotImplementedError

    @pytest.fixture
    def pace(self) -> Pace:
        """Learning rate and steps with which it has to reach each minimum to within 0.001."""
        return {PARABOLA: (0.05, 2000), ROSENBROCK: (0.001, 40_000)}

    @pytest.mark.parametrize("function", _FUNCTIONS)
    def test_it_reaches_the_minimum(self, optimizer: Optimizer, pace: Pace, function: str) -> None:
        start, minimum = _FUNCTIONS[function]
        found, _ = _descend(optimizer, function, start, optimizer.init(start), *pace[function])
        np.testing.assert_allclose(found, minimum, atol=1e-3)

    def test_update_changes_none_of_its_arguments(self, optimizer: Optimizer) -> None:
        theta, gradient = np.array([0.3, -1.0]), np.array([2.0, -0.5])
        _, state = optimizer.update(optimizer.init(theta), theta, gradient, 0.1)
        arrays = [theta, gradient, *state.values()]
        before = [array.tobytes() for array in arrays]
        keys = list(state)
        for array in arrays:
            array.flags.writeable = False
        moved, after = optimizer.update(state, theta, gradient, 0.1)
        assert [array.tobytes() for array in arrays] == before
        assert list(state) == list(after) == keys
        assert (moved != theta).all()

    def test_a_state_that_went_through_a_file_goes_on_with_the_same_bits(
        self, optimizer: Optimizer, pace: Pace
    ) -> None:
        start, _ = _FUNCTIONS[PARABOLA]
        rate = pace[PARABOLA][0]
        whole, end = _descend(optimizer, PARABOLA, start, optimizer.init(start), rate, 9)
        theta, state = _descend(optimizer, PARABOLA, start, optimizer.init(start), rate, 4)
        file = io.BytesIO()
        np.savez(file, **state)  # type: ignore[arg-type]
        file.seek(0)
        with np.load(file, allow_pickle=False) as archive:
            state = dict(archive)
        theta, state = _descend(optimizer, PARABOLA, theta, state, rate, 5)
        assert theta.tobytes() == whole.tobytes()
        assert _bits(state) == _bits(end)

    def test_the_state_has_the_same_names_and_shapes_from_the_start(
        self, optimizer: Optimizer
    ) -> None:
        theta = np.zeros(3)
        first = optimizer.init(theta)
        _, later = _descend(optimizer, PARABOLA, theta, first, 0.01, 3)
        assert {k: v.shape for k, v in first.items()} == {k: v.shape for k, v in later.items()}
        assert all(value.dtype == np.float64 for value in later.values())

    def test_no_gradient_no_step(self, optimizer: Optimizer) -> None:
        """Beside the weight decay, if it has one."""
        if isinstance(optimizer, Config) and "weight_decay" in type(optimizer).model_fields:
            optimizer = type(optimizer)(**{**optimizer.to_dict(), "weight_decay": 0.0})
        theta = np.array([0.1, -0.2])
        moved, _ = optimizer.update(optimizer.init(theta), theta, np.zeros(2), 0.5)
        assert moved.tobytes() == theta.tobytes()

    def test_rate_zero_moves_nothing(self, optimizer: Optimizer) -> None:
        theta = np.array([0.1, -0.2])
        moved, _ = optimizer.update(optimizer.init(theta), theta, np.ones(2), 0.0)
        assert moved.tobytes() == theta.tobytes()


def _gradient(function: str, theta: FloatArray) -> FloatArray:
    if function == PARABOLA:
        curvatures: FloatArray = np.array([1.0, 3.0, 5.0])
        slope: FloatArray = curvatures * (theta - _FUNCTIONS[PARABOLA][1])
        return slope
    x, y = theta
    return np.array([2.0 * (x - 1.0) - 40.0 * x * (y - x * x), 20.0 * (y - x * x)])


def _descend(
    optimizer: Optimizer,
    function: str,
    theta: FloatArray,
    state: OptimizerState,
    rate: float,
    steps: int,
) -> tuple[FloatArray, OptimizerState]:
    for _ in range(steps):
        theta, state = optimizer.update(state, theta, _gradient(function, theta), rate)
    return theta, state


def _bits(state: OptimizerState) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in state.items()}
