"""What workers exchange in place of every gradient: known numbers, nothing lost, refusals."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qstore_ray.errors import ConfigError
from qstore_ray.learn.distributed.compression import (
    EightBits,
    GradientCompression,
    Sent,
    TopK,
    fed_back,
    get_compression,
)
from qstore_ray.learn.distributed.config import (
    AveragingConfig,
    CompressionConfig,
    check_apart,
)
from qstore_ray.learn.distributed.period import period_for


class Meeting:
    """All-reduces of workers that are threads of this process."""

    def __init__(self, world_size: int) -> None:
        self.given: list = [None] * world_size
        self.barrier = threading.Barrier(world_size)


class Worker:
    """One worker's side of a meeting."""

    def __init__(self, meeting: Meeting, rank: int) -> None:
        self.meeting, self.rank, self.world_size = meeting, rank, len(meeting.given)

    def all_reduce(self, values):
        self.meeting.given[self.rank] = values
        self.meeting.barrier.wait(30)
        total = sum(self.meeting.given[1:], self.meeting.given[0])
        self.meeting.barrier.wait(30)
        return total


def _sent(compression: GradientCompression, vectors: list[np.ndarray]) -> list[Sent]:
    meeting = Meeting(len(vectors))
    with ThreadPoolExecutor(len(vectors)) as pool:
        return list(
            pool.map(
                lambda rank: compression.add_up(vectors[rank], Worker(meeting, rank)),
                range(len(vectors)),
            )
        )


# ------------------------------------------------------------------------------------------- top k


@pytest.mark.parametrize(
    ("keep", "count"), [(0.01, 1), (0.2, 1), (0.3, 2), (0.5, 2), (0.7, 4), (1.0, 5)]
)
def test_the_largest_numbers_are_sent_and_the_share_is_rounded(keep, count):
    vector = np.array([1.0, -5.0, 3.0, -2.0, 4.0])
    (sent,) = _sent(TopK(keep), [vector])
    largest = np.argsort(-np.abs(vector))[:count]
    expected = np.zeros(5)
    expected[largest] = vector[largest]
    np.testing.assert_array_equal(sent.own, expected)
    np.testing.assert_array_equal(sent.total, expected)
    assert sent.n_bytes == 8 * count


def test_of_equal_numbers_the_first_is_sent():
    (sent,) = _sent(TopK(0.5), [np.array([1.0, -1.0, 1.0, 1.0])])
    np.testing.assert_array_equal(sent.own, [1.0, -1.0, 0.0, 0.0])
    signs = np.random.default_rng(0).choice([-1.0, 1.0, 2.0], 300)
    (sent,) = _sent(TopK(0.5), [signs])
    (twos,), (ones,) = np.nonzero(signs == 2.0), np.nonzero(signs != 2.0)
    (places,) = np.nonzero(sent.own)
    assert places.tolist() == sorted([*twos, *ones[: 150 - len(twos)]])


def test_workers_that_send_different_places_add_up():
    vectors = [np.array([8.0, 0.5, -4.0, 0.0]), np.array([8.0, 16.0, 0.25, 0.0])]
    first, second = _sent(TopK(0.5), vectors)
    np.testing.assert_array_equal(first.own, [8.0, 0.0, -4.0, 0.0])
    np.testing.assert_array_equal(second.own, [8.0, 16.0, 0.0, 0.0])
    for sent in (first, second):
        np.testing.assert_array_equal(sent.total, [16.0, 16.0, -4.0, 0.0])
        assert sent.n_bytes == 2 * 2 * 8


def test_numbers_travel_as_floats_of_32_bits_and_stay_finite():
    (sent,) = _sent(TopK(1.0), [np.array([0.1, 1e300, -1e300, 1.0])])
    most = float(np.finfo(np.float32).max)
    np.testing.assert_array_equal(sent.own, [float(np.float32(0.1)), most, -most, 1.0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_sent_first(bad):
    first, second = _sent(TopK(0.3), [np.array([9.0, bad, 1.0]), np.array([9.0, 1.0, 1.0])])
    for sent in (first, second):
        np.testing.assert_equal(sent.total, [9.0, bad, 0.0])


# -------------------------------------------------------------------------------------- eight bits


@pytest.mark.parametrize(
    ("vector", "unit"),
    [
        ([127.0, -1.0, 0.4, 0.6], 1.0),
        ([128.0, -1.0, 3.0, 5.0], 2.0),
        ([63.5, 0.25, -0.5, 0.0], 0.5),
        ([254.0, 1.0, 2.0, 3.0], 2.0),
    ],
)
def test_the_unit_is_the_least_power_of_two_that_fits_all(vector, unit):
    (sent,) = _sent(EightBits(), [np.array(vector)])
    np.testing.assert_array_equal(sent.own, np.rint(np.array(vector) / unit) * unit)
    assert sent.n_bytes == 8 + 2 * len(vector)


def test_workers_share_the_unit_of_the_largest_number():
    first, second = _sent(EightBits(), [np.array([1.0, 0.0, 100.0]), np.array([3.0, 400.0, 0.0])])
    np.testing.assert_array_equal(first.own, [0.0, 0.0, 100.0])
    np.testing.assert_array_equal(second.own, [4.0, 400.0, 0.0])
    for sent in (first, second):
        np.testing.assert_array_equal(sent.total, [4.0, 400.0, 100.0])
        assert sent.n_bytes == 2 * 8 + 3 * 2


def test_nothing_is_zero_and_the_smallest_numbers_survive():
    (zero,) = _sent(EightBits(), [np.zeros(3)])
    np.testing.assert_array_equal(zero.total, 0.0)
    tiny, other = np.array([5e-324, -1e-323, 0.0]), np.array([0.25, -0.5, 0.0])
    (alone,) = _sent(EightBits(), [tiny])
    np.testing.assert_array_equal(alone.own, tiny)
    beside, _ = _sent(EightBits(), [tiny, other])
    np.testing.assert_array_equal(beside.total, other)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_vector_that_is_not_finite_makes_every_sum_nan_and_nothing_is_kept(bad):
    vectors = [np.array([1.0, bad]), np.array([1.0, 2.0])]
    for sent in _sent(EightBits(), vectors):
        assert np.isnan(sent.total).all()
        np.testing.assert_array_equal(sent.own, [0.0, 0.0])
        assert sent.n_bytes == 2 * 8


def test_the_sum_of_many_workers_does_not_overflow():
    """258 times 127 is the last sum that 16 bits hold."""

    class Many:
        rank, world_size = 0, 259

        def all_reduce(self, values):
            return values if values.shape == (259,) else (values * 259).astype(values.dtype)

    sent = EightBits().add_up(np.array([127.0, -127.0]), Many())
    np.testing.assert_array_equal(sent.total, [127.0 * 259, -127.0 * 259])
    assert sent.n_bytes == 259 * 8 + 2 * 4


# ---------------------------------------------------------------------------------- error feedback


@settings(max_examples=30)
@given(
    vectors=arrays(np.float64, (4, 5), elements=st.floats(-1e3, 1e3, width=32)),
    method=st.sampled_from(["top_k", "int8"]),
)
def test_what_was_sent_and_the_residual_are_all_gradients_to_the_last_bit(vectors, method):
    compression = get_compression(CompressionConfig(method=method, keep=0.4))
    residual = np.zeros(5)
    for vector in vectors:
        wanted = vector + residual
        sent, residual = fed_back(compression, vector, residual, Worker(Meeting(1), 0))
        np.testing.assert_array_equal(sent.own + residual, wanted)


def test_the_compression_of_a_configuration():
    assert isinstance(get_compression(CompressionConfig(method="top_k")), TopK)
    assert isinstance(get_compression(CompressionConfig(method="int8")), EightBits)
    sent, _ = fed_back(
        get_compression(CompressionConfig(method="top_k", keep=0.25)),
        np.array([1.0, 2.0, 3.0, 4.0]), np.array([9.0, 0.0, 0.0, 0.0]), Worker(Meeting(1), 0),
    )  # fmt: skip
    np.testing.assert_array_equal(sent.own, [10.0, 0.0, 0.0, 0.0])


# ------------------------------------------------------------------------------------------ periods


@pytest.mark.parametrize(
    ("sums", "step", "overhead", "period"),
    [
        (1.0, 1.0, 0.5, 1),
        (2.0, 1.0, 0.5, 2),
        (2.1, 1.0, 0.5, 3),
        (1.0, 1.0, 0.25, 3),
        (0.0, 1.0, 0.5, 1),
        (1000.0, 1.0, 0.5, 256),
        (1.0, 0.0, 0.5, 256),
        (1.0, 4.0, 0.2, 1),
        (1.5, 4.0, 0.2, 2),
    ],
)
def test_the_period_is_the_least_that_keeps_to_the_overhead(sums, step, overhead, period):
    assert period_for(sums, step, overhead) == period


@pytest.mark.parametrize(("period", "used"), [(1, False), (2, True), (256, True), ("auto", True)])
def test_a_period_of_one_is_training_without_it(period, used):
    assert AveragingConfig(period=period).is_used is used


@pytest.mark.parametrize("period", [0, 257])
def test_a_period_out_of_range_is_refused(period):
    with pytest.raises(ConfigError, match="a period has 1 to 256 steps") as caught:
        AveragingConfig(period=period)
    assert (caught.value.field, caught.value.value) == ("period", period)
    assert caught.value.fix == 'Write 8, or "auto" to have it measured.'


@pytest.mark.parametrize(("period", "most"), [(4, 4), ("auto", 256)])
def test_a_mean_arrives_before_the_next_one(period, most):
    assert AveragingConfig(period=period, delay=most - 1).delay == most - 1
    with pytest.raises(ConfigError, match=f"every {most} steps") as caught:
        AveragingConfig(period=period, delay=most)
    assert (caught.value.field, caught.value.value) == ("delay", most)
    assert caught.value.fix == f"Set delay to less than {most}, or a longer period."


# --------------------------------------------------------------------------------- what is refused

FITS = dict.fromkeys(("privacy", "optimizer", "fallback", "backend"))
AVERAGING, COMPRESSION = AveragingConfig(period=4), CompressionConfig(method="int8")


@pytest.mark.parametrize("averaging", [None, AveragingConfig(period=1)])
@pytest.mark.parametrize("compression", [None, CompressionConfig()])
def test_workers_that_exchange_every_gradient_may_do_anything(averaging, compression):
    given = {**FITS, "privacy": "yes"}
    assert check_apart(averaging, compression, given, (1, 4), 1) is False


@pytest.mark.parametrize("parts", [(AVERAGING, None), (None, COMPRESSION)])
def test_two_workers_with_a_block_each_are_enough(parts):
    assert check_apart(*parts, FITS, 2, 2) is True


def test_one_of_both_is_left_out():
    with pytest.raises(ConfigError, match="compression is of the gradient of each step") as caught:
        check_apart(AVERAGING, COMPRESSION, FITS, 2, 2)
    assert (caught.value.field, caught.value.value) == ("compression.method", "int8")
    assert caught.value.fix == "Leave one of both out."


@pytest.mark.parametrize(
    ("parts", "name"), [((AVERAGING, None), "averaging"), ((None, COMPRESSION), "compression")]
)
@pytest.mark.parametrize(
    ("changed", "workers", "blocks", "field", "value", "said", "fix"),
    [
        (
            {"privacy": "p"},
            2,
            2,
            "privacy",
            "p",
            "not possible with {}: its account",
            "Leave it out",
        ),
        ({"backend": "b"}, 2, 2, "backend", "b", "the queue of jobs", "leave out the table {}."),
        ({}, (2, 4), 4, "num_workers", [2, 4], "with {} every worker", "such as 4, or leave out"),
        ({}, 1, 2, "num_workers", 1, "{} is between workers", "Take 2 workers or more"),
        ({}, 3, 2, "batch_size", None, "2 blocks of rows for 3 workers", "Take 48 rows or more"),
    ],
    ids=["privacy", "backend", "elastic", "alone", "blocks"],
)
def test_what_needs_the_same_steps_of_all_workers_is_refused(
    parts, name, changed, workers, blocks, field, value, said, fix
):
    with pytest.raises(ConfigError) as caught:
        check_apart(*parts, {**FITS, **changed}, workers, blocks)
    assert (caught.value.field, caught.value.value) == (field, value)
    assert said.format(name) in str(caught.value)
    assert fix.format(name) in caught.value.fix


@pytest.mark.parametrize("largest", [1.0, 2.0, 127.0, 3e-320])
def test_eight_bits_keep_a_number_to_a_share_of_the_largest(largest):
    vector = largest * np.array([1.0, -0.5, 0.25, 0.0])
    (sent,) = _sent(EightBits(), [vector])
    np.testing.assert_allclose(sent.total, vector, atol=largest / 127 + 5e-324, rtol=0)
