"""The account of a private training: known settings, limits with known answers, monotony."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qstore_ray.errors import ConfigError
from qstore_ray.learn.privacy.accountant import (
    ORDERS,
    PrivacyAccountant,
    epsilon_of,
    step_divergence,
)
from qstore_ray.learn.privacy.calibration import noise_for
from qstore_ray.learn.privacy.config import PrivacyConfig
from qstore_ray.learn.privacy.noise import NoiseKey
from qstore_ray.learn.privacy.sampling import PoissonBatches

DELTA = 1e-5

# (q, σ, T), ε of dp-accounting 0.6 by Rényi divergences, ε of it by privacy loss distributions.
KNOWN = [
    ((0.01, 1.1, 10_000), 5.632011, 5.192620),
    ((0.01, 1.1, 1_000), 1.711770, 1.515370),
    ((0.1, 1.0, 100), 7.903850, 7.046603),
    ((1.0, 5.0, 100), 10.725510, 9.997256),
]


def _spent(q: float, sigma: float, steps: int, delta: float = DELTA) -> float:
    accountant = PrivacyAccountant(sample_rate=q, noise_multiplier=sigma)
    return accountant.epsilon(accountant.init(), delta, steps)


@pytest.mark.parametrize(("setting", "by_divergence", "tight"), KNOWN)
def test_known_settings_are_within_one_percent_and_on_the_safe_side(setting, by_divergence, tight):
    assert tight < _spent(*setting) <= 1.01 * by_divergence
    # a finer grid of orders may only gain rounding on the other library
    assert _spent(*setting) > by_divergence * (1 - 1e-4)


def _gaussian_delta(epsilon: float, mu: float) -> float:
    """δ of the Gaussian mechanism of sensitivity mu and noise 1 (Balle & Wang 2018)."""
    low = stats.norm.logcdf(-epsilon / mu - mu / 2)
    return float(stats.norm.cdf(-epsilon / mu + mu / 2) - math.exp(epsilon + low))


@given(st.floats(0.3, 20.0), st.integers(1, 400), st.floats(1e-9, 1e-3))
def test_without_sampling_it_is_never_below_the_exact_gaussian(sigma, steps, delta):
    """The claim (ε, δ) holds for the Gaussian mechanism, whose δ at ε is known exactly."""
    epsilon = _spent(1.0, sigma, steps, delta)
    assert _gaussian_delta(epsilon, math.sqrt(steps) / sigma) <= delta


@settings(max_examples=25)
@given(st.floats(1e-4, 0.5), st.floats(0.5, 5.0), st.integers(1, 2_000))
def test_epsilon_falls_with_noise_and_grows_with_steps_and_the_sample(q, sigma, steps):
    epsilon = _spent(q, sigma, steps)
    assert _spent(q, 1.1 * sigma, steps) <= epsilon <= _spent(q, sigma, steps + 1)
    assert epsilon <= _spent(min(1.0, 1.5 * q), sigma, steps)
    assert epsilon <= _spent(1.0, sigma, steps) * (1 + 1e-12)


def test_one_subsampled_step_is_a_mixture_of_two_gaussians():
    """The divergence of order 2 by numerical integration of the two densities."""
    q, sigma = 0.2, 0.8
    x = np.linspace(-12, 14, 200_001)
    without = stats.norm.pdf(x, scale=sigma)
    with_row = (1 - q) * without + q * stats.norm.pdf(x, 1.0, sigma)
    expected = math.log(np.trapezoid(with_row**2 / without, x))
    accountant = PrivacyAccountant(sample_rate=q, noise_multiplier=sigma)
    found = accountant.spent(accountant.update(accountant.init()))[ORDERS.index(2.0)]
    assert found == pytest.approx(expected, rel=1e-6)


def test_steps_of_two_settings_add_up_and_one_setting_is_counted_exactly():
    first = PrivacyAccountant(sample_rate=0.1, noise_multiplier=1.0)
    second = PrivacyAccountant(sample_rate=0.2, noise_multiplier=2.0)
    state = first.init()
    for _ in range(7):
        state = first.update(state)
    assert first.epsilon(state, DELTA) == _spent(0.1, 1.0, 7)  # the same bits
    both = second.update(state, 5)
    expected = first.spent(state) + second.spent(second.update(second.init(), 5))
    np.testing.assert_allclose(second.spent(both), expected, rtol=1e-14)


def test_nothing_spent_is_zero_and_no_noise_is_infinite():
    accountant = PrivacyAccountant(sample_rate=0.1, noise_multiplier=0.0)
    assert accountant.epsilon(accountant.init(), DELTA) < 0.01
    assert accountant.epsilon(accountant.init(), DELTA, 1) == math.inf
    assert _spent(0.1, 1e-200, 1) == math.inf


@settings(max_examples=12)
@given(st.floats(0.05, 20.0), st.floats(0.001, 1.0), st.integers(1, 5_000))
def test_the_noise_for_an_epsilon_spends_it_and_a_little_less_spends_more(epsilon, q, steps):
    sigma = noise_for(epsilon, DELTA, sample_rate=q, steps=steps)
    assert _spent(q, sigma, steps) <= epsilon
    assert _spent(q, sigma * (1 - 1e-4), steps) > epsilon


def test_known_noise_and_known_steps():
    sigma = noise_for(3.0, DELTA, sample_rate=0.01, steps=10_000)
    assert 1.661856 < sigma < 1.661856 * 1.005
    accountant = PrivacyAccountant(sample_rate=0.01, noise_multiplier=1.1)
    left = accountant.steps_left(accountant.init(), 3.0, DELTA, 10_000)
    assert accountant.epsilon(accountant.init(), DELTA, left) <= 3.0
    assert accountant.epsilon(accountant.init(), DELTA, left + 1) > 3.0
    assert 0.98 * 3132 <= left <= 3132


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.inf, math.nan])
def test_a_wrong_epsilon_is_refused(epsilon):
    with pytest.raises(ConfigError, match="epsilon"):
        noise_for(epsilon, DELTA, sample_rate=0.1, steps=10)
    with pytest.raises(ConfigError, match="epsilon"):
        PrivacyConfig(epsilon=epsilon)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5, math.nan])
def test_a_wrong_delta_is_refused(delta):
    with pytest.raises(ConfigError, match="delta"):
        epsilon_of(np.ones(len(ORDERS)), delta)
    with pytest.raises(ConfigError, match="delta"):
        PrivacyConfig(epsilon=1.0, delta=delta)


def test_no_noise_reaches_an_epsilon_that_delta_alone_exceeds():
    with pytest.raises(ConfigError, match="no noise keeps 5 steps"):
        noise_for(1e-9, 1e-5, sample_rate=1.0, steps=5)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, "epsilon"),
        ({"noise_multiplier": 1.0, "clip": "none"}, "clip"),
        ({"epsilon": 1.0, "noise_multiplier": 0.0}, "noise_multiplier"),
        ({"epsilon": 1.0, "clip": 0.0}, "clip"),
        ({"noise_multiplier": -1.0}, "noise_multiplier"),
    ],
)
def test_what_is_no_request_is_refused(values, field):
    with pytest.raises(ConfigError) as error:
        PrivacyConfig(**values)
    assert error.value.field == field
    assert error.value.fix


# ----------------------------------------------------------------------------------------- the key


def test_the_noise_is_standard_normal_and_independent_from_step_to_step():
    key = NoiseKey.for_tests(3)
    numbers = np.concatenate([key.normal(step, 5_001) for step in range(20)])
    assert stats.kstest(numbers, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(key.normal(0, 50_000), key.normal(1, 50_000))[0, 1]) < 0.02
    first, second = key.normal(4, 100_000).reshape(2, -1)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    assert abs(np.corrcoef(first**2, second**2)[0, 1]) < 0.02


def test_a_row_joins_with_its_probability_whatever_the_others_do():
    key, n_rows, q, steps = NoiseKey.for_tests(0), 40, 0.23456789, 4_000
    joined = np.zeros((steps, n_rows))
    for step in range(steps):
        joined[step, key.joined(step, n_rows, q)] = 1.0
    total = joined.sum()
    assert abs(total - q * joined.size) < 4 * math.sqrt(q * (1 - q) * joined.size)
    sizes = joined.sum(axis=1)
    assert sizes.var() == pytest.approx(n_rows * q * (1 - q), rel=0.1)
    pairs = np.corrcoef(joined.T)[np.triu_indices(n_rows, 1)]
    assert np.abs(pairs).max() < 5 / math.sqrt(steps)


def test_ties_of_the_first_bits_are_decided_by_more_of_them():
    """A probability below 2⁻¹⁶ needs the second draw to be met at all."""
    key, q = NoiseKey.for_tests(1), 2.0**-17
    count = sum(len(key.joined(step, 1 << 16, q)) for step in range(200))
    assert abs(count - 100) < 4 * math.sqrt(100)
    assert key.joined(0, 5, 1.0).tolist() == [0, 1, 2, 3, 4]


def test_a_key_is_new_each_time_and_never_shown():
    first, second = NoiseKey.drawn(), NoiseKey.drawn()
    assert first.secret != second.secret
    assert first.digest != first.secret
    assert first.secret.hex() not in repr(first)
    assert repr(first.secret) not in repr(first)


def test_batches_may_be_empty_and_depend_on_step_and_key_alone():
    key = NoiseKey.for_tests(2)
    batches = PoissonBatches(n_rows=10, batch_size=1, key=key)
    found = [batches.of_epoch(epoch) for epoch in range(10)]
    assert {len(each) for each in found} == {10}
    assert any(len(batch) == 0 for each in found for batch in each)
    assert [b.tolist() for b in found[3]] == [b.tolist() for b in batches.of_epoch(3)]


@pytest.mark.parametrize("size", [1, 2, 31, 150, 1001])
def test_numbers_of_several_steps_are_those_of_each_step(size):
    """A step that was drawn ahead has its own noise, and none is taken twice."""
    key = NoiseKey.for_tests(4)
    found = key.normals(range(7, 24), size)
    for place, step in enumerate(range(7, 24)):
        assert found[place].tobytes() == key.normal(step, size).tobytes()
    assert len({each.tobytes() for each in found}) == 17


def test_the_noise_of_a_key_and_a_step_is_the_same_in_every_version():
    """A run that is resumed by a later version takes a step again with the noise it had."""
    expected = [-0.7735112992342397, 0.45393091061257923, 0.42355342420378733]
    assert NoiseKey.for_tests(7).normal(5, 3) == pytest.approx(expected, rel=1e-14)
    assert NoiseKey.for_tests(7).joined(5, 1000, 0.004).tolist() == [362, 645, 750, 761]


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.5, math.nan])
def test_a_rate_that_is_no_probability_is_refused(rate):
    with pytest.raises(ConfigError, match="a row joins a step with a probability") as caught:
        step_divergence(rate, 1.0)
    assert caught.value.field == "sample_rate"


def test_the_key_of_the_noise_is_not_written():
    assert repr(NoiseKey.for_tests(3)) == repr(NoiseKey.drawn()) == "NoiseKey(…)"
