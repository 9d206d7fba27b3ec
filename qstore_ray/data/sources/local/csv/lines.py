"""Text files cut where lines end: one pass over the bytes that finds where every task begins.

The pass knows newlines and, for CSV, quotes: a newline between quotes does not end a record. A
quote opens only at the start of a value (RFC 4180); elsewhere it is a character like others. The
pass gives a range as soon as its end is found, so that it can be parsed during the pass, and
refuses what no parser should be given: NUL bytes, bytes that are not UTF-8, and a line longer than
allowed, before it is held whole.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.data.files.files import read_stream
from qstore_ray.data.sources.local.unpacked import open_unpacked
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.types import AnyArray

_BLOCK = 2**18  # stays in the cache of a core
_NEWLINE, _RETURN, _QUOTE = 10, 13, 34
_LF = b"\n"
BOM = b"\xef\xbb\xbf"
SAMPLED = 1000


@dataclass(frozen=True)
class LineRange:
    """`n_rows` records of a file: bytes `start` to before `stop`; the first is in `line`.

    No record has more than `longest` bytes.
    """

    path: str
    start: int
    stop: int
    line: int
    n_rows: int
    encoding: str
    longest: int

    def read(self) -> bytes:
        """The records as UTF-8.

        Raises:
            DataError: the file is gone or shorter than it was.
        """
        with open_unpacked(self.path) as stream:
            content = read_stream(stream, self.path, self.start, self.stop)
        if self.encoding == "utf-8":
            return content
        return content.decode(self.encoding, errors="replace").encode()


class _Records(NamedTuple):
    """Where records begin: offsets in the file (R,) and numbers of lines (R,); the longest."""

    start: AnyArray
    line: AnyArray
    longest: int


def first_lines(
    path: str, params: LocalParams, count: int, *, delimiter: bytes = b"", comment: bytes = b""
) -> LineRange:
    """The first records, up to `count`; no more of the file is looked at than holds them.

    Raises:
        DataError: see `line_ranges`, as far as the file is looked at.
    """
    few = params.model_copy(update={"rows_per_task": count})
    with closing(line_ranges(path, few, delimiter=delimiter, comment=comment)) as ranges:
        return next(ranges)


def line_ranges(
    path: str,
    params: LocalParams,
    *,
    skipped: int = 0,
    delimiter: bytes = b"",
    comment: bytes = b"",
) -> Generator[LineRange]:
    """A text file as ranges of `rows_per_task` records, each as soon as its end is found.

    Args:
        path: the file.
        params: encoding, rows of a task and the bounds.
        skipped: how many records at the beginning are no rows.
        delimiter: what separates values; given, newlines between double quotes belong to a record.
        comment: records that begin so are none.

    Raises:
        DataError: empty, NUL bytes, not in the encoding, a line too long, a quote left open.
    """
    rows, n_records, longest = params.rows_per_task, 0, 0
    begun: tuple[int, int] | None = None
    with open_unpacked(path) as stream:
        before, line = skip_lines(stream, params, path)
        for found in _records(path, stream, params, delimiter, comment, before, line):
            longest = max(longest, found.longest)
            first = max(skipped - n_records, -(n_records - skipped) % rows)
            for at in range(first, len(found.start), rows):
                begins = int(found.start[at]), int(found.line[at])
                if begun is not None:
                    yield LineRange(
                        path, begun[0], begins[0], begun[1], rows, params.encoding, longest
                    )
                begun = begins
            n_records += len(found.start)
        end = stream.tell()
    if begun is not None:
        left = (n_records - skipped - 1) % rows + 1
        yield LineRange(path, begun[0], end, begun[1], left, params.encoding, longest)
    if not n_records:
        raise DataError(
            "the file is empty", field="params.path", value=path, fix="Give a file with rows."
        )


def skip_lines(stream: IO[bytes], params: LocalParams, path: str) -> tuple[int, int]:
    """Leave out the lines before the table; the offset and the number of the line that follows.

    Raises:
        DataError: the file has no more lines than that.
    """
    if not params.skip_lines:
        return 0, 1
    head = stream.read(_BLOCK)
    end = _LF if _LF in head or b"\r" not in head else b"\r"
    offset = 0
    for _ in range(params.skip_lines):
        offset = head.find(end, offset) + 1
        if not offset:
            raise DataError(
                f"there are {head.count(end)} lines, fewer than are to be left out",
                field="params.skip_lines",
                value=params.skip_lines,
                fix=f"Look at the first lines of {path}, and count those before the header.",
            )
    stream.seek(offset)
    return offset, params.skip_lines + 1


def _records(
    path: str,
    stream: IO[bytes],
    params: LocalParams,
    delimiter: bytes,
    comment: bytes,
    offset: int,
    line: int,
) -> Iterator[_Records]:
    """Where the records begin that each block of the file completes; blank lines are none."""
    carry, newline = b"", 0
    while True:
        block = stream.read(min(max(_BLOCK, len(carry)), params.max_line_bytes))
        if not offset and not carry and block.startswith(BOM):
            block, offset = block[len(BOM) :], len(BOM)
        text = carry + block
        if not block and carry:
            text += bytes([newline])  # a last line without an end
        newline = newline or (_NEWLINE if _LF in text or b"\r" not in text[:-1] else _RETURN)
        _check_bytes(path, text, line, params, bytes([newline]))
        array = np.frombuffer(text, dtype=np.uint8)
        newlines = np.flatnonzero(array == newline)
        ends = newlines
        if delimiter and _QUOTE in text:
            ends = newlines[~_quoted(text, array, newlines, delimiter)]
        starts = np.concatenate([[0], ends + 1])
        longest = _check_lengths(path, np.append(ends, len(text)) - starts, line, params)
        plain = ends is newlines  # every line is a record
        lines = line + (np.arange(len(starts)) if plain else np.searchsorted(newlines, starts))
        lengths = ends - starts[:-1]
        blank = (lengths == 0) | ((lengths == 1) & (array[starts[:-1]] == _RETURN))
        if comment:
            blank |= array[starts[:-1]] == comment[0]
        if len(ends):
            yield _Records(starts[:-1][~blank] + offset, lines[:-1][~blank], longest)
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


def _quoted(text: bytes, array: AnyArray, newlines: AnyArray, delimiter: bytes) -> AnyArray:
    """Which of the newlines are between quotes, those that open at the start of a value."""
    quotes = np.flatnonzero(array == _QUOTE)
    before = np.where(quotes > 0, array[np.maximum(quotes - 1, 0)], _NEWLINE)
    opening = np.isin(before[::2], [*delimiter, _NEWLINE, _RETURN, _QUOTE])
    if opening.all():  # every other quote opens a value, or is one within a value
        inside: AnyArray = np.searchsorted(quotes, newlines) % 2 == 1
        return inside
    starts = re.compile(
        rb"(?:\A|(?<=[\r\n" + re.escape(delimiter) + rb']))"(?:[^"]|"")*(?:"|\Z)', re.DOTALL
    )
    edges = np.array([match.span() for match in starts.finditer(text)]).reshape(-1)
    between: AnyArray = np.searchsorted(edges, newlines, side="right") % 2 == 1
    return between


def _check_bytes(path: str, text: bytes, line: int, params: LocalParams, end: bytes) -> None:
    if (at := text.find(b"\0")) >= 0:
        raise DataError(
            "a NUL byte",
            field=f"{path}, line {line + text.count(end, 0, at)}",
            fix="Save the file as UTF-8 text (UTF-16 has NUL bytes too).",
        )
    if params.encoding != "utf-8" or text.isascii():  # which is quicker than decoding
        return
    try:
        text[: text.rfind(end) + 1].decode()  # the rest may end within a character
    except UnicodeDecodeError as exc:
        raise DataError(
            "a byte that is not UTF-8",
            field=f"{path}, line {line + text.count(end, 0, exc.start)}",
            value=text[exc.start : exc.start + 1],
            fix='Save the file as UTF-8, or set params.encoding = "latin-1" if it is that.',
        ) from exc


def _check_lengths(path: str, lengths: AnyArray, line: int, params: LocalParams) -> int:
    """The longest line, if none is too long."""
    longest = int(lengths.max())
    if longest > params.max_line_bytes:
        raise DataError(
            f"a line of more than {params.max_line_bytes:,} bytes",
            field=f"{path}, line {line + int(np.argmax(lengths > params.max_line_bytes))}",
            fix="Raise params.max_line_bytes if this is meant; a quote left open also does this.",
        )
    return longest
