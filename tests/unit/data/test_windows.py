"""Laws of the order of streamed rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray import DatasetLoader
from qstore_ray.data.batches.windows import RowStream, lanes, rows_of_a_window, shares

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=12)


class _Task:
    """A block of rows, numbered on from `first`."""

    def __init__(self, first: int, n_rows: int) -> None:
        self.first, self.n_rows = first, n_rows

    def __call__(self):
        row = np.arange(self.first, self.first + self.n_rows)
        return {"x": row[:, None] * 1.0, "y": row % 2, "row": row}


def _stream(sizes, seed=None, window_rows=16):
    firsts = np.cumsum([0, *sizes])
    tasks = tuple(_Task(int(first), size) for first, size in zip(firsts, sizes, strict=False))
    return RowStream(tasks, window_rows, seed)


def _epoch(stream, epoch, place=0):
    return [stream.read(window)["row"] for window in stream.windows(epoch, place)]


@given(SIZES, st.integers(0, 5), st.integers(0, 3), st.integers(1, 60))
def test_every_row_comes_exactly_once_an_epoch(sizes, seed, epoch, window_rows):
    rows = np.concatenate(_epoch(_stream(sizes, seed, window_rows), epoch))
    np.testing.assert_array_equal(np.sort(rows), np.arange(sum(sizes)))


def test_the_order_follows_from_seed_and_epoch():
    sizes = [7, 19, 30, 3, 16, 25]

    def order(seed, epoch):
        return np.concatenate(_epoch(_stream(sizes, seed), epoch)).tolist()

    assert order(3, 1) == order(3, 1)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_without_a_seed_rows_come_in_their_order():
    np.testing.assert_array_equal(np.concatenate(_epoch(_stream([7, 19, 30]), 2)), np.arange(56))


@given(SIZES, st.integers(0, 5), st.data())
def test_an_epoch_that_begins_in_the_middle_gives_what_is_left(sizes, seed, data):
    stream = _stream(sizes, seed)
    place = data.draw(st.integers(0, sum(sizes) - 1))
    left = stream.windows(1, place)
    assert left == [window for window in stream.windows(1) if window.end > place]
    assert left[0].start <= place < left[0].end
    whole = np.concatenate(_epoch(stream, 1))
    np.testing.assert_array_equal(np.concatenate(_epoch(stream, 1, place)), whole[left[0].start :])


def test_a_window_has_few_rows_more_than_it_needs():
    windows = _stream([10] * 9, seed=1, window_rows=25).windows(0)
    assert [window.n_rows for window in windows] == [30, 30, 30]
    assert [window.n_rows for window in _stream([10] * 4, window_rows=25).windows(0)] == [30, 10]


@given(st.integers(1, 200), st.integers(1, 100), st.integers(1, 7), st.integers(0, 199))
def test_each_row_of_a_batch_has_the_worker_that_computes_its_block(n_rows, batch, workers, start):
    start = min(start, n_rows - 1)
    found = lanes(start, n_rows, n_rows=n_rows, batch_size=batch, block=16, workers=workers)
    for place in range(start, n_rows):
        in_batch = place % batch
        size = min(batch, n_rows - (place - in_batch))
        n_blocks = -(-size // 16)
        worker = found[place - start]
        first, end = n_blocks * worker // workers, n_blocks * (worker + 1) // workers
        assert first <= in_batch // 16 < end


@given(st.integers(0, 200), st.integers(1, 7))
def test_the_shares_of_a_batch_are_all_of_it(n_rows, workers):
    found = shares(n_rows, 16, workers)
    assert found.sum() == n_rows
    assert (found >= 0).all()


def test_a_window_of_many_features_has_fewer_rows():
    assert rows_of_a_window(8) == 2**17
    assert rows_of_a_window(784) == 2**26 // (8 * 784)
    assert rows_of_a_window(10**9) == 1


@pytest.fixture
def dataset():
    x = np.random.default_rng(0).normal(size=(100, 3))
    return DatasetLoader.from_arrays(x, (x[:, 0] > 0) * 1, rows_per_task=9, stream=True)


def test_rows_have_their_features_labels_and_weights(dataset):
    plan = dataset.plan("train")
    weight = np.random.default_rng(1).random(plan.n_rows)
    stream = RowStream(plan.tasks, 20, 5, weight)
    x, y = dataset.materialize("train")
    place = {row: at for at, row in enumerate(plan.rows.tolist())}
    for window in stream.windows(3):
        columns = stream.read(window)
        at = [place[row] for row in columns["row"].tolist()]
        np.testing.assert_array_equal(columns["x"], x[at])
        np.testing.assert_array_equal(columns["y"], y[at])
        np.testing.assert_array_equal(columns["weight"], weight[at])


def test_labels_of_a_streamed_dataset_are_known(dataset):
    for split, plan in dataset.plans.items():
        assert plan.y is not None
        np.testing.assert_array_equal(dataset.labels(split), dataset.materialize(split).y)
