"""Streaming batches from Ray Data: every row once, the same again, and refused without order."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.data.batches.batches import batches
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import ConfigError, UsageError

N = 50
DATASET = DatasetLoader.from_arrays(
    np.arange(2.0 * N).reshape(N, 2), np.arange(N) % 2, rows_per_task=7, split={"train": 1.0}
)


def test_rows_of_ray_come_once_each_and_go_on_from_any_step(ray_cluster):
    rows = DATASET.to_ray("train")
    rows.context.execution_options.preserve_order = True
    stream = batches("streaming", source=rows, batch_size=8, seed=3, buffer_rows=20)
    whole = list(stream.iterate(1))
    numbers = np.concatenate([batch.row for batch in whole])
    np.testing.assert_array_equal(np.sort(numbers), np.arange(N))
    np.testing.assert_array_equal(np.concatenate([batch.x for batch in whole])[:, 0], 2.0 * numbers)
    rest = list(stream.iterate(1, 4))
    assert [batch.step for batch in rest] == [4, 5, 6]
    for batch, again in zip(whole[4:], rest, strict=True):
        np.testing.assert_array_equal(batch.row, again.row)
        np.testing.assert_array_equal(batch.x, again.x)
    with pytest.raises(ConfigError, match="7 steps"):
        next(stream.iterate(1, 8))


def test_rows_of_ray_in_any_order_are_refused(ray_cluster):
    rows = DATASET.to_ray("train")
    rows.context.execution_options.preserve_order = False
    with pytest.raises(UsageError, match="any order"):
        batches("streaming", source=rows, batch_size=8)
