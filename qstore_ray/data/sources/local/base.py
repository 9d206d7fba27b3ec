"""What a file format is: it cuts files into chunks of rows that any process can read.

`Format.open` looks at headers only (or, for text, at where the lines end) and returns chunks. A
chunk knows where its rows are and how many there are; `read` fetches just these. So rows are read
in parallel and never all at once. A new format is one file here and one line in `adapter.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

import numpy as np

from qstore_ray.data.sources.array_pairs import (
    Pair,
    array_name,
    check_left,
    pair_arrays,
    unnamed_fix,
)
from qstore_ray.data.sources.base import ColumnsConfig
from qstore_ray.data.sources.parts import SPLITS, PartFiles, Split
from qstore_ray.errors import ConfigError, UnknownNameError, unknown_name

if TYPE_CHECKING:
    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.types import AnyArray

Files: TypeAlias = PartFiles


class Chunk(Protocol):
    """Rows that are read together; picklable, and the same rows whenever they are read."""

    @property
    def n_rows(self) -> int:
        """Rows N."""

    def read(self) -> tuple[AnyArray, AnyArray] | tuple[AnyArray, AnyArray, AnyArray]:
        """Features (N, …), labels (N,) or (N, C), and groups (N,) where the table has them.

        Raises:
            DataError: the file is gone, changed, damaged or refused.
        """


@dataclass(frozen=True)
class ChunkTask:
    """A chunk as a read task: with the numbers of its rows."""

    chunk: Chunk
    first_row: int

    def __call__(self) -> dict[str, AnyArray]:
        """The columns x, y, row, and group where there are groups.

        Raises:
            DataError: as `Chunk.read`.
        """
        columns = dict(zip(("x", "y", "group"), self.chunk.read(), strict=False))
        row = np.arange(len(columns["y"]), dtype=np.int64) + self.first_row
        return {**columns, "row": row}


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a format found in the files: chunks of every part, and what is known about the columns.

    Args:
        chunks: the chunks of each part in order.
        feature_names: names of the F features, where they have names.
        notes: what a user should know about how the files were read.
        parts: each official part and the arrays that it is, in words; empty where files say it.
    """

    chunks: Mapping[Split, tuple[Chunk, ...]]
    feature_names: tuple[str, ...] | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[tuple[str, str], ...] = ()


class Format(ABC):
    """One kind of file.

    `takes` names the parameters that mean something to it, `tabular` says whether it has columns
    with names, `parts_by_name` whether the files' own names say which part they are, beside those
    of their folders.
    """

    takes: ClassVar[frozenset[str]] = frozenset()
    tabular: ClassVar[bool] = False
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
        part: the part that the file stands for; where that is not train, its arrays may be named
            for it (`test.npz` with `x_test`).

    Raises:
        UnknownNameError: an array that was asked for, or is needed, is not there.
        DataError: names that do not say which arrays are meant, or arrays left over.
    """
    asked = {split: pair for split in SPLITS if (pair := _asked(params, split)) is not None}
    for split, pair in asked.items():
        _check_there(pair, split, names)
    if "train" in asked:  # whoever names the arrays leaves the others out, but for official parts
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
        raise _no_pair(names, where)
    rows = [count for pair in parts.values() if (count := length(pair.x)) is not None]
    check_left(found.left, rows, length, where)
    return {split: parts[split] for split in SPLITS if split in parts}


def _without(parts: Mapping[Split, Pair], asked: Mapping[Split, Pair]) -> dict[Split, Pair]:
    return {split: pair for split, pair in parts.items() if split not in asked}


def _check_there(pair: Pair, split: Split, names: Sequence[str]) -> None:
    end = "" if split == "train" else f"_{split}"
    for axis, name in zip("xy", pair, strict=True):
        if name not in names:
            raise unknown_name("array", name, names, field=f"params.{axis}{end}")


def _no_pair(names: Sequence[str], where: str) -> UnknownNameError:
    error = unknown_name("array", "x", names, field="params.x")
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


def row_ranges(n_rows: int, rows: int) -> list[tuple[int, int]]:
    """`n_rows` rows cut into ranges of `rows`."""
    return [(start, min(start + rows, n_rows)) for start in range(0, n_rows, rows)]


def refuse_y_path(params: LocalParams, why: str) -> None:
    """Raise `ConfigError` where a labels file is given that would not be read."""
    if params.y_path is not None:
        raise ConfigError(why, field="params.y_path", value=params.y_path, fix="Leave it out.")
