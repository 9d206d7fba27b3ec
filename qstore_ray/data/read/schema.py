"""The columns of a dataset, before and after preparation."""

from __future__ import annotations

from typing import NamedTuple

from qstore_ray.data.columns import TableSchema


class Schema(NamedTuple):
    """The columns of a dataset.

    Args:
        n_raw_features: F of a raw row, as the source has it.
        n_features: F of a prepared row, as a model is given it.
        dtype: type of the raw features; prepared ones are float64.
        feature_names: names of the raw features, where they have names.
        image_shape: shape of a raw row, where it is an image.
        class_names: what the classes are called, in the order of `Dataset.classes`.
        n_targets: T, how many labels or numbers a row has.
        table: what the columns of a table mean; None where the source is no table.
        prepared_names: names of the prepared features; None where a step mixes columns.
    """

    n_raw_features: int
    n_features: int
    dtype: str
    feature_names: tuple[str, ...] | None = None
    image_shape: tuple[int, ...] | None = None
    class_names: tuple[str, ...] = ()
    n_targets: int = 1
    table: TableSchema | None = None
    prepared_names: tuple[str, ...] | None = None
