"""What a command prints, and where.

stdout carries results and nothing else; progress, warnings and errors go to stderr. With `--json` a
result is one line of JSON, and so is an error, so that a program reads the last line of stdout
in every case. All of it is plain text: only the progress display uses colours.

A reader that went away (`qstore runs | head -1`) is no error: what is left goes nowhere. A result
that cannot be written otherwise, such as to a full disk, is one.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, TextIO, TypeAlias

import typer

from qstore_ray.errors import QStoreError, UsageError
from qstore_ray.files import is_full
from qstore_ray.wording import worded

AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print the result as one line of JSON on stdout.")
]
Storage: TypeAlias = Annotated[
    str, typer.Option("--storage", metavar="DIR", help="Folder that holds the run folders.")
]
Host: TypeAlias = Annotated[
    str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")
]
Port: TypeAlias = Annotated[
    int,
    typer.Option(
        "--port", min=0, max=65535, metavar="PORT", help="Port to listen on; 0 takes a free one."
    ),
]


def examples(*lines: str) -> str:
    """The examples that end the help of a command; `lines` are typed after `qstore`."""
    return "\n".join(["\b", "Examples:", *(f"  qstore {line}" for line in lines)])


def in_line(text: str) -> str:
    """A text that cannot leave its line or command the terminal; such letters are escaped."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def say(text: str) -> None:
    """Print a result: `text` and a line break, on stdout."""
    _write(sys.stdout, f"{worded(text)}\n")


def say_json(value: Mapping[str, object]) -> None:
    """Print a result as one line of JSON on stdout."""
    say(json.dumps(value, allow_nan=False, default=str))


def note(text: str) -> None:
    """Print what is no result, on stderr."""
    _write(sys.stderr, f"{worded(text)}\n")


def report(error: QStoreError, *, as_json: bool) -> None:
    """Print an error: a block on stderr, and with `as_json` its fields as the last line of stdout.

    error     input should be greater than or equal to 0
    field     trainer.num_workers
    value     -1
    instead   ...
    """
    fields = error.as_dict()
    shown = (
        ("error", fields["message"]),
        ("field", fields["field"]),
        ("value", fields["value"]),
        ("instead", fields["fix"]),
    )
    note(facts(pair for pair in shown if pair[1]))
    for line in getattr(error, "__notes__", []):  # what went wrong after it
        note(line)
    if as_json:
        say_json(fields)


def facts(pairs: Iterable[tuple[str, Any]]) -> str:
    """Names and values, one pair a line, long values wrapped below themselves."""
    named = list(pairs)
    indent = max(len(name) for name, _ in named) + 3
    return "\n".join(_fact(name, str(value), indent) for name, value in named)


def _fact(name: str, value: str, indent: int) -> str:
    width = max(40, shutil.get_terminal_size((100, 24)).columns) - indent
    lines = [
        part
        for line in value.splitlines()
        for part in textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
    ]
    first, *rest = lines or [""]
    return f"\n{' ' * indent}".join([name.ljust(indent) + first, *rest]).rstrip()


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows under a header, columns aligned; numbers to the right."""
    body = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
    right = [bool(body) and all(_looks_numeric(row[i]) for row in body) for i in range(len(header))]
    lines = (
        "  ".join(
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in [list(header), *body]
    )
    return "\n".join(lines)


def _looks_numeric(cell: str) -> bool:
    return cell == "-" or cell[:1].isdigit() or (cell[:1] == "-" and cell[1:2].isdigit())


def flush() -> None:
    """Send what is still in the buffer; a reader that went away is no error."""
    for stream in (sys.stdout, sys.stderr):
        _write(stream, "")


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except OSError as exc:
        # The descriptor itself: Python flushes the stream once more when it exits.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        is_result = stream is sys.stdout and stream is not sys.stderr  # redirected while training
        if is_result and not isinstance(exc, BrokenPipeError):
            raise UsageError(
                f"cannot write the result: {exc.strerror or type(exc).__name__}",
                field="stdout",
                fix=f"{'Free some space, or w' if is_full(exc) else 'W'}rite to another file.",
            ) from exc
