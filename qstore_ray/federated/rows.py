"""The rows of a client, as its training takes them, and what it reports of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

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
        source: the dataset that they are of, which has their preparation; None if unknown.
    """

    x: FloatArray
    y: AnyArray
    classes: tuple[Any, ...] = ()
    task: Task | None = None
    source: Dataset | None = field(default=None, repr=False)

    @classmethod
    def of(cls, dataset: Dataset, split: str = "train") -> ClientRows:
        """The rows of a split.

        Raises:
            UnknownNameError, DataError: see `Dataset.materialize`.
        """
        x, y = dataset.materialize(split)
        return cls(x, y, tuple(dataset.classes), dataset.config.task, dataset)

    def take(self, rows: IntArray) -> ClientRows:
        """Some of them, by their positions."""
        return replace(self, x=self.x[rows], y=self.y[rows])

    def without_source(self) -> ClientRows:
        """The same rows alone, as they are sent to an actor."""
        return replace(self, source=None)

    def facts(self, key: bytes | None = None) -> ClientFacts:
        """What a client reports of them.

        Args:
            key: hides what the digest would reveal of rows that can be guessed.
        """
        digest = hashlib.blake2b(key=b"" if key is None else key[:32], digest_size=32)
        digest.update(repr((self.x.shape, self.y.shape, self.classes)).encode())
        digest.update(np.ascontiguousarray(self.x).tobytes())
        digest.update(np.ascontiguousarray(self.y).tobytes())
        preparation = "" if self.source is None else preparation_digest(self.source)
        return ClientFacts(
            bool(len(self.x)), self.x.shape[1], self.classes, self.task, self.y.shape[1:],
            digest.hexdigest(), preparation,
        )  # fmt: skip


class ClientFacts(NamedTuple):
    """What a client reports of its rows before a federation begins.

    Attributes:
        has_rows: whether there are any. n_features: F. classes: labels by class number.
        task: of the data. targets: the shape of the targets of a row.
        digest: shows whether its rows are the same when a run is resumed.
        preparation: shows whether clients prepare their rows alike; "" if that is not known.
    """

    has_rows: bool
    n_features: int
    classes: tuple[Any, ...]
    task: Task | None
    targets: tuple[int, ...]
    digest: str
    preparation: str = ""

    @property
    def n_targets(self) -> int:
        """How many targets a row has."""
        return self.targets[0] if self.targets else 1


def preparation_digest(dataset: Dataset) -> str:
    """SHA-256 of how a dataset prepares its rows: the steps and what they were fitted to."""
    digest = hashlib.sha256(json.dumps(dataset.preparation.spec(), sort_keys=True).encode())
    for name, array in sorted(dataset.preparation.to_arrays().items()):
        digest.update(f"{name} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def divide(dataset: Dataset, config: PartitionConfig) -> dict[str, ClientRows]:
    """The rows of train divided among clients that are called client-0, client-1, ….

    Raises:
        DataError: no partition gives every client its fewest rows.
    """
    whole = ClientRows.of(dataset)
    digits = len(str(config.clients - 1))
    return {
        f"client-{number:0{digits}}": whole.take(rows)
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


def check_regression(rows: ClientFacts, target_scaling: str) -> None:
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
