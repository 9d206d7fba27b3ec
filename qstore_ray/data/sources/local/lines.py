"""Text files cut where lines end: one pass over the bytes that finds where every task begins.

The pass knows newlines and, for CSV, quotes: a newline between quotes does not end a record. It
keeps an offset for every `rows_per_task` records and refuses what no parser should be given: NUL
bytes, bytes that are not UTF-8, and a line longer than allowed, noticed before it is held whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.data.files import open_file, read_range
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.types import AnyArray

_BLOCK = 2**22
_NEWLINE, _RETURN, _QUOTE = 10, 13, 34
_LF = b"\n"
_BOM = b"\xef\xbb\xbf"
SAMPLED = 1000


@dataclass(frozen=True)
class LineRange:
    """`n_rows` records of a file: bytes `start` to before `stop`; the first is in `line`."""

    path: str
    start: int
    stop: int
    line: int
    n_rows: int
    encoding: str

    def read(self) -> bytes:
        """The records as UTF-8.

        Raises:
            DataError: the file is gone or shorter than it was.
        """
        content = read_range(self.path, self.start, self.stop)
        if self.encoding == "utf-8":
            return content
        return content.decode(self.encoding, errors="replace").encode()


class Cut(NamedTuple):
    """What the pass found: the first record, all ranges, and the first records as a sample."""

    head: str
    ranges: tuple[LineRange, ...]
    sample: LineRange


class _Records(NamedTuple):
    """Where records begin: offsets in the file (R,) and numbers of lines (R,)."""

    start: AnyArray
    line: AnyArray


def cut_lines(path: str, params: LocalParams, *, quotes: bool, header: bool) -> Cut:
    """Cut a text file into ranges of `rows_per_task` records.

    Args:
        quotes: whether newlines between double quotes belong to a record.
        header: whether the first record is no row.

    Raises:
        DataError: empty, NUL bytes, not in the encoding, a line too long, a quote left open.
    """
    rows, skipped, n_records = params.rows_per_task, int(header), 0
    marks: dict[int, tuple[int, int]] = {}
    with open_file(path) as stream:
        for found in _records(path, stream, params, quotes):
            number = np.arange(n_records, n_records + len(found.start))
            row = number - skipped
            wanted = (number <= 1) | (row % rows == 0) | (row == SAMPLED)
            places = zip(found.start[wanted].tolist(), found.line[wanted].tolist(), strict=True)
            marks.update(zip(number[wanted].tolist(), places, strict=True))
            n_records += len(number)
        end = stream.tell()
    if not n_records:
        raise DataError(
            "the file is empty", field="params.path", value=path, fix="Give a file with rows."
        )

    def part(first: int, count: int) -> LineRange:
        start, line = marks.get(first, (end, 0))
        stop, _ = marks.get(first + count, (end, 0))
        return LineRange(path, start, stop, line, count, params.encoding)

    n_rows = n_records - skipped
    return Cut(
        head=part(0, 1).read().decode(),
        ranges=tuple(
            part(skipped + row, min(rows, n_rows - row)) for row in range(0, n_rows, rows)
        ),
        sample=part(skipped, min(n_rows, SAMPLED)),
    )


def _records(path: str, stream: IO[bytes], params: LocalParams, quotes: bool) -> Iterator[_Records]:
    """Where the records begin that each block of the file completes; blank lines are none."""
    carry, offset, line = b"", 0, 1
    while True:
        block = stream.read(min(_BLOCK, params.max_line_bytes))
        if not offset and not carry and block.startswith(_BOM):
            block, offset = block[len(_BOM) :], len(_BOM)
        text = carry + block
        if not block and carry:
            text += b"\n"  # a last line without an end
        _check_bytes(path, text, line, params)
        array = np.frombuffer(text, dtype=np.uint8)
        newlines = np.flatnonzero(array == _NEWLINE)
        ends = newlines
        if quotes and _QUOTE in text:
            opened = np.searchsorted(np.flatnonzero(array == _QUOTE), newlines) % 2
            ends = newlines[opened == 0]
        starts = np.concatenate([[0], ends + 1])
        _check_lengths(path, np.append(ends, len(text)) - starts, line, params)
        lines = line + np.searchsorted(newlines, starts)
        lengths = ends - starts[:-1]
        blank = (lengths == 0) | ((lengths == 1) & (array[starts[:-1]] == _RETURN))
        if len(ends):
            yield _Records(starts[:-1][~blank] + offset, lines[:-1][~blank])
        carry = text[starts[-1] :]
        offset, line = offset + int(starts[-1]), int(lines[-1])
        if not block:
            if carry:
                raise DataError(
                    "a quote is opened and never closed",
                    field=f"{path}, line {line}",
                    fix='Close it, or write a quote within quotes as "".',
                )
            return


def _check_bytes(path: str, text: bytes, line: int, params: LocalParams) -> None:
    if (at := text.find(b"\0")) >= 0:
        raise DataError(
            "a NUL byte",
            field=f"{path}, line {line + text.count(_LF, 0, at)}",
            fix="Save the file as UTF-8 text (UTF-16 has NUL bytes too).",
        )
    if params.encoding != "utf-8":
        return
    try:
        text[: text.rfind(_LF) + 1].decode()  # the rest may end within a character
    except UnicodeDecodeError as exc:
        raise DataError(
            "a byte that is not UTF-8",
            field=f"{path}, line {line + text.count(_LF, 0, exc.start)}",
            value=text[exc.start : exc.start + 1],
            fix='Save the file as UTF-8, or set params.encoding = "latin-1" if it is that.',
        ) from exc


def _check_lengths(path: str, lengths: AnyArray, line: int, params: LocalParams) -> None:
    if (lengths > params.max_line_bytes).any():
        raise DataError(
            f"a line of more than {params.max_line_bytes:,} bytes",
            field=f"{path}, line {line + int(np.argmax(lengths > params.max_line_bytes))}",
            fix="Raise params.max_line_bytes if this is meant; a quote left open also does this.",
        )
