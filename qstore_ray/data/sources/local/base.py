"""What a file format is: it cuts files into chunks of rows that any process can read.

`Format.open` looks at headers only (or, for text, at where the lines end) and returns chunks. A
chunk knows where its rows are and how many there are; `read` fetches just these. So rows are read
in parallel and never all at once. A new format is one file here and one line in `adapter.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, TypeAlias

import numpy as np

from qstore_ray.data.columns import TableSchema
from qstore_ray.data.sources.base import ColumnsConfig
from qstore_ray.data.tables.request import TableRequest
from qstore_ray.errors import ConfigError, DataError, UnknownNameError, unknown_name

if TYPE_CHECKING:
    import pyarrow as pa

    from qstore_ray.data.signature import Signature
    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.types import AnyArray

Split: TypeAlias = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
Files: TypeAlias = Mapping[Split, tuple[str, ...]]


class Chunk(Protocol):
    """Rows that are read together; picklable, and the same rows whenever they are read."""

    @property
    def n_rows(self) -> int:
        """Rows N."""

    def read(self) -> tuple[AnyArray, AnyArray] | dict[str, AnyArray]:
        """Features (N, …) and labels (N,) or (N, C); of a table the columns of a read task.

        A table's rows that are read with a given schema, to predict on, have `x` alone.

        Raises:
            DataError: the file is gone, changed, damaged or refused.
        """


class TableChunk(Chunk, Protocol):
    """Rows of a table, which can be had as columns too."""

    def read(self) -> dict[str, AnyArray]:
        """The columns of a read task, as they are asked for."""

    def table(self) -> pa.Table:
        """The columns that are read, as they are."""

    def where(self, row: int) -> str:
        """File and place of a row, for error messages."""


@dataclass(frozen=True)
class ChunkTask:
    """A chunk as a read task: with the numbers of its rows."""

    chunk: Chunk
    first_row: int

    def __call__(self) -> dict[str, AnyArray]:
        """The columns x, y, row, and group and unlabelled where there are such.

        Raises:
            DataError: as `Chunk.read`.
        """
        found = self.chunk.read()
        columns = found if isinstance(found, dict) else dict(zip("xy", found, strict=True))
        row = np.arange(len(columns["x"]), dtype=np.int64) + self.first_row
        return {**columns, "row": row}


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a format found in the files: chunks of every part, and what is known about the columns.

    Args:
        chunks: the chunks of each part in order.
        feature_names: names of the F features, where they have names.
        table: what the columns of a table mean; its features are `feature_names`.
        columns: names of all columns of a table, also of those that are not read.
        notes: what a user should know about how the files were read.
    """

    chunks: Mapping[Split, tuple[Chunk, ...]]
    columns: tuple[str, ...] = ()
    feature_names: tuple[str, ...] | None = None
    table: TableSchema | None = None
    notes: Mapping[str, str] = field(default_factory=dict)


class Format(ABC):
    """One kind of file with arrays. `takes` names the parameters that mean something to it."""

    takes: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def open(
        self, root: str, files: Files, params: LocalParams, columns: ColumnsConfig | None
    ) -> Contents:
        """The chunks of `files`, which are below the folder `root` unless that is "".

        Raises:
            DataError: missing, damaged or refused.
        """

    @abstractmethod
    def unlabelled(
        self, files: Sequence[str], params: LocalParams, signature: Signature
    ) -> AnyArray:
        """All rows (N, …) of `files` without labels.

        Raises:
            DataError: missing, damaged or refused.
        """


class TableFormat(ABC):
    """One kind of file with columns that have names. `takes` is as in `Format`."""

    takes: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def open(self, files: Files, params: LocalParams, request: TableRequest) -> Contents:
        """The chunks of `files` and what their columns mean.

        With a schema in `request`, the files are rows to predict on: the columns are those of the
        schema, found by their names, and the chunks give `x` alone.

        Raises:
            DataError: missing, damaged or refused; columns that are no features; with a schema, a
                feature that is not there.
        """


def named_parts(
    names: Sequence[str], params: LocalParams, where: str
) -> dict[Split, tuple[str, str]]:
    """Names of the features and labels of every part, among the `names` of a file's arrays.

    Raises:
        UnknownNameError: an array that was asked for, or is needed, is not there.
        DataError: there are both `x` and `x_train`.
    """
    plain, cut = {"x", "y"} <= set(names), {"x_train", "y_train"} <= set(names)
    if params.x is None and plain and cut:
        raise DataError(
            "there are arrays x and x_train",
            field=where,
            fix="Say which are meant: params.x and params.y.",
        )
    main = ("x_train", "y_train") if cut and not plain else ("x", "y")
    parts: dict[Split, tuple[str, str]] = {"train": _asked(params, "") or main}
    for split in SPLITS[1:]:
        usual = f"x_{split}", f"y_{split}"
        if asked := _asked(params, f"_{split}"):
            parts[split] = asked
        elif found := [name for name in usual if name in names]:
            if len(found) == 1:
                raise DataError(
                    f"{found[0]} is there and its other half is not", field=where, value=names
                )
            parts[split] = usual
    for split, pair in parts.items():
        for axis, name in zip("xy", pair, strict=True):
            if name not in names:
                end = "" if split == "train" else f"_{split}"
                fields = f"params.x{end} and params.y{end}"
                error = unknown_name("array", name, names, field=f"params.{axis}{end}")
                raise UnknownNameError(
                    error.message,
                    field=error.field,
                    value=name,
                    fix=f"{error.fix} Name the two that are meant in {fields}.",
                )
    return parts


def _asked(params: LocalParams, suffix: str) -> tuple[str, str] | None:
    x, y = getattr(params, f"x{suffix}"), getattr(params, f"y{suffix}")
    return None if x is None else (x, y)


def features_name(names: Sequence[str], params: LocalParams, where: str) -> str:
    """Which of a file's arrays holds features: `params.x`, `x`, or the only one but labels.

    Raises:
        UnknownNameError: `params.x` is not there.
        DataError: there are several that may be meant.
    """
    if params.x is not None and params.x not in names:
        raise unknown_name("array", params.x, names, field="params.x")
    others = [name for name in names if not name.lower().startswith(("y", "label", "target"))]
    for found in ([params.x], [name for name in names if name.lower() == "x"], names, others):
        if len(found) == 1 and found[0] is not None:
            return found[0]
    raise DataError(
        f"it is not said which of the {len(names)} arrays holds the rows: {', '.join(names)}",
        field="params.x",
        value=where,
        fix=f'Name it, for example params.x = "{(others or ["x"])[0]}".',
    )


def joined(parts: Iterable[AnyArray]) -> AnyArray:
    """The rows of several files, one behind the other.

    Raises:
        DataError: rows of different shapes.
    """
    found = list(parts)
    shapes = sorted({part.shape[1:] for part in found})
    if len(shapes) > 1:
        raise DataError(
            "the files have rows of different shapes", field="params.path", value=shapes
        )
    return found[0] if len(found) == 1 else np.concatenate(found)


def row_ranges(n_rows: int, rows: int) -> list[tuple[int, int]]:
    """`n_rows` rows cut into ranges of `rows`."""
    return [(start, min(start + rows, n_rows)) for start in range(0, n_rows, rows)]


def refuse_y_path(params: LocalParams, why: str) -> None:
    """Raise `ConfigError` where a labels file is given that would not be read."""
    if params.y_path is not None:
        raise ConfigError(why, field="params.y_path", value=params.y_path, fix="Leave it out.")
