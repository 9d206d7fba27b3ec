"""CSV files, cut into ranges of lines and read by pyarrow.

Columns that are numbers in the first 1,000 rows are float64, and a text further on is an error that
names its line; of the other columns all rows decide what they are (`data/tables`). So the ranges
are parsed once when the files are opened, several at a time, and what was parsed is held for the
first reading as far as there is room (`held.py`).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from qstore_ray.data.columns import TableSchema
from qstore_ray.data.sources.local.base import Chunk, Contents, Files, TableFormat
from qstore_ray.data.sources.local.csv.chunk import CsvChunk, CsvLayout
from qstore_ray.data.sources.local.csv.dialect import SPOKEN, Dialect, dialect_of
from qstore_ray.data.sources.local.csv.lines import (
    BOM,
    SAMPLED,
    LineRange,
    first_lines,
    line_ranges,
    skip_lines,
)
from qstore_ray.data.sources.local.held import Held, Version, version_of
from qstore_ray.data.sources.local.unpacked import open_unpacked
from qstore_ray.data.sources.parts import SPLITS, Split
from qstore_ray.data.tables.choose import Chosen, choose, same_columns
from qstore_ray.data.tables.header import check_first_line, known_names, names_of
from qstore_ray.data.tables.kinds import Survey
from qstore_ray.data.tables.request import TableRequest
from qstore_ray.data.tables.texts import is_number

if TYPE_CHECKING:
    import pyarrow as pa

    from qstore_ray.data.sources.local.params import LocalParams

_AT_ONCE = min(8, os.cpu_count() or 1)
_HEAD_BYTES = 2**16


class CsvFormat(TableFormat):
    """CSV files with one line a row; all files have the same columns."""

    takes: ClassVar[frozenset[str]] = frozenset(
        {"delimiter", "decimal", "thousands", "comment", "skip_lines", "header", "encoding"}
        | {"label_type", "missing", "max_line_bytes", "max_columns", "y_path"}
    )

    def open(self, files: Files, params: LocalParams, request: TableRequest) -> Contents:
        """Ranges of lines; a pass over each file finds them, and they are parsed as it proceeds.

        Raises:
            DataError: see `TableFormat.open`, and each fault with its line.
        """
        opened = [
            _Opened(part, path, params, request)
            for part in sorted(files, key=SPLITS.index)
            for path in files[part]
        ]
        first = opened[0]
        if request.schema is not None:
            return _to_predict(opened, params, request.schema, request)
        chosen = choose(first.names, request, first.path)
        for other in opened[1:]:
            same_columns(other.names, first.names, other.path, first.path, chosen.label)
        numbers = first.numbers(chosen, request)
        label_is_number = chosen.label is not None and first.is_number(
            chosen.label, request.missing
        )
        survey = Survey(chosen, request, numbers=numbers, numeric_label=label_is_number)
        others = {chosen.label if label_is_number else None, chosen.weight}
        layouts = {
            one.path: one.layout(chosen.names, numbers, others, request, params) for one in opened
        }
        found: list[tuple[_Opened, LineRange, Held]] = []
        for one, lines, table in _parsed(opened, layouts):
            survey.add(table)
            held = Held()
            held.keep(table, one.path, one.version)
            found.append((one, lines, held))
        schema = survey.schema(first.path, header=first.header)
        chunks: dict[Split, tuple[Chunk, ...]] = {one.part: () for one in opened}
        for one, lines, held in found:
            chunk = CsvChunk(lines, layouts[one.path], schema, True, held)
            chunks[one.part] = (*chunks[one.part], chunk)
        _make_rows([chunk for part in chunks.values() for chunk in part])
        notes = {"labels": f"{schema.label_kind} labels"} | first.notes(params)
        return Contents(
            chunks=chunks,
            columns=first.names,
            feature_names=schema.names,
            table=schema,
            notes=notes,
        )


class _Opened:
    """One file: its dialect, its names and its ranges of lines."""

    def __init__(self, part: Split, path: str, params: LocalParams, request: TableRequest) -> None:
        self.part, self.path = part, path
        self.version: Version | None = version_of(path)
        self.dialect: Dialect = dialect_of(path, head_of(path, params), params)
        signs = {"delimiter": self.dialect.sign, "comment": self.dialect.comment.encode()}
        lines = first_lines(path, params, SAMPLED + 1, **signs)
        sample = list(self.dialect.records(lines.read(), lines.line)) or [(1, [""])]
        first, self.rows = sample[0][1], [values for _, values in sample[1:]]
        missing = request.missing if request.schema is None else request.schema.missing
        check_first_line(sample, params.comment, missing, path)
        header = params.header
        if header is None and not request.labelled and all(map(is_number, first)):
            header = [float(name) for name in first] == list(range(len(first)))
        if request.schema is None:
            self.names = names_of(first, self.rows, header, path)
        else:
            self.names, header = known_names(first, self.rows, header, request.schema, path)
        self.ranges = partial(line_ranges, path, params, skipped=int(header is not False), **signs)
        self.header = header is not False
        if header is False:
            self.rows.insert(0, first)

    def is_number(self, name: str, missing: Sequence[str]) -> bool:
        """Whether most values of a column of the first rows are numbers."""
        place = self.names.index(name)
        texts = (row[place].strip(" \t") for row in self.rows if place < len(row))
        known = [text for text in texts if text not in missing]
        found = sum(self.dialect.is_number(text) for text in known)
        return found * 2 > len(known) or not self.rows

    def numbers(self, chosen: Chosen, request: TableRequest) -> frozenset[str]:
        """The features that are numbers in the first rows, and a label that has to be one."""
        missing, asked = request.missing, request.columns.categories
        return frozenset(
            name for name in chosen.features if name not in asked and self.is_number(name, missing)
        )

    def layout(
        self,
        read: tuple[str, ...],
        numbers: frozenset[str],
        others: set[str | None],
        request: TableRequest,
        params: LocalParams,
    ) -> CsvLayout:
        """How the lines are parsed."""
        missing = request.missing if request.schema is None else request.schema.missing
        return CsvLayout(
            names=self.names,
            read=read,
            numbers=numbers,
            dialect=self.dialect,
            missing=missing,
            max_bytes=params.max_bytes,
            others=frozenset(name for name in others if name is not None),
            learnt=request.schema is not None,
        )

    def notes(self, params: LocalParams) -> dict[str, str]:
        """What was found out about the file, for the provenance."""
        if params.delimiter is not None or self.dialect.delimiter == ",":
            return {}
        return {"delimiter": f"values separated by {SPOKEN[self.dialect.delimiter]}"}


def _make_rows(chunks: Sequence[Chunk]) -> None:
    """Turn the tables that are held into arrays, several at a time: the first reading is next."""
    tables = [
        each for each in chunks if isinstance(each, CsvChunk) and each.held.table() is not None
    ]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(CsvChunk.read, tables):
            pass


def _to_predict(
    opened: Sequence[_Opened], params: LocalParams, schema: TableSchema, request: TableRequest
) -> Contents:
    """Chunks of x alone, by a schema that is given."""
    numbers = frozenset(column.name for column in schema.features if column.kind == "number")
    others = {schema.label if schema.label_kind == "number" else None, schema.weight}
    chunks: dict[Split, tuple[Chunk, ...]] = {}
    for one in opened:
        chosen = choose(one.names, request, one.path)
        layout = one.layout(chosen.names, numbers, others, request, params)
        made = (CsvChunk(lines, layout, schema, False) for lines in one.ranges())
        chunks[one.part] = (*chunks.get(one.part, ()), *made)
    return Contents(
        chunks=chunks, columns=opened[0].names, feature_names=schema.names, table=schema
    )


def head_of(path: str, params: LocalParams) -> bytes:
    """The first lines as UTF-8, whole."""
    with open_unpacked(path) as stream:
        skip_lines(stream, params, path)
        head = stream.read(_HEAD_BYTES)
    head = head.removeprefix(BOM)
    end = max(head.rfind(b"\n"), head.rfind(b"\r"))
    if len(head) == _HEAD_BYTES and end > 0:
        head = head[: end + 1]
    if params.encoding != "utf-8":
        return head.decode(params.encoding, errors="replace").encode()
    return head


def _parsed(
    opened: Iterable[_Opened], layouts: Mapping[str, CsvLayout]
) -> Iterator[tuple[_Opened, LineRange, pa.Table]]:
    """The ranges in order with their tables, parsed in threads while this one finds the next."""
    waiting: deque[tuple[_Opened, LineRange, Future[pa.Table]]] = deque()

    def first() -> tuple[_Opened, LineRange, pa.Table]:
        one, lines, parsed = waiting.popleft()
        return one, lines, parsed.result()

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            for one in opened:
                for lines in one.ranges():
                    waiting.append((one, lines, pool.submit(layouts[one.path].parse, lines)))
                    if len(waiting) > 2 * _AT_ONCE:  # no thread waits for lines, memory is bounded
                        yield first()
            while waiting:
                yield first()
        finally:
            for _, _, future in waiting:
                future.cancel()
