"""What a file format is: it cuts files into chunks of rows that any process can read.

`Format.open` looks at headers only (or, for text, at where the lines end) and returns chunks. A
chunk knows where its rows are and how many there are; `read` fetches just these. So rows are read
in parallel and never all at once. A new format is one file here and one line in `adapter.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

import numpy as np

from qstore_ray.data.columns import TableSchema
from qstore_ray.data.sources.array_pairs import (
    Pair,
    array_name,
    check_left,
    pair_arrays,
    unnamed_fix,
)
from qstore_ray.data.sources.base import ColumnsConfig
from qstore_ray.data.sources.parts import SPLITS, PartFiles, Split
from qstore_ray.data.tables.request import TableRequest
from qstore_ray.errors import ConfigError, DataError, UnknownNameError, unknown_name_error

if TYPE_CHECKING:
    import pyarrow as pa

    from qstore_ray.data.inputs.signature import Signature
    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.types import AnyArray

Files: TypeAlias = PartFiles


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
        """The columns x, y, row, and group and unlabelled if they exist.

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
        parts: each official part and the arrays that it is, in words; empty where files say it.
    """

    chunks: Mapping[Split, tuple[Chunk, ...]]
    columns: tuple[str, ...] = ()
    feature_names: tuple[str, ...] | None = None
    table: TableSchema | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[tuple[str, str], ...] = ()


class Format(ABC):
    """One kind of file with arrays.

    `takes` names the parameters that mean something to it, `parts_by_name` says whether the files'
    own names say which part they are, beside those of their folders.
    """

    takes: ClassVar[frozenset[str]] = frozenset()
    parts_by_name: ClassVar[bool] = True

    def rows_in(self, files: tuple[str, ...]) -> tuple[str, ...]:
        """The files that hold rows; not those that only belong to one of these."""
        return files

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
    """One kind of file with columns that have names. `takes` and the rest are as in `Format`."""

    takes: ClassVar[frozenset[str]] = frozenset()
    parts_by_name: ClassVar[bool] = True

    def rows_in(self, files: tuple[str, ...]) -> tuple[str, ...]:
        """All files: each holds rows."""
        return files

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
    names: Sequence[str],
    params: LocalParams,
    where: str,
    length: Callable[[str], int | None],
    part: Split = "train",
) -> dict[Split, Pair]:
    """Names of the features and labels of every part, among the `names` of a file's arrays.

    Args:
        length: how many rows an array has; None for a single value.
        part: the part that the file holds; if that is not train, its arrays may be named
            for it (`test.npz` with `x_test`).

    Raises:
        UnknownNameError: an array that was asked for, or is needed, is not there.
        DataError: names that do not say which arrays are meant, or arrays left over.
    """
    asked = {split: pair for split in SPLITS if (pair := _asked(params, split)) is not None}
    for split, pair in asked.items():
        _check_there(pair, split, names)
    if "train" in asked:  # other arrays are ignored, except official parts
        rest = [name for name in names if name not in asked["train"]]
        named = [
            name for name in rest if (kind := array_name(name)) and kind.part in ("val", "test")
        ]
        return {**asked, **_without(pair_arrays(named, where).parts, asked)}
    taken = {name for pair in asked.values() for name in pair}
    found = pair_arrays([name for name in names if name not in taken], where)
    parts = {**found.parts, **asked}
    if part != "train" and set(parts) == {part}:
        parts = {"train": parts[part]}
    if "train" not in parts:
        raise _no_pair_error(names, where)
    rows = [count for pair in parts.values() if (count := length(pair.x)) is not None]
    check_left(found.left, rows, length, where)
    return {split: parts[split] for split in SPLITS if split in parts}


def _without(parts: Mapping[Split, Pair], asked: Mapping[Split, Pair]) -> dict[Split, Pair]:
    return {split: pair for split, pair in parts.items() if split not in asked}


def _check_there(pair: Pair, split: Split, names: Sequence[str]) -> None:
    end = "" if split == "train" else f"_{split}"
    for axis, name in zip("xy", pair, strict=True):
        if name not in names:
            raise unknown_name_error("array", name, names, field=f"params.{axis}{end}")


def _no_pair_error(names: Sequence[str], where: str) -> UnknownNameError:
    error = unknown_name_error("array", "x", names, field="params.x")
    return UnknownNameError(
        f"{error.message}: {where} has none that is named for features",
        field="params.x",
        value="x",
        fix=f"{error.fix} Name the two that are meant in params.x and params.y."
        f"{unnamed_fix(names)}",
    )


def _asked(params: LocalParams, split: Split) -> Pair | None:
    end = "" if split == "train" else f"_{split}"
    x, y = getattr(params, f"x{end}"), getattr(params, f"y{end}")
    return None if x is None else Pair(x, y)


def features_name(names: Sequence[str], params: LocalParams, where: str) -> str:
    """Which of a file's arrays holds features: `params.x`, `x`, or the only one but labels.

    Raises:
        UnknownNameError: `params.x` is not there.
        DataError: there are several that may be meant.
    """
    if params.x is not None and params.x not in names:
        raise unknown_name_error("array", params.x, names, field="params.x")
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
