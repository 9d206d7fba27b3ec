"""Rows of Parquet shards as arrays: images decoded, numbers taken as they are.

An image is a struct {bytes, path} and is decoded by pillow, PNG, JPEG, WebP or BMP only, its size
compared with a bound before its pixels are touched. All images of a dataset must have one shape and
one mode, grey (height, width) or RGB (height, width, 3); `mode` converts them to one.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qstore_ray.data.columns import TableSchema
from qstore_ray.data.files.pillow import load_pillow, upright
from qstore_ray.data.tables.arrow import ArrowTable
from qstore_ray.data.tables.rows import rows_of
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.data.sources.huggingface.hub import Hub
    from qstore_ray.types import AnyArray

T = TypeVar("T")
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
_MODES = ("L", "RGB")


@dataclass(frozen=True)
class Shard:
    """One Parquet file of one commit, and the way to it."""

    hub: Hub
    file: str
    commit: str
    streaming: bool

    def use(self, call: Callable[[pq.ParquetFile], T]) -> T:
        """What `call` makes of the opened file.

        Raises:
            DataError: it cannot be reached, or is no Parquet file.
        """

        def opened(source: Any) -> T:
            try:
                with pq.ParquetFile(source) as file:
                    return call(file)
            except pa.ArrowException as exc:
                raise DataError(
                    f"a damaged Parquet file: {exc}",
                    field=self.file,
                    fix="Delete it from the cache, or name another revision.",
                ) from exc

        if self.streaming:
            with self.hub.over_network(self.file, self.commit) as stream:
                return opened(stream)
        path = self.hub.download(self.file, self.commit)
        try:
            return opened(path)
        except OSError as exc:
            raise DataError(f"cannot read: {exc.strerror or exc}", field=path) from exc


@dataclass(frozen=True)
class Columns:
    """Which columns are read, and how images are decoded.

    Args:
        features: one column of images or vectors, or several of numbers.
        label: the column of the labels.
        mode: convert images to `L` or `RGB`; None takes grey and RGB images as they are.
        max_pixels: largest image.
        max_bytes: largest row group, unpacked.
        group: the column of what rows belong together, if any.
        weight: the column of sample weights, if any.
    """

    features: tuple[str, ...]
    label: str
    mode: str | None
    max_pixels: int
    max_bytes: int
    group: str | None = None
    weight: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All of them: features, label, group, weight."""
        others = (name for name in (self.group, self.weight) if name is not None)
        return (*self.features, self.label, *others)


@dataclass(frozen=True)
class ShardTask:
    """Reads rows `start` to `stop` of a shard."""

    shard: Shard
    columns: Columns
    start: int
    stop: int
    first_row: int

    def __call__(self) -> dict[str, AnyArray]:
        """The columns x, y, row of the rows, and group where it is asked for.

        Raises:
            DataError: the shard is gone or damaged, or a value cannot be used.
        """
        table = self.shard.use(self._read)
        first = self.first_row + self.start
        x = _features(table, self.columns, first)
        y = _plain(table, self.columns.label, first)
        columns = {"x": x, "y": y, "row": np.arange(len(table), dtype=np.int64) + first}
        if self.columns.group is not None:
            columns["group"] = _plain(table, self.columns.group, first).astype(str)
        if self.columns.weight is not None:
            columns["weight"] = _plain(table, self.columns.weight, first)
        return columns

    def _read(self, file: pq.ParquetFile) -> pa.Table:
        names = self.columns.names
        return read_range(
            file, names, self.start, self.stop, self.columns.max_bytes, self.shard.file
        )


@dataclass(frozen=True)
class TableTask:
    """Reads rows `start` to `stop` of a shard as a table."""

    shard: Shard
    columns: ArrowTable
    schema: TableSchema
    start: int
    stop: int
    first_row: int
    max_bytes: int

    def __call__(self) -> dict[str, AnyArray]:
        """The columns x, y, row of the rows, and group and unlabelled if they exist.

        Raises:
            DataError: the shard is gone or damaged, or a value is not what its column is.
        """
        names, first = self.columns.names, self.first_row + self.start
        table = self.shard.use(
            lambda file: read_range(
                file, names, self.start, self.stop, self.max_bytes, self.shard.file
            )
        )
        rows = rows_of(
            self.columns.expanded(table, self.shard.file),
            self.schema,
            lambda row: f"{self.shard.file}, row {first + row}",
            dtype=np.dtype(self.columns.dtype),
        )
        return {**rows, "row": np.arange(len(table), dtype=np.int64) + first}


def read_range(
    file: pq.ParquetFile, names: Sequence[str], start: int, stop: int, max_bytes: int, where: str
) -> pa.Table:
    """Rows `start` to `stop` of these columns, from those row groups that have some of them.

    Raises:
        DataError: a row group of more than `max_bytes`.
    """
    groups, before, skipped = [], 0, 0
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        if before + group.num_rows <= start:
            skipped += group.num_rows
        elif before < stop:
            if group.total_byte_size > max_bytes:
                raise DataError(
                    f"a row group of {group.total_byte_size:,} bytes, {max_bytes:,} are allowed",
                    field=where,
                    fix="Raise params.max_bytes if this is meant.",
                )
            groups.append(number)
        before += group.num_rows
    table = file.read_row_groups(groups, columns=list(names))
    return table.slice(start - skipped, stop - start)


def class_names(schema: pa.Schema, label: str) -> tuple[str, ...] | None:
    """Names that the shard's own `huggingface` metadata gives the label's classes, if it does."""
    try:
        metadata = json.loads((schema.metadata or {})[b"huggingface"])
        names = metadata["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return tuple(names)


def is_image(kind: pa.DataType) -> bool:
    """Whether a column of this type holds images as the hub writes them: {bytes, path}."""
    return pa.types.is_struct(kind) and {field.name for field in kind} >= {"bytes", "path"}


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type holds one number a row."""
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _features(table: pa.Table, columns: Columns, first: int) -> AnyArray:
    name = columns.features[0]
    kind = table.schema.field(name).type
    if is_image(kind):
        return _images(table.column(name), columns, first)
    if len(columns.features) > 1 or is_number(kind):
        return np.stack([_plain(table, each, first) for each in columns.features], axis=1)
    return _vectors(table, name, first)


def _images(column: pa.ChunkedArray, columns: Columns, first: int) -> AnyArray:
    images: list[AnyArray] = []
    for row, cell in enumerate(column.to_pylist(), start=first):
        image = _decode((cell or {}).get("bytes"), columns, row)
        if images and image.shape != images[0].shape:
            raise DataError(
                f"images of different shapes: row {row} is {image.shape}, "
                f"row {first} is {images[0].shape}",
                field="x",
                fix='Where only the mode differs, set params.mode = "L" or "RGB"; sizes must be '
                "equal in the dataset.",
            )
        images.append(image)
    return np.stack(images) if images else np.empty((0, 1, 1), np.uint8)


def _decode(content: bytes | None, columns: Columns, row: int) -> AnyArray:
    """One image as uint8 (height, width) or (height, width, 3)."""
    pil = load_pillow()
    if content is None:
        raise DataError(
            f"row {row} has no image bytes", field="x", fix="Remove such rows before uploading."
        )
    try:
        with (
            warnings.catch_warnings(),
            pil.Image.open(io.BytesIO(content), formats=_FORMATS) as image,
        ):
            warnings.simplefilter("ignore")  # pillow warns of large images; the bound is ours
            if image.width * image.height > columns.max_pixels:
                raise DataError(
                    f"the image of row {row} has {image.width} × {image.height} pixels, "
                    f"{columns.max_pixels:,} are allowed",
                    field="params.max_pixels",
                    fix="Raise params.max_pixels if this is meant.",
                )
            if getattr(image, "n_frames", 1) > 1:
                raise DataError(
                    f"the image of row {row} is animated",
                    field="x",
                    fix="Remove such rows before uploading, or keep one frame of each.",
                )
            if columns.mode is None and image.mode not in _MODES:
                raise DataError(
                    f"the image of row {row} is of mode {image.mode}, neither grey nor RGB",
                    field="params.mode",
                    fix='Set params.mode = "L" or "RGB" to convert all images.',
                )
            seen = upright(image)
            return np.asarray(seen if columns.mode is None else seen.convert(columns.mode))
    except (OSError, SyntaxError, ValueError, pil.Image.DecompressionBombError) as exc:
        raise DataError(
            f"the image of row {row} cannot be decoded: {exc}",
            field="x",
            fix="PNG, JPEG, WebP and BMP are read.",
        ) from exc


def _plain(table: pa.Table, name: str, first: int) -> AnyArray:
    """A column (N,) of numbers or text without gaps."""
    column = table.column(name)
    _check_no_gap(column, name, first)
    values: AnyArray = column.to_numpy()
    return values


def _vectors(table: pa.Table, name: str, first: int) -> AnyArray:
    column = table.column(name)
    _check_no_gap(column, name, first)
    try:
        return np.asarray(column.to_pylist())
    except ValueError as exc:
        raise DataError(
            "the rows have different lengths", field=name, fix="Give every row the same width."
        ) from exc


def _check_no_gap(column: pa.ChunkedArray, name: str, first: int) -> None:
    if column.null_count:
        position = int(np.argmax(column.is_null().to_numpy()))
        raise DataError(
            f"column {name!r} has no value in row {first + position}",
            field=name,
            fix="Remove or fill such rows before loading.",
        )
