"""JSON lines: one object a line, whose keys are the columns; read by pyarrow.

The first line says which columns there are. Features are numbers, null is NaN; a later line that
has other keys, or text where a number is due, is an error that names the line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.json

from qstore_ray.data.frame import Frame
from qstore_ray.data.sources.base import ColumnsConfig
from qstore_ray.data.sources.local.base import Chunk, Contents, Files, Format
from qstore_ray.data.sources.local.csv import check_range
from qstore_ray.data.sources.local.lines import LineRange, cut_lines
from qstore_ray.data.sources.local.table import (
    LABEL_TYPES,
    Chosen,
    LabelType,
    choose,
    rows_of,
)
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.data.signature import Signature
    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.types import AnyArray

_KINDS: Mapping[type, LabelType] = {bool: "bool", int: "number", float: "number", str: "text"}


@dataclass(frozen=True)
class JsonlChunk:
    """A range of lines of a JSONL file."""

    lines: LineRange
    chosen: Chosen
    label_type: LabelType
    group_type: type | None
    whole: bool
    max_bytes: int

    @property
    def n_rows(self) -> int:
        """Rows N."""
        return self.lines.n_rows

    def read(self) -> tuple[AnyArray, AnyArray] | tuple[AnyArray, AnyArray, AnyArray]:
        """Features float64 (N, F), labels (N,) and maybe groups (N,) of the rows."""
        check_range(self.lines, self.max_bytes)
        content = self.lines.read()
        types = dict.fromkeys(self.chosen.features, pa.float64())
        types[self.chosen.label] = LABEL_TYPES[self.label_type]
        if self.chosen.group is not None:
            types[self.chosen.group] = pa.string() if self.group_type is str else pa.int64()
        schema = pa.schema(list(types.items()))
        try:
            table = pyarrow.json.read_json(
                pa.BufferReader(content),
                pyarrow.json.ReadOptions(use_threads=False, block_size=len(content) + 1),
                pyarrow.json.ParseOptions(
                    explicit_schema=schema,
                    unexpected_field_behavior="error" if self.whole else "ignore",
                ),
            )
        except (pa.ArrowException, UnicodeDecodeError) as exc:
            raise self._fault(content, str(exc)) from exc
        if table.num_rows != self.n_rows:
            raise self._fault(content, f"{table.num_rows} rows in {self.n_rows} lines")
        where = f"{self.lines.path}, from line {self.lines.line}"
        return rows_of(table, self.chosen, np.dtype(np.float64), where)

    def _fault(self, content: bytes, reason: str) -> DataError:
        """The error that names the first line which is wrong."""
        for number, text in enumerate(content.split(b"\n")):
            where = f"{self.lines.path}, line {self.lines.line + number}"
            if not text.strip():
                continue
            row = parse_object(text, where)
            for name in self.chosen.features:
                if not isinstance(row.get(name), (int, float, type(None))) or (
                    isinstance(row.get(name), bool)
                ):
                    return DataError(
                        "a feature is not a number",
                        field=f"{where}, column {name!r}",
                        value=row[name],
                        fix="Write a number, or leave the column out with columns.features.",
                    )
            label = row.get(self.chosen.label)
            if label is not None and _KINDS.get(type(label)) != self.label_type:
                return DataError(
                    f"the label is not a {self.label_type}, as the first one is",
                    field=f"{where}, column {self.chosen.label!r}",
                    value=label,
                    fix="Write all labels the same way.",
                )
            group = None if self.chosen.group is None else row.get(self.chosen.group)
            if group is not None and type(group) is not self.group_type:
                return DataError(
                    "the group is not of the kind of the first one",
                    field=f"{where}, column {self.chosen.group!r}",
                    value=group,
                    fix="Write all groups as text, or all as whole numbers.",
                )
            if self.whole and (other := set(row) - set(self.chosen.names)):
                return DataError(
                    "keys that the first line does not have",
                    field=where,
                    value=sorted(other),
                    fix="Name the columns to use in columns.features.",
                )
        return DataError(
            f"not JSON lines: {reason}",
            field=f"{self.lines.path}, from line {self.lines.line}",
            fix="Write one object a line.",
        )


class JsonlFormat(Format):
    """JSONL files with one object a line; all files have the same keys."""

    tabular: ClassVar[bool] = True
    takes: ClassVar[frozenset[str]] = frozenset({"label_type", "max_line_bytes", "max_columns"})

    def open(
        self, root: str, files: Files, params: LocalParams, columns: ColumnsConfig | None
    ) -> Contents:
        """Ranges of lines; one pass over each file finds where they are."""
        found = None
        chunks: dict[Any, tuple[Chunk, ...]] = {}
        for part in sorted(files, key=("train", "val", "test").index):
            for path in files[part]:
                cut = cut_lines(path, params, quotes=False, header=False)
                if found is None:
                    first = parse_object(cut.head.encode(), f"{path}, line {cut.sample.line}")
                    chosen = choose(tuple(first), columns, params, path)
                    label_type = _label_type(first[chosen.label], chosen, path, params)
                    found = chosen, label_type, _group_type(first, chosen, path)
                whole = columns is None or columns.features is None
                made = (JsonlChunk(lines, *found, whole, params.max_bytes) for lines in cut.ranges)
                chunks[part] = (*chunks.get(part, ()), *made)
        return Contents(chunks=chunks, feature_names=None if found is None else found[0].features)

    def unlabelled(self, files: Sequence[str], params: LocalParams, signature: Signature) -> Frame:
        """Every key as a column; where a line lacks it, the value is missing."""
        rows: list[dict[str, Any]] = []
        for path in files:
            for lines in cut_lines(path, params, quotes=False, header=False).ranges:
                check_range(lines, params.max_bytes)
                texts = [text for text in lines.read().split(b"\n") if text.strip()]
                rows += [
                    parse_object(text, f"{path}, row {lines.line - 1 + number}")
                    for number, text in enumerate(texts)
                ]
        names = tuple(dict.fromkeys(name for row in rows for name in row))
        return Frame(names, lambda name: [row.get(name) for row in rows])


def parse_object(text: bytes, where: str) -> dict[str, Any]:
    """The object that a line holds.

    Raises:
        DataError: not JSON, not an object, or with a key twice.
    """

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise DataError("a key is there twice", field=where, value=twice)
        return dict(pairs)

    try:
        row = json.loads(text, object_pairs_hook=distinct)
    except (ValueError, RecursionError) as exc:
        raise DataError(f"not JSON: {exc}", field=where, fix="Write one object a line.") from exc
    if not isinstance(row, dict):
        raise DataError("not an object", field=where, value=row, fix="Write one object a line.")
    return row


def _group_type(first: Mapping[str, Any], chosen: Chosen, path: str) -> type | None:
    if chosen.group is None:
        return None
    kind = type(first[chosen.group])
    if kind not in (str, int):
        raise DataError(
            "groups are whole numbers or text",
            field=f"{path}, column {chosen.group!r}",
            value=first[chosen.group],
            fix="Write them as text.",
        )
    return kind


def _label_type(label: Any, chosen: Chosen, path: str, params: LocalParams) -> LabelType:
    if params.label_type != "auto":
        return params.label_type
    kind = _KINDS.get(type(label))
    if kind is None:
        raise DataError(
            "the label is neither a number, nor true or false, nor text",
            field=f"{path}, column {chosen.label!r}",
            value=label,
        )
    return kind
