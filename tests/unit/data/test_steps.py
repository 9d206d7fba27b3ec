"""Steps of preparation: the laws on every one of them, inverses, missing values, random rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.preprocessing import RobustScaler
from sklearn.random_projection import johnson_lindenstrauss_min_dim

from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.data.prepare.steps import (
    L1,
    STEPS,
    Amplitudes,
    Binarize,
    Crop,
    Grayscale,
    Impute,
    Log,
    Log1p,
    MinMax,
    Normalize,
    OneHot,
    Pca,
    Pool,
    RandomProjection,
    Resize,
    Robust,
    Scale,
    Standard,
)
from qstore_ray.data.prepare.steps.base import Step
from qstore_ray.errors import ConfigError, DataError, UsageError
from qstore_ray.testing import StepLaws

INVERTIBLE = [
    Standard(),
    Robust(),
    MinMax(feature_range=(-1.0, 1.0), clip=True),
    Pca(components=3),
    Pca(components=2, whiten=True),
    Scale(factor=-0.3),
    Log1p(),
    Log(),
    Impute(),
    OneHot(columns=(1, 0)),
    Amplitudes(width=64, constant=1.0),
]
WITHOUT_INVERSE = [
    Normalize(),
    L1(),
    RandomProjection(components=5),
    RandomProjection(components=5, kind="sparse"),
    Binarize(),
    Resize(shape=(4, 4, 3), size=(3, 2)),
    Resize(shape=(6, 8), size=(9, 5)),
    Grayscale(shape=(4, 4, 3)),
    Pool(shape=(4, 4, 3), size=(2, 4)),
    Pool(shape=(4, 4, 3), size=(2, 2), kind="max"),
    Crop(shape=(6, 8), size=(3, 4)),
    Amplitudes(width=48),
]
MEMBERS = INVERTIBLE + WITHOUT_INVERSE
SPARSE_7 = [[0, 1, 0, 0, 0, 1], [-1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 1, 0]]
GAUSSIAN_7 = [
    0.3188911351482975,
    1.265834339532767,
    0.757703305852264,
    -0.7547243717434033,
    -0.5239223200100441,
    1.143350467334201,
]


def _fit(step, x) -> Preparation:
    return Preparation.fit([step], np.asarray(x, dtype=np.float64))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_every_registered_step_is_a_member():
    assert {step.name for step in MEMBERS} == set(STEPS)
    assert all(STEPS[step.name] is type(step) for step in MEMBERS)


class TestEveryStep(StepLaws):
    @pytest.fixture(params=MEMBERS, ids=lambda step: step.name)
    def step(self, request: pytest.FixtureRequest) -> Step:
        return request.param

    @pytest.fixture
    def invertible(self, step: Step) -> bool:
        return step in INVERTIBLE

    def fitting(self, step, x):
        """The first two columns are whole numbers, if the step needs such."""
        x = x.copy()
        if step.name == "one_hot":
            x[:, :2] = np.round(x[:, :2])
        return x


def test_a_chain_is_undone_in_the_opposite_order(rng):
    x = rng.gamma(2.0, size=(50, 6))
    fitted = Preparation.fit([Log1p(), Robust(), Pca(components=6), MinMax()], x)
    np.testing.assert_allclose(fitted.inverse(fitted.transform(x)), x, atol=1e-10)
    with pytest.raises(DataError, match="rows have 5 features, 6 are expected"):
        fitted.inverse(np.zeros((2, 5)))
    with pytest.raises(DataError, match="NaN"):
        fitted.inverse(np.full((2, 6), math.nan))


def test_a_factor_of_0_cannot_be_undone():
    fitted = _fit(Scale(factor=0.0), [[1.0]])
    with pytest.raises(UsageError, match="its factor is 0"):
        fitted.inverse([[0.0]])


def test_robust_equals_a_reference_and_is_not_moved_by_an_outlier(rng):
    x = rng.normal(size=(101, 4))
    np.testing.assert_allclose(
        _fit(Robust(), x).transform(x), RobustScaler().fit_transform(x), atol=1e-12
    )
    spoilt = x.copy()
    spoilt[np.argmax(x[:, 0]), 0] = 1e9
    np.testing.assert_array_equal(_fit(Robust(), spoilt).states[0]["iqr"],
                                  _fit(Robust(), x).states[0]["iqr"])  # fmt: skip


def test_robust_centres_a_column_whose_quartiles_are_equal():
    x = np.array([[7.0, 0.1]] * 9 + [[9.0, 0.1]])
    fitted = _fit(Robust(), x)
    np.testing.assert_array_equal(fitted.transform(x), [[0.0, 0.0]] * 9 + [[2.0, 0.0]])
    assert fitted.transform([[7.0, 5.0]]).tolist() == [[0.0, 0.0]]


def test_l1_and_log():
    x = np.array([[3.0, -1.0], [0.0, 0.0], [1e300, 1e300]])
    np.testing.assert_allclose(_fit(L1(), x).transform(x), [[0.75, -0.25], [0, 0], [0.5, 0.5]])
    np.testing.assert_allclose(_fit(Log(), [[1.0, math.e]]).transform([[1, math.e]]), [[0, 1]])


def test_log_refuses_0_and_proposes_log1p():
    with pytest.raises(DataError, match="column 1 of row 0") as caught:
        _fit(Log(), [[1.0, 0.0]])
    assert caught.value.field == "preprocessing.log"
    assert "log1p" in caught.value.fix


def test_pca_of_many_rows_has_the_directions_of_the_decomposition_of_the_rows(rng):
    x = rng.normal(size=(20_000, 8)) @ rng.normal(size=(8, 8)) + 50.0
    state = _fit(Pca(components=5), x).states[0]
    _, singular, rows = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(state["std"], singular[:5] / math.sqrt(len(x)), rtol=1e-11)
    np.testing.assert_allclose(np.abs(state["directions"] @ rows[:5].T), np.eye(5), atol=1e-9)


def test_pca_of_many_rows_keeps_small_variances_exactly(rng):
    """Variances of 1e-18 beside 1 are below what a covariance matrix can hold."""
    scales = 10.0 ** -np.arange(0, 12, 3)
    x = rng.normal(size=(20_000, 4)) * scales
    state = _fit(Pca(components=4), x).states[0]
    _, singular, rows = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(state["std"], singular / math.sqrt(len(x)), rtol=1e-5)
    np.testing.assert_allclose(np.abs(state["directions"] @ rows.T), np.eye(4), atol=1e-3)


@pytest.mark.parametrize("kind", ["gaussian", "sparse"])
def test_random_projection_keeps_distances_on_average(kind, rng):
    x = rng.normal(size=(12, 2000))
    projected = _fit(RandomProjection(components=400, kind=kind, seed=3), x).transform(x)
    i, j = np.triu_indices(12, 1)
    ratio = ((projected[i] - projected[j]) ** 2).sum(1) / ((x[i] - x[j]) ** 2).sum(1)
    assert abs(ratio.mean() - 1.0) < 0.1
    assert (np.abs(ratio - 1.0) < 0.5).all()


def test_random_directions_have_the_distribution_that_is_stated():
    x = np.ones((2, 900))
    normal = _fit(RandomProjection(components=100), x).states[0]["directions"]
    assert kstest(normal.ravel() * 10.0, "norm").pvalue > 0.01
    sparse = _fit(RandomProjection(components=100, kind="sparse"), x).states[0]["directions"]
    value = math.sqrt(30.0) / 10.0
    assert set(np.round(np.unique(sparse), 12)) == {round(v, 12) for v in (-value, 0.0, value)}
    assert abs((sparse != 0).mean() - 1 / 30) < 0.003


def test_a_seed_means_these_directions_for_good():
    x = np.ones((2, 6))
    sparse = _fit(RandomProjection(components=3, kind="sparse", seed=7), x).states[0]["directions"]
    assert np.sign(sparse).astype(int).tolist() == SPARSE_7
    gaussian = _fit(RandomProjection(components=1, seed=7), x).states[0]["directions"]
    np.testing.assert_allclose(gaussian, [GAUSSIAN_7], rtol=1e-13)


def test_the_number_of_directions_is_that_of_johnson_and_lindenstrauss(rng):
    x = rng.normal(size=(10, 500))
    step = RandomProjection(eps=0.5)
    assert _fit(step, x).transform(x).shape[1] == johnson_lindenstrauss_min_dim(10, eps=0.5)
    with pytest.raises(ConfigError, match="no reduction of 500 features") as caught:
        _fit(RandomProjection(eps=0.1), x)
    assert caught.value.field == "preprocessing.random_projection.components"


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Impute(), [[2.0, 5.0], [1.0, 5.0], [3.0, 5.0], [2.0, 5.0]]),
        (Impute(strategy="median"), [[2.0, 5.0], [1.0, 5.0], [3.0, 5.0], [2.0, 5.0]]),
        (Impute(strategy="constant", value=-1), [[2.0, 5.0], [1.0, -1], [3.0, 5.0], [-1, -1]]),
    ],
)
def test_missing_values_are_filled_by_what_train_knows_of_their_column(step, expected):
    x = np.array([[2.0, 5.0], [1.0, math.nan], [3.0, 5.0], [math.nan, math.nan]])
    fitted = Preparation.fit([step, Scale(factor=1.0)], x)
    np.testing.assert_array_equal(fitted.transform(x), expected)
    np.testing.assert_array_equal(fitted.apply(x), expected)
    np.testing.assert_array_equal(fitted.inverse(expected), expected)


def test_only_a_first_step_that_takes_nan_lets_it_in():
    assert [name for name, step in STEPS.items() if step.accepts_nan] == ["impute"]
    x = np.array([[1.0], [math.nan]])
    for steps in ([], [Standard()], [Standard(), Impute()]):
        with pytest.raises(DataError, match="NaN in column 0, first in row 1"):
            Preparation.fit(steps, x)
    with pytest.raises(DataError, match="NaN in column 0"):
        _fit(Standard(), [[1.0], [2.0]]).transform([[math.nan]])


def test_infinity_is_no_missing_value():
    with pytest.raises(DataError, match="column 0 of row 1 is not") as caught:
        _fit(Impute(), [[1.0], [math.inf]])
    assert caught.value.field == "preprocessing.impute"
    fitted = Preparation.fit([Impute(), MinMax(clip=True)], np.array([[1.0], [2.0]]))
    with pytest.raises(DataError, match="impute needs numbers or NaN"):
        fitted.transform([[-math.inf]])


def test_a_column_without_a_known_value_is_named():
    x = [[1.0, math.nan], [2.0, math.nan]]
    with pytest.raises(DataError, match="column 1 has no median") as caught:
        _fit(Impute(strategy="median"), x)
    assert "constant" in caught.value.fix
    assert _fit(Impute(strategy="constant"), x).transform(x).tolist() == [[1, 0], [2, 0]]


def test_one_hot_stands_where_its_column_stood():
    x = [[0.5, 3, 7], [1.5, -1, 8], [2.5, 3, 9]]
    fitted = _fit(OneHot(columns=(1,)), x)
    expected = [[0.5, 0, 1, 7], [1.5, 1, 0, 8], [2.5, 0, 1, 9]]
    np.testing.assert_array_equal(fitted.transform(x), expected)
    np.testing.assert_array_equal(fitted.inverse(expected), x)


def test_one_hot_refuses_what_it_does_not_know():
    fitted = _fit(OneHot(columns=(0,)), [[1.0], [2.0]])
    with pytest.raises(DataError, match=r"column 0 of row 1 .* no training row has") as caught:
        fitted.transform([[1.0], [5.0]])
    assert (caught.value.value, caught.value.fix) == (5.0, "Train has 1, 2.")
    with pytest.raises(DataError, match="one_hot needs whole numbers, column 0 of row 0"):
        _fit(OneHot(columns=(0,)), [[1.5]])
    with pytest.raises(ConfigError, match="the rows have 1 columns"):
        _fit(OneHot(columns=(1,)), [[1.0]])
    for columns in ((0, 0), (-1,)):
        with pytest.raises(ConfigError, match="distinct positions"):
            OneHot(columns=columns)


def test_binarize_by_median_mean_and_number():
    x = [[1.0], [2.0], [9.0]]
    for threshold, expected in [("median", [0, 0, 1]), ("mean", [0, 0, 1]), (1.5, [0, 1, 1])]:
        out = _fit(Binarize(threshold=threshold), x).transform(x)
        np.testing.assert_array_equal(out[:, 0], expected)


def test_amplitudes_are_padded_to_a_state():
    out = _fit(Amplitudes(width=4), [[3.0, 4.0]]).transform([[3.0, 4.0], [3e200, 4e200]])
    np.testing.assert_allclose(out, [[0.6, 0.8, 0, 0]] * 2)
    out = _fit(Amplitudes(width=4, constant=12.0), [[3.0, 4.0]]).transform([[3.0, 4.0]])
    np.testing.assert_allclose(out, np.array([[3, 4, 12, 0]]) / 13)


def test_amplitudes_refuse_zero_rows_and_rows_too_wide():
    with pytest.raises(DataError, match="row 1 is all zeros") as caught:
        _fit(Amplitudes(width=2), [[1.0, 0.0], [0.0, 0.0]])
    assert caught.value.field == "preprocessing.amplitudes"
    with pytest.raises(ConfigError, match="3 features do not fit into 2") as wide:
        _fit(Amplitudes(width=2), [[1.0, 2.0, 3.0]])
    assert "2 components (PCA)" in wide.value.fix
    with pytest.raises(ConfigError, match="one of which is the constant"):
        _fit(Amplitudes(width=2, constant=1.0), [[1.0, 2.0]])
