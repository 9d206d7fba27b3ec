"""The laws of a step of preparation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.data.prepare.steps.base import Step
from qstore_ray.errors import UsageError
from qstore_ray.testing.strategies import FEW

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

WIDTH = 48
"""Features of the rows that a step is tried on."""

ROWS = arrays(
    np.float64,
    st.tuples(st.integers(3, 9), st.just(WIDTH)),
    elements=st.floats(0.01, 1e6, allow_subnormal=False) | st.just(3.0),
)


class StepLaws:
    """A fitted step prepares each row as if it were alone, in batches of any size, changes no
    argument, and is the same after it was saved; an inverse gives rows that come out the same.

    Fixtures: `step`; `invertible`, if it has no inverse. Override `fitting` if the step takes rows
    of one kind only: rows are positive and have 48 features.
    """

    @pytest.fixture
    def step(self) -> Step:
        """The step under test; override it."""
        raise NotImplementedError

    @pytest.fixture
    def invertible(self) -> bool:
        """Whether the step has an inverse."""
        return True

    def fitting(self, step: Step, x: FloatArray) -> FloatArray:
        """Rows like `x` (N, 48) that the step takes."""
        return x

    @FEW
    @given(x=ROWS)
    def test_a_batch_gives_what_its_rows_give_one_by_one(self, step: Step, x: FloatArray) -> None:
        x = self.fitting(step, x)
        fitted = fit(step, x)
        one_by_one = np.concatenate([fitted.transform(row[None]) for row in x])
        np.testing.assert_array_equal(fitted.transform(x), one_by_one)

    def test_a_row_is_the_same_wherever_it_stands_in_batches_of_any_size(self, step: Step) -> None:
        x = self.fitting(step, _rows(20))
        fitted = fit(step, x)
        expected = fitted.transform(x)
        for size in (2, 7, 255, 256, 257, 700):
            picked = np.random.default_rng(size).integers(0, len(x), size)
            np.testing.assert_array_equal(fitted.transform(x[picked]), expected[picked])

    def test_rows_are_not_changed_in_place_and_none_give_none(self, step: Step) -> None:
        x = self.fitting(step, _rows(20))
        fitted = fit(step, x)
        for rows in (x, x[:1], np.asfortranarray(x)):
            before = rows.copy()
            fitted.apply(rows)
            np.testing.assert_array_equal(rows, before)
        assert fitted.apply(x[:0]).shape == (0, fitted.apply(x).shape[1])

    def test_saved_and_read_back_it_is_equal_to_the_last_bit(self, step: Step) -> None:
        x = self.fitting(step, _rows(20))
        fitted = fit(step, x)
        spec = json.loads(json.dumps(fitted.spec()))
        loaded = Preparation.from_arrays(fitted.to_arrays(), spec)
        assert loaded.steps == fitted.steps
        np.testing.assert_array_equal(loaded.transform(x), fitted.transform(x))

    @FEW
    @given(x=ROWS)
    def test_the_inverse_gives_rows_that_come_out_the_same(
        self, step: Step, invertible: bool, x: FloatArray
    ) -> None:
        """A step without inverse says so by its name."""
        x = self.fitting(step, np.minimum(x, 100.0))
        fitted = fit(step, x)
        prepared = fitted.transform(x)
        if invertible:
            again = fitted.transform(fitted.inverse(prepared))
            np.testing.assert_allclose(again, prepared, rtol=1e-9, atol=1e-6)
            return
        with pytest.raises(UsageError, match=f"the step {step.name} has no inverse") as caught:
            fitted.inverse(prepared)
        assert caught.value.field.startswith(f"preprocessing.{step.name}")


def fit(step: Step, x: FloatArray) -> Preparation:
    """A preparation of this one step, fitted to rows (N, F)."""
    return Preparation.fit([step], np.asarray(x, dtype=np.float64))


def _rows(count: int) -> FloatArray:
    return np.random.default_rng(5).gamma(2.0, size=(count, WIDTH))
