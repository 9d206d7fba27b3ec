"""The laws of a backend that takes shots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given

from qstore_ray.backends.base import Backend, Bindings, Estimates, can_sample
from qstore_ray.backends.keys import DrawKey
from qstore_ray.circuits.observable import Observable, z_observables
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.errors import QStoreError
from qstore_ray.simulate import reference
from qstore_ray.testing.strategies import FEW, Case, cases

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

KEY = DrawKey((4, 7))
SHOTS = 64

ENTANGLED = Template(
    2,
    (Op("ry", (0,), (row(0),)), Op("cx", (0, 1)), Op("rx", (1,), (param(0),))),
    n_rows=1,
    n_params=1,
)
SEEN = tuple(Observable.parse(text) for text in ("Z0", "Z1", "Z0 Z1", "X0 X1", "Y0 X1"))
SUM = (Observable.parse("0.5*Z0 + Z1 - 0.3*X0 X1"),)
SQUARE = tuple(map(Observable.parse, ("Z0 Z1", "Z0", "Z1", "X0 X1")))


class SamplingLaws:
    """Shots have the mean, the spread and the reported variance of the law; what a row draws
    depends on the key and on its number alone.

    Fixtures: `backend`, without noise.
    """

    keys = 8
    """Keys of the statistical laws; each has 50 rows."""

    @pytest.fixture
    def backend(self) -> Backend:
        """The backend under test; override it."""
        raise NotImplementedError

    def test_it_says_that_it_samples(self, backend: Backend) -> None:
        assert can_sample(backend)

    @FEW
    @given(cases(max_ops=5))
    def test_values_are_those_of_the_reference_up_to_their_spread(
        self, backend: Backend, case: Case
    ) -> None:
        template, observables, b = case
        found = _shots(backend, case, 400)
        exact = reference.expectations(template, observables, b.rows, b.params, b.amplitudes)
        sizes = np.array([sum(abs(t.coefficient) for t in o.terms) for o in observables])
        assert (np.abs(found.values - exact) <= 5.0 * sizes / np.sqrt(400) + 1e-9).all()

    def test_means_spread_as_binomials_do(self, backend: Backend) -> None:
        """Chi-square over rows and keys: Σ (mean − ⟨O⟩)² · S / (1 − ⟨O⟩²)."""
        found = self._many(backend, SEEN)
        exact = _exact(SEEN)
        scores = (found.values - exact) ** 2 * SHOTS / (1.0 - exact**2)
        freedom = len(scores)
        spread = np.sqrt(freedom * (2.0 + 4.0 / (SHOTS * (1.0 - exact**2))))
        assert (np.abs(scores.sum(axis=0) - freedom) <= 5.0 * spread).all()
        mean_error = (found.values.mean(axis=0) - exact) * np.sqrt(freedom * SHOTS)
        assert (np.abs(mean_error) <= 5.0 * np.sqrt(1.0 - exact**2)).all()

    def test_variances_are_those_of_the_means(self, backend: Backend) -> None:
        """Of a sum in two bases, with the covariance of the two strings of one."""
        found = self._many(backend, SUM)
        assert found.variances is not None
        zz, z0, z1, xx = _exact(SQUARE)
        in_z = 0.25 + 1.0 + 2 * 0.5 * zz - (0.5 * z0 + z1) ** 2
        expected = (in_z + 0.09 * (1.0 - xx**2)) / SHOTS
        n = len(found.values)
        assert found.variances.mean() == pytest.approx(expected, rel=5.0 * 2.0 / np.sqrt(n * SHOTS))
        assert found.values.var() == pytest.approx(expected, rel=5.0 * np.sqrt(2.0 / n))

    def test_a_certain_outcome_is_exact_and_has_no_variance(self, backend: Backend) -> None:
        flipped = Template(2, (Op("x", (0,)), Op("h", (1,))))
        seen = tuple(map(Observable.parse, ("Z0", "X1", "I", "2.5*I - Z0", "Z0 X1")))
        found = _shots(backend, Case(flipped, seen, Bindings(np.zeros((2, 0)), np.zeros(0))), 8)
        np.testing.assert_allclose(found.values, [[-1, 1, 1, 3.5, -1]] * 2, atol=1e-12)
        assert found.variances is not None
        np.testing.assert_allclose(found.variances, 0.0, atol=1e-15)

    def test_one_shot_is_one_of_the_two_values(self, backend: Backend) -> None:
        found = _shots(backend, _case(SEEN, 20), 1)
        assert set(found.values.ravel().tolist()) == {1.0, -1.0}
        assert found.variances is None

    def test_the_same_key_gives_the_same_bits_and_another_one_others(
        self, backend: Backend
    ) -> None:
        case = _case(SEEN, 4)
        first = _shots(backend, case, 200)
        again = _shots(backend, case, 200)
        assert again.values.tobytes() == first.values.tobytes()
        others = [KEY.and_also(0), KEY.and_also(1), DrawKey((7, 4)), DrawKey((4,))]
        texts = {_shots(backend, case, 200, key).values.tobytes() for key in others}
        assert len(texts | {first.values.tobytes()}) == 5

    @pytest.mark.parametrize("cut", [1, 3, 5])
    def test_a_row_draws_the_same_in_any_part_of_the_batch(
        self, backend: Backend, cut: int
    ) -> None:
        whole = _shots(backend, _case(SEEN, 6), SHOTS)
        for start in range(0, 6, cut):
            part = _shots(
                backend, _case(SEEN, min(cut, 6 - start)), SHOTS, KEY._replace(first_row=start)
            )
            np.testing.assert_allclose(
                part.values, whole.values[start : start + cut], rtol=0, atol=1e-14
            )

    def test_copies_of_a_row_draw_their_own_shots(self, backend: Backend) -> None:
        """As the circuits of a device do: the difference of shifted copies has their spread."""
        once = _shots(backend, _case(SEEN, 3), SHOTS)
        copies = _shots(backend, _case(SEEN, 9), SHOTS, KEY._replace(n_rows=3)).values
        np.testing.assert_allclose(copies[:3], once.values, rtol=0, atol=1e-14)
        assert len({copies[start : start + 3].tobytes() for start in (0, 3, 6)}) == 3

    def test_rows_draw_their_own_shots(self, backend: Backend) -> None:
        assert len({tuple(r) for r in _shots(backend, _case(SEEN, 20), 200).values.tolist()}) > 15

    def test_bases_draw_their_own_shots(self, backend: Backend) -> None:
        """Z and Y of |+⟩ are both coins; tossed with the same numbers they would be equal."""
        plus = Template(1, (Op("h", (0,)),))
        seen = tuple(map(Observable.parse, ("Z0", "Y0")))
        found = _shots(backend, Case(plus, seen, Bindings(np.zeros((40, 0)), np.zeros(0))), SHOTS)
        first, second = found.values.T
        assert abs(np.corrcoef(first, second)[0, 1]) < 0.8  # 5 standard errors

    @pytest.mark.parametrize("n_rows", [0, 1, 3])
    def test_shots_are_counted(self, backend: Backend, n_rows: int) -> None:
        """Z0, Z1 and Z0 Z1 share a basis; X0 X1 and Y0 X1 need two more."""
        found = _shots(backend, _case(SEEN, n_rows), SHOTS)
        assert found.values.shape == (n_rows, len(SEEN))
        assert found.usage.shots == 3 * n_rows * SHOTS

    @pytest.mark.parametrize("shots", [0, -1, 1.5, True])
    def test_a_number_of_shots_that_is_none_is_refused(
        self, backend: Backend, shots: float
    ) -> None:
        with pytest.raises(QStoreError, match="shots"):
            backend.evaluate(*_case(SEEN, 1), shots=shots, key=KEY)  # type: ignore[arg-type]

    def test_shots_without_a_key_are_refused(self, backend: Backend) -> None:
        with pytest.raises(QStoreError, match="key"):
            backend.evaluate(*_case(SEEN, 1), shots=SHOTS)

    def test_amplitudes_are_measured_row_by_row(self, backend: Backend) -> None:
        loading = replace(Template(1, ()), initial="amplitudes")
        bindings = Bindings(np.zeros((2, 0)), np.zeros(0), np.eye(2))
        found = _shots(backend, Case(loading, z_observables(1), bindings), SHOTS)
        assert found.values[:, 0].tolist() == [1.0, -1.0]

    def _many(self, backend: Backend, observables: tuple[Observable, ...]) -> Estimates:
        """50 equal rows of each key."""
        case = _case(observables, 50)
        parts = [_shots(backend, case, SHOTS, KEY.and_also(k)) for k in range(self.keys)]
        variances = [part.variances for part in parts if part.variances is not None]
        return Estimates(
            np.vstack([part.values for part in parts]), np.vstack(variances) if variances else None
        )


def _shots(backend: Backend, case: Case, shots: int, key: DrawKey = KEY) -> Estimates:
    return backend.evaluate(*case, shots=shots, key=key)


def _case(observables: Sequence[Observable], n_rows: int) -> Case:
    return Case(ENTANGLED, tuple(observables), Bindings(np.full((n_rows, 1), 0.8), np.array([0.5])))


def _exact(observables: Sequence[Observable]) -> FloatArray:
    template, seen, b = _case(observables, 1)
    found: FloatArray = reference.expectations(template, seen, b.rows, b.params, None)[0]
    return found
