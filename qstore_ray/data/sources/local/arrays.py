"""NumPy files: `.npz` files with named arrays, or `.npy` files.

One `.npy` file of features needs a second one of labels (`y_path`); in a folder of `.npy` files the
names of the files are the names of the arrays. `data/files/npyfile.py` opens them: it never loads
pickled objects and checks a header before it takes memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, ClassVar

from qstore_ray.data.files.files import absolute
from qstore_ray.data.files.npyfile import (
    Place,
    count_rows,
    declared_shape,
    member_names,
    read_array,
    read_rows,
)
from qstore_ray.data.sources.array_pairs import Pair
from qstore_ray.data.sources.base import ColumnsConfig
from qstore_ray.data.sources.local.base import (
    Chunk,
    Contents,
    Files,
    Format,
    features_name,
    joined,
    named_parts,
    refuse_y_path,
    row_ranges,
)
from qstore_ray.data.sources.parts import Split
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.data.inputs.signature import Signature
    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.types import AnyArray

NAMES = frozenset({"x", "y", "x_val", "y_val", "x_test", "y_test"})


@dataclass(frozen=True)
class ArrayChunk:
    """Rows `start` to before `stop` of two arrays in files."""

    x: Place
    y: Place
    start: int
    stop: int
    max_bytes: int
    max_ratio: int

    @property
    def n_rows(self) -> int:
        """Rows N."""
        return self.stop - self.start

    def read(self) -> tuple[AnyArray, AnyArray]:
        """Features and labels of the rows."""
        x, y = (
            read_rows(place, self.start, self.stop, self.max_bytes, self.max_ratio)
            for place in (self.x, self.y)
        )
        return x, y


class NpzFormat(Format):
    """`.npz` files, each with features and labels, and maybe official parts."""

    takes: ClassVar[frozenset[str]] = NAMES | {"max_ratio"}

    def open(
        self, root: str, files: Files, params: LocalParams, columns: ColumnsConfig | None
    ) -> Contents:
        """Ranges of rows of the arrays; only their headers are read."""
        chunks: dict[Split, tuple[Chunk, ...]] = {}
        said: tuple[tuple[str, str], ...] = ()
        for part, paths in files.items():
            for path in paths:
                named = named_parts(member_names(path), params, path, partial(_rows, path), part)
                for split, (x, y) in named.items():
                    home = official_home(part, split, path)
                    cut = _cut(Place(path, x), Place(path, y), params)
                    chunks[home] = (*chunks.get(home, ()), *cut)
                    said = said or parts_said(named)
        return Contents(chunks=chunks, parts=said)

    def unlabelled(
        self, files: Sequence[str], params: LocalParams, signature: Signature
    ) -> AnyArray:
        """The rows of the array of features of every file."""
        return joined(
            read_array(
                Place(path, features_name(member_names(path), params, path)), params.max_bytes
            )
            for path in files
        )


class NpyFormat(Format):
    """`.npy` files: one of features and one of labels, or a folder of named arrays."""

    takes: ClassVar[frozenset[str]] = NAMES | {"y_path"}
    parts_by_name: ClassVar[bool] = False  # the names of the files are the names of the arrays

    def open(
        self, root: str, files: Files, params: LocalParams, columns: ColumnsConfig | None
    ) -> Contents:
        """Ranges of rows of the arrays; only their headers are read."""
        if not root:
            return Contents(chunks={"train": _cut(*_one_pair(files["train"], params), params)})
        refuse_y_path(params, "in a folder of .npy files the labels are the array y")
        chunks: dict[Split, tuple[Chunk, ...]] = {}
        said: tuple[tuple[str, str], ...] = ()
        for part, paths in files.items():
            named: Mapping[str, str] = {PurePosixPath(path).stem: path for path in paths}

            def rows(name: str, named: Mapping[str, str] = named) -> int | None:
                return next(iter(declared_shape(Place(named[name], None))), None)

            pairs = named_parts(tuple(named), params, root, rows, part)
            said = said or parts_said(pairs)
            for split, (x, y) in pairs.items():
                home = official_home(part, split, root)
                cut = _cut(Place(named[x], None), Place(named[y], None), params)
                chunks[home] = (*chunks.get(home, ()), *cut)
        return Contents(chunks=chunks, parts=said)

    def unlabelled(
        self, files: Sequence[str], params: LocalParams, signature: Signature
    ) -> AnyArray:
        """The rows of the file, or of the one among several that holds features."""
        named = {PurePosixPath(path).stem: path for path in files}
        path = named[features_name(tuple(named), params, files[0])]
        return read_array(Place(path, None), params.max_bytes)


def parts_said(pairs: Mapping[Split, Pair]) -> tuple[tuple[str, str], ...]:
    """Each part and its arrays in words, if there are more parts than train."""
    said = tuple((split, f"{pair.x} and {pair.y}") for split, pair in pairs.items())
    return said if len(said) > 1 else ()


def _rows(path: str, name: str) -> int | None:
    return next(iter(declared_shape(Place(path, name))), None)


def official_home(part: Split, split: Split, where: str) -> Split:
    """The part that arrays for `split` belong to, in a file from the folder of `part`.

    Raises:
        ConfigError: a file in the folder `val` or `test` has official parts of its own.
    """
    if part != "train" and split != "train":
        raise ConfigError(
            f"a file of the part {part} has arrays for {split} itself",
            field="params.path",
            value=where,
            fix="Keep the parts in folders or in one file, not both.",
        )
    return split if part == "train" else part


def _one_pair(paths: tuple[str, ...], params: LocalParams) -> tuple[Place, Place]:
    for name in NAMES:
        if getattr(params, name) is not None:
            raise ConfigError(
                "a .npy file has no named arrays", field=f"params.{name}", fix="Leave it out."
            )
    if len(paths) != 1 or params.y_path is None:
        raise ConfigError(
            "the labels of a .npy file are in a second .npy file",
            field="params.y_path",
            value=params.y_path,
            fix='Set path = "x.npy" and y_path = "y.npy", or give a folder with both.',
        )
    return Place(paths[0], None), Place(absolute(params.y_path), None)


def _cut(x: Place, y: Place, params: LocalParams) -> tuple[Chunk, ...]:
    n_rows = count_rows(x, y, params.max_bytes, params.max_ratio)
    return tuple(
        ArrayChunk(x, y, start, stop, params.max_bytes, params.max_ratio)
        for start, stop in row_ranges(n_rows, params.rows_per_task)
    )
