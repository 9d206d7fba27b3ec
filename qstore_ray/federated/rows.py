"""The rows of a client, as its training takes them, and what it reports of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import ConfigError, DataError
from qstore_ray.federated.partitions import PartitionConfig, by_value, partition

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

    def checked(self, field: str) -> ClientRows:
        """The same rows as arrays of numbers: x float64 (N, F), y as the loss takes it.

        Args:
            field: where they were given, for errors.

        Raises:
            DataError: no numbers, NaN or infinity, other shapes, or a class without a label.
        """
        x, y = _numbers(self.x, f"{field}.x"), np.asarray(self.y)
        if x.ndim != 2 or y.ndim not in (1, 2) or len(x) != len(y):
            raise DataError(
                "rows are x (N, F), with y (N,) or (N, …) of as many rows",
                field=field,
                value=(x.shape, y.shape),
                fix="One feature is x.reshape(-1, 1).",
            )
        if not self.classes or y.ndim == 2:
            numbers = _numbers(y, f"{field}.y")
            y = y if self.classes else numbers  # several labels a row stay whole numbers
        elif len(y) and (y.dtype.kind not in "iub" or y.min() < 0 or y.max() >= len(self.classes)):
            raise DataError(
                f"with classes, y has the numbers of labels, from 0 to {len(self.classes) - 1}",
                field=f"{field}.y",
                value=str(y.dtype) if y.dtype.kind not in "iub" else (int(y.min()), int(y.max())),
                fix="Write np.searchsorted(classes, labels), or take DatasetLoader.from_arrays.",
            )
        return replace(self, x=x, y=y)

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


def _numbers(given: Any, field: str) -> FloatArray:
    """As float64.

    Raises:
        DataError: other values, NaN or infinity.
    """
    found = np.asarray(given)
    if found.dtype.kind not in "fiub":
        raise DataError(
            "rows of a client are numbers", field=field, value=str(found.dtype),
            fix="Convert them with astype(float), or load them as a Dataset.",
        )  # fmt: skip
    found = found.astype(np.float64, copy=False)
    if not np.isfinite(found).all():
        row = int(np.argwhere(~np.isfinite(found))[0][0])
        raise DataError(
            f"row {row} has NaN or infinity", field=field,
            fix="Impute missing values, or leave these rows out.",
        )  # fmt: skip
    return found


def preparation_digest(dataset: Dataset) -> str:
    """SHA-256 of how a dataset prepares its rows: the steps and what they were fitted to."""
    digest = hashlib.sha256(json.dumps(dataset.preparation.spec(), sort_keys=True).encode())
    for name, array in sorted(dataset.preparation.to_arrays().items()):
        digest.update(f"{name} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def divide(dataset: Dataset, config: PartitionConfig) -> dict[str, ClientRows]:
    """The rows of train divided among clients that are called client-0, client-1, …, or after the
    values of a column.

    Raises:
        DataError: no partition gives every client its fewest rows, or a row has no value.
        ConfigError: the source of the dataset has no columns.

    Examples:
        dataset = DatasetLoader.from_arrays(np.random.rand(40, 3), np.arange(40) % 2)
        clients = divide(dataset, PartitionConfig(clients=3, fewest_rows=5))
        assert sorted(clients) == ["client-0", "client-1", "client-2"]
    """
    whole = ClientRows.of(dataset)
    if config.column is not None:
        parts = by_value(_values(dataset, config.column))
        for name, rows in parts.items():
            if len(rows) < config.fewest_rows:
                raise DataError(
                    f"client {name} has {len(rows)} rows, fewer than {config.fewest_rows}",
                    field="partition.fewest_rows",
                    value=config.fewest_rows,
                    fix="Lower it, or leave out rows with this value (dataset.select).",
                )
        return {name: whole.take(rows) for name, rows in parts.items()}
    digits = len(str(config.clients - 1))
    return {
        f"client-{number:0{digits}}": whole.take(rows)
        for number, rows in enumerate(partition(config, whole.y))
    }


def _values(dataset: Dataset, column: str) -> list[str]:
    """The value of a column for each row of train: the data are loaded again with it as label."""
    from qstore_ray.data.config import SplitConfig
    from qstore_ray.data.loader import DatasetLoader

    config = dataset.config
    if config.columns is None:
        raise ConfigError(
            "the data have no columns by name",
            field="partition.column",
            value=column,
            fix='Name them, as dataset.columns = { label = "…" } of the source local does.',
        )
    columns = config.columns.model_copy(update={"label": column, "group": None, "weight": None})
    changed = {"columns": columns, "split": SplitConfig(train=1.0), "task": "classification"}
    changed |= {"preprocessing": (), "augmentation": None, "stream": False, "rare_classes": "keep"}
    found = DatasetLoader.load(config.model_copy(update=changed))
    labels = found.labels("train")
    known = {int(row): str(found.classes[k]) for row, k in zip(found.rows("train"), labels,
                                                               strict=True)}  # fmt: skip
    missing = [int(row) for row in dataset.rows("train") if int(row) not in known]
    if missing:
        raise DataError(
            f"row {missing[0]} has no value in the column that says whose it is",
            field="partition.column",
            value=column,
            fix="Fill the column, or leave the row out.",
        )
    return [known[int(row)] for row in dataset.rows("train")]


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
