"""The rows of a client, as its training takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import DataError
from qstore_ray.federated.partitions import PartitionConfig, partition

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray, IntArray, Task


@dataclass(frozen=True, eq=False)  # arrays have no truth value
class ClientRows:
    """Prepared rows of one client.

    Attributes:
        x: (N, F). y: class numbers or targets (N, …).
        classes: the labels of the class numbers; empty for numbers. task: of the data.
    """

    x: FloatArray
    y: AnyArray
    classes: tuple[Any, ...] = ()
    task: Task | None = None

    @classmethod
    def of(cls, dataset: Dataset, split: str = "train") -> ClientRows:
        """The rows of a split.

        Raises:
            UnknownNameError, DataError: see `Dataset.materialize`.
        """
        x, y = dataset.materialize(split)
        return cls(x, y, tuple(dataset.classes), dataset.config.task)

    @property
    def n_targets(self) -> int:
        """How many targets a row has."""
        return 1 if self.y.ndim == 1 else int(self.y.shape[1])


def divide(dataset: Dataset, config: PartitionConfig) -> dict[str, ClientRows]:
    """The rows of train divided among clients that are called client-0, client-1, ….

    Raises:
        DataError: no partition gives every client its fewest rows.
    """
    whole = ClientRows.of(dataset)
    digits = len(str(config.clients - 1))
    return {
        f"client-{number:0{digits}}": ClientRows(
            whole.x[rows], whole.y[rows], whole.classes, whole.task
        )
        for number, rows in enumerate(partition(config, whole.y))
    }


def shard_table(clients: Mapping[str, ClientRows]) -> dict[str, IntArray]:
    """Rows of each class that each client has; its number of rows if there are no classes."""
    found = {}
    for name, rows in sorted(clients.items()):
        has_classes = bool(rows.classes) and rows.y.ndim == 1
        numbers = rows.y if has_classes else np.zeros(len(rows.y), np.int64)
        found[name] = np.bincount(numbers, minlength=len(rows.classes) if has_classes else 1)
    return found


def check_regression(rows: ClientRows, target_scaling: str) -> None:
    """Refuse targets that each client would scale by its own rows.

    Raises:
        DataError: numbers as targets with `target_scaling` other than none.
    """
    if not rows.classes and target_scaling != "none":
        raise DataError(
            "each client would scale its targets by its own rows",
            field="trainer.target_scaling",
            value=target_scaling,
            fix='Set target_scaling = "none", and scale all targets alike beforehand.',
        )
