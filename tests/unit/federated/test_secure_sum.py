"""Secure sums: exact, hidden, and given up when too few stay."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qstore_ray.errors import ConfigError, DataError, RunError
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.secure_sum import crypto
from qstore_ray.federated.secure_sum.collector import SumCollector
from qstore_ray.federated.secure_sum.fixed_point import decoded, encoded, largest
from qstore_ray.federated.secure_sum.run import secure_sum
from qstore_ray.federated.secure_sum.shamir import PRIME, combine, split
from qstore_ray.federated.server import first_state, run_round
from qstore_ray.federated.strategies import get_strategy
from tests.unit.federated.quadratics import P, fleet, quadratics


def _vectors(count: int, length: int = 50, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {f"c{i}": 3.0 * generator.normal(size=length) for i in range(count)}


def _plain(vectors) -> np.ndarray:
    """The sum of the fixed-point numbers, without masks."""
    total = np.zeros(len(next(iter(vectors.values()))), np.uint64)
    for vector in vectors.values():
        total = total + encoded(vector, len(vectors))
    return decoded(total)


# ---------------------------------------------------------------------------------------- the parts


@given(st.lists(st.floats(-1000.0, 1000.0), min_size=1, max_size=6), st.integers(1, 8000))
def test_fixed_point_is_exact_to_half_a_unit(values, clients):
    vector = np.array(values)
    assert np.abs(decoded(encoded(vector, clients)) - vector).max() <= 2.0**-41


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, largest(10), -largest(10) * 1.5])
def test_a_value_that_does_not_fit_is_refused_not_cut_off(value):
    with pytest.raises(DataError, match="does not fit") as error:
        encoded(np.array([0.0, value]), 10)
    assert error.value.field == "vector.1"


def test_the_largest_values_of_all_clients_do_not_wrap_around():
    edge = np.nextafter(largest(16), 0.0)
    total = sum((encoded(np.array([edge]), 16) for _ in range(16)), np.zeros(1, np.uint64))
    assert decoded(total)[0] == pytest.approx(16 * edge, rel=1e-12)


@settings(max_examples=25)
@given(st.binary(min_size=32, max_size=32), st.integers(1, 9), st.data())
def test_any_t_shares_give_the_secret(secret, threshold, data):
    other = secret[::-1]
    dealt = split((secret, other), range(1, 10), threshold)
    points = data.draw(st.permutations(range(1, 10)))[:threshold]
    for place, expected in enumerate((secret, other)):
        shares = {point: dealt[point][place] for point in points}
        assert combine(shares, threshold) == expected
        del shares[points[0]]
        with pytest.raises(RunError, match="too few shares"):
            combine(shares, threshold)


@pytest.mark.parametrize(("points", "threshold"), [(range(1, 130), 97), ([5, 70_000, 3], 2)])
def test_shares_are_values_of_a_polynomial_of_degree_t_minus_1(points, threshold):
    """Long polynomials too, which are reduced on the way: any t shares give all the others."""
    dealt = split((bytes(range(32)),), list(points), threshold)
    known = {point: int.from_bytes(dealt[point][0], "big") for point in list(points)[:threshold]}
    for at in list(points)[threshold:]:
        value = 0
        for x, y in known.items():
            top = math.prod(at - other for other in known if other != x)
            bottom = math.prod(x - other for other in known if other != x)
            value += y * top * pow(bottom, -1, PRIME)
        assert value % PRIME == int.from_bytes(dealt[at][0], "big") < PRIME


def test_fewer_shares_fit_every_secret_and_a_wrong_one_is_noticed():
    secret = bytes(range(32))
    shares = {point: each[0] for point, each in split((secret,), [1, 2, 3], 3).items()}
    again = {point: each[0] for point, each in split((secret,), [1, 2, 3], 3).items()}
    assert all(shares[point] != again[point] for point in shares)  # random polynomials
    shares[2] = bytes(66)
    with pytest.raises(RunError, match="do not fit"):
        combine(shares, 3)


def test_two_clients_agree_on_keys_and_nobody_else_does():
    a, b, c = crypto.exchange_key(), crypto.exchange_key(), crypto.exchange_key()
    keys = crypto.pair_keys(a, crypto.public_key(b), b"1 and 2")
    assert keys == crypto.pair_keys(b, crypto.public_key(a), b"1 and 2")
    assert keys.masking != keys.sealing
    others = (
        crypto.pair_keys(b, crypto.public_key(a), b"1 and 3"),
        crypto.pair_keys(c, crypto.public_key(a), b"1 and 2"),
    )
    assert all(not set(keys) & set(other) for other in others)
    with pytest.raises(RunError, match="public key"):
        crypto.pair_keys(a, b"short", b"1 and 2")


@pytest.mark.parametrize("top", [0, 2**255], ids=["", "with the bit that is ignored"])
def test_the_points_of_small_order_are_those_that_nobody_agrees_with(top):
    for point in crypto._SMALL_ORDER:
        encoded_point = (point + top).to_bytes(32, "little")
        assert not crypto.is_public_key(encoded_point)
        with pytest.raises(RunError, match="public key"):
            crypto.pair_keys(crypto.exchange_key(), encoded_point, b"")
    assert crypto.is_public_key(crypto.public_key(crypto.exchange_key()))
    assert not crypto.is_public_key(b"short")
    assert not crypto.is_public_key(None)


def test_a_mask_is_uniform_and_a_sealed_message_is_bound_to_its_address():
    numbers = crypto.Masks(20_000).of(crypto.new_secret()).astype(float) / 2.0**64
    assert stats.kstest(numbers, "uniform").pvalue > 1e-5
    key = crypto.new_secret()
    message = crypto.sealed(key, b"share", b"1 to 2")
    assert crypto.opened_or_none(key, message, b"1 to 2") == b"share"
    for wrong in ((key, message, b"1 to 3"), (key, message[:-1] + b"x", b"1 to 2"),
                  (crypto.new_secret(), message, b"1 to 2"), (key, b"", b"1 to 2")):  # fmt: skip
        assert crypto.opened_or_none(*wrong) is None


def test_a_mask_is_the_stream_of_its_key_in_counter_mode():
    """By the cipher itself, whose counter begins at 2 in GCM; the memory is used again."""
    masks, keys = crypto.Masks(100), [crypto.new_secret() for _ in range(3)]
    for key in keys:
        counter = bytes(12) + (2).to_bytes(4, "big")
        stream = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()
        assert masks.of(key).tobytes() == stream.update(bytes(800))


# ------------------------------------------------------------------------------------------ the sum


@pytest.mark.parametrize(("clients", "threshold"), [(2, 2), (3, 2), (7, 5), (16, 16)])
def test_the_sum_is_that_of_the_fixed_point_numbers_to_the_last_bit(clients, threshold):
    vectors = _vectors(clients)
    total, stayed = secure_sum(vectors, threshold)
    assert total.tobytes() == _plain(vectors).tobytes()
    assert stayed == tuple(sorted(vectors))
    np.testing.assert_allclose(total, sum(vectors.values()), atol=clients * 2.0**-41)


@pytest.mark.parametrize("message", [0, 1, 2, 3])
def test_clients_may_leave_at_any_message_and_the_rest_is_summed(message):
    vectors = _vectors(7)
    gone = {"c2", "c5"}
    total, stayed = secure_sum(
        vectors, 4, leaves=lambda client, number: client in gone and number == message
    )
    kept = {name: v for name, v in vectors.items() if name not in gone or message == 3}
    assert stayed == tuple(sorted(kept))
    scale = len(vectors)
    expected = np.zeros(50, np.uint64)
    for vector in kept.values():
        expected = expected + encoded(vector, scale)
    assert total.tobytes() == decoded(expected).tobytes()


@pytest.mark.parametrize("message", [0, 1, 2, 3])
def test_with_fewer_clients_than_the_threshold_the_sum_is_given_up(message):
    gone = {f"c{i}" for i in range(4)}
    with pytest.raises(RunError, match="given up") as error:
        secure_sum(_vectors(7), 4, leaves=lambda c, m: c in gone and m == message)
    assert pickle.loads(pickle.dumps(error.value)).fix


@pytest.mark.parametrize(("clients", "threshold"), [(1, 1), (4, 2), (5, 6), (2, 1), (3, 0)])
def test_a_threshold_that_protects_nobody_is_refused(clients, threshold):
    with pytest.raises(ConfigError, match="above half"):
        secure_sum(_vectors(clients), threshold)


class _Recorded(SumCollector):
    """A server that keeps all that it sees."""

    seen: list

    def __init__(self, *rest) -> None:
        super().__init__(*rest)
        _Recorded.seen.append(self)


def test_the_server_sees_no_vector_and_no_difference_of_two(monkeypatch):
    """Equal vectors look unrelated, and the same vector looks different in the next sum."""
    _Recorded.seen = []
    monkeypatch.setattr("qstore_ray.federated.secure_sum.run.SumCollector", _Recorded)
    planted = np.full(4_000, 1.2345678)
    vectors = {f"c{i}": planted for i in range(4)}
    for _ in range(2):
        secure_sum(vectors, 3)
    inputs = [masked for server in _Recorded.seen for masked in server._inputs.values()]
    assert len(inputs) == 8
    code = encoded(planted, 4)
    for masked in inputs:
        assert not np.isin(code, masked).any()
        assert stats.kstest(masked.astype(float) / 2.0**64, "uniform").pvalue > 1e-5
    for i, masked in enumerate(inputs):
        for other in inputs[i + 1 :]:
            difference = (masked - other).astype(float) / 2.0**64
            assert stats.kstest(difference, "uniform").pvalue > 1e-5
    held = pickle.dumps([vars(server) for server in _Recorded.seen])
    assert code[:2].tobytes() not in held
    assert planted[:2].tobytes() not in held


# ---------------------------------------------------------------------------------- in a federation


@pytest.mark.parametrize("strategy", ["fedavg", "scaffold", "fedadam"])
def test_a_federation_with_secure_sums_ends_where_one_without_does(strategy):
    ends = []
    for secure in (False, True):
        clients, _ = quadratics()
        options = {} if strategy == "scaffold" else {"weights": "uniform"}
        config = FederationConfig(
            strategy=strategy, strategy_options=options, secure_sum=secure, fraction=0.6
        )
        found = get_strategy(strategy, options)
        state = first_state(found, np.ones(P))
        for _ in range(5):
            state, record = run_round(state, fleet(clients), found, config)
        ends.append((state.theta, record.loss))
    np.testing.assert_allclose(ends[1][0], ends[0][0], atol=1e-10)
    assert ends[1][1] == pytest.approx(ends[0][1], abs=1e-10)


def test_a_round_below_the_threshold_changes_nothing():
    clients, _ = quadratics()

    class Gone:
        def train(self, task, memory):
            raise DataError("gone")

    for name in ("c0", "c1", "c2", "c3"):
        clients[name] = Gone()
    strategy = get_strategy("fedavg", {"weights": "uniform"})
    config = FederationConfig(secure_sum=True, strategy_options={"weights": "uniform"})
    assert config.hidden_threshold(10) == 7
    state, record = run_round(first_state(strategy, np.ones(P)), fleet(clients), strategy, config)
    assert record.used == ()
    assert state.theta.tolist() == [1.0] * P


REFUSED = [
    ({"strategy": "krum"}, "this strategy compares them"),
    ({"strategy": "median"}, "this strategy compares them"),
    ({"strategy": "fedavg"}, "how many rows each has"),
    ({"strategy": "scaffold", "largest_change": 1.0}, "cannot exclude a large one"),
]


@pytest.mark.parametrize(("options", "said"), REFUSED, ids=str)
def test_what_needs_single_updates_is_refused_with_secure_sums(options, said):
    with pytest.raises(ConfigError, match=said):
        FederationConfig(secure_sum=True, **options)


def test_thresholds_are_above_half_of_the_clients_of_a_round():
    for share in (0.51, 0.67, 1.0):
        config = FederationConfig(secure_threshold=share)
        for count in range(2, 40):
            threshold = config.hidden_threshold(count)
            assert count / 2 < threshold <= count
            assert threshold >= math.floor(share * count)
