"""LIBSVM (SVMlight) files: a label and `place:value` pairs a line, what is not written is 0.

The places begin with 1 unless there is a 0 anywhere in the files: one rule for all of them, since
otherwise the columns of one file would be moved. Features are called f and their place.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from qstore_ray.data.columns import Column, TableSchema
from qstore_ray.data.sources.local.base import Chunk, Contents, Files, TableFormat
from qstore_ray.data.sources.local.csv.chunk import check_range
from qstore_ray.data.sources.local.csv.lines import LineRange, line_ranges
from qstore_ray.data.sources.parts import SPLITS
from qstore_ray.errors import ConfigError, DataError

if TYPE_CHECKING:
    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.data.tables.request import TableRequest
    from qstore_ray.types import AnyArray

_PLACE = re.compile(rb"[ \t](\d+):")
_WEIGHED = re.compile(rb"^[^\s:#]+:[^\s:]+(\s|$)", re.MULTILINE)
_MADE = re.compile(r"f\d+")
LABEL = "label"


@dataclass(frozen=True)
class LibsvmChunk:
    """A range of lines of a LIBSVM file."""

    lines: LineRange
    names: tuple[str, ...]
    zero_based: bool
    labelled: bool
    max_bytes: int

    @property
    def n_rows(self) -> int:
        """Rows N."""
        return self.lines.n_rows

    def read(self) -> dict[str, AnyArray]:
        """The columns x (N, F) and, where it is asked for, y (N,)."""
        x, y = self._rows()
        return {"x": x, "y": y} if self.labelled else {"x": x}

    def table(self) -> pa.Table:
        """The features and the label as columns."""
        x, y = self._rows()
        return pa.table({**dict(zip(self.names, x.T, strict=True)), LABEL: y})

    def where(self, row: int) -> str:
        """File and line of a row, if no line before it is a comment."""
        return f"{self.lines.path}, line {self.lines.line + row}"

    def _width(self) -> int:
        """How many features the lines have; 0 if they are no LIBSVM file."""
        from sklearn.datasets import load_svmlight_file

        try:
            lines = io.BytesIO(self.lines.read())
            found: int = load_svmlight_file(lines, zero_based=self.zero_based)[0].shape[1]
        except (ValueError, OverflowError):
            return 0
        return found

    def _rows(self) -> tuple[AnyArray, AnyArray]:
        from sklearn.datasets import load_svmlight_file

        where = f"{self.lines.path}, from line {self.lines.line}"
        width = len(self.names)
        needed = self.n_rows * width * 8
        if needed > self.max_bytes:
            raise DataError(
                f"{self.n_rows:,} rows of {width:,} features are {needed:,} bytes, "
                f"{self.max_bytes:,} are allowed",
                field=where,
                fix="Set params.rows_per_task lower.",
            )
        check_range(self.lines, self.max_bytes)
        try:
            x, y = load_svmlight_file(
                io.BytesIO(self.lines.read()),
                n_features=width,
                zero_based=self.zero_based,
            )
        except (ValueError, OverflowError) as exc:
            if _WEIGHED.match(self.lines.read()):
                raise DataError(
                    "the label has a weight (label:weight), which is not read",
                    field=where,
                    fix="Write a table with a column of weights, and name it as columns.weight.",
                ) from exc
            if (found := self._width()) > width:
                raise DataError(
                    f"a row has the feature {found}, {width} are expected",
                    field=where,
                    fix="Give rows with the features of the training rows.",
                ) from exc
            raise DataError(
                f"not a LIBSVM file: {exc}",
                field=where,
                fix="Write a label and pairs place:value, the places ascending.",
            ) from exc
        if x.shape[0] != self.n_rows:
            raise DataError(f"{x.shape[0]} rows in {self.n_rows} lines", field=where)
        return x.toarray(), y


class LibsvmFormat(TableFormat):
    """LIBSVM files; the features of all of them are counted together."""

    takes: ClassVar[frozenset[str]] = frozenset({"max_line_bytes", "max_columns"})

    def open(self, files: Files, params: LocalParams, request: TableRequest) -> Contents:
        """Ranges of lines; one pass over each file finds where they are, a second the places.

        Raises:
            DataError: too many columns, or names are asked for, which such files do not have.
        """
        ranges = [
            (part, lines)
            for part in sorted(files, key=SPLITS.index)
            for path in files[part]
            for lines in line_ranges(path, params, comment=b"#")
        ]
        if request.schema is None:
            _check_columns(request)
            lowest, highest = _places([lines for _, lines in ranges], params)
            first = min(1, lowest)
            names = tuple(f"f{place}" for place in range(first, highest + 1))
            if len(names) > params.max_columns:
                raise DataError(
                    f"{len(names):,} columns, {params.max_columns:,} are allowed",
                    field=ranges[0][1].path,
                    fix="Raise params.max_columns if this is meant.",
                )
            table = TableSchema(
                tuple(map(Column, names)), label=LABEL, label_kind="number", header=False
            )
        else:
            table = request.schema
            if named := [name for name in table.names if not _MADE.fullmatch(name)]:
                raise DataError(
                    "the columns of LIBSVM files have no names, the features of the model have",
                    field="params.path",
                    value=named,
                    fix="Give a table with these columns.",
                )
        zero = table.names[0] == "f0"
        chunks: dict[Any, tuple[Chunk, ...]] = dict.fromkeys(files, ())
        for part, lines in ranges:
            made = LibsvmChunk(lines, table.names, zero, request.schema is None, params.max_bytes)
            chunks[part] = (*chunks[part], made)
        places = {"places": f"places begin with {int(not zero)}"}
        return Contents(
            chunks=chunks,
            columns=(*table.names, LABEL),
            feature_names=table.names,
            table=table,
            notes=places,
        )


def _places(ranges: list[LineRange], params: LocalParams) -> tuple[int, int]:
    """The lowest and the highest place in the files."""
    lowest, highest = 1, 0
    for lines in ranges:
        check_range(lines, params.max_bytes)
        content = re.sub(rb"#[^\n]*", b"", lines.read())
        found = np.array(_PLACE.findall(content), dtype="S20")
        if found.size:
            places = found.astype(np.int64)
            lowest, highest = min(lowest, int(places.min())), max(highest, int(places.max()))
    if not highest and lowest:
        raise DataError(
            "no line has pairs place:value",
            field=ranges[0].path if ranges else "params.path",
            fix="Check params.format.",
        )
    return lowest, highest


def _check_columns(request: TableRequest) -> None:
    asked = request.columns
    for field in ("features", "exclude", "label", "group", "weight", "categories"):
        value = getattr(asked, field)
        if value and not (field == "label" and value == LABEL):
            raise ConfigError(
                "the columns of LIBSVM files have no names",
                field=f"columns.{field}",
                value=value,
                fix="Leave it out.",
            )
