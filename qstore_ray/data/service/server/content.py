"""What the service holds of a dataset in memory: its parts as arrays, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qstore_ray.data.service.records import Split

if TYPE_CHECKING:
    from qstore_ray.data.columns import TableSchema
    from qstore_ray.types import AnyArray


@dataclass(frozen=True)
class Rows:
    """The rows of one part: x (N, …) numbers and y (N,) labels."""

    x: AnyArray
    y: AnyArray


@dataclass(frozen=True)
class Content:
    """All parts of a dataset, what its columns and classes are called, and the copies in train.

    `table` says what the columns of a table mean; features may then be missing (NaN).
    """

    parts: Mapping[Split, Rows]
    feature_names: tuple[str, ...] | None = None
    class_names: tuple[str, ...] | None = None
    copies: int = 0
    table: TableSchema | None = None
