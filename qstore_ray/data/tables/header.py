"""The first line of a table in text: whether it names the columns, or is a row already.

One rule for training and for prediction. Names that are numbers are no header, unless they count
on by one (0, 1, 2, …, as pandas calls columns without names). A line is none either if most of its
names are also values of their own columns. `params.header` = true says that the first line is a
header all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import pairwise

from qstore_ray.data.columns import TableSchema
from qstore_ray.data.tables.names import named
from qstore_ray.data.tables.texts import is_number
from qstore_ray.errors import DataError

_BELOW = 3
_SIGNS = ("#", "%", "|")  # what comment lines begin with


def names_of(
    first: Sequence[str], rows: Sequence[Sequence[str]], header: bool | None, where: str
) -> tuple[str, ...]:
    """Names of the columns: those of the first line, or f0, f1, … where it is a row.

    Args:
        first: values of the first line.
        rows: values of some rows behind it.
        header: whether it is a header; None if that was not said.
        where: the file, for error messages.

    Raises:
        DataError: the first line is no header, and `header` is not set.
    """
    if header is False:
        return tuple(f"f{place}" for place in range(len(first)))
    names = _filled(first, rows)
    if header is None:
        _check_header(names, rows, where)
    return named(names)


def check_first_line(
    lines: Sequence[tuple[int, Sequence[str]]],
    comment: str | None,
    missing: Collection[str],
    where: str,
) -> None:
    """Raise `DataError` where the table begins further down, behind comments, a title or units.

    Args:
        lines: number and values of the first lines.
        comment: what comments begin with, as far as it is known.
        missing: texts that stand for a missing value.
        where: the file, for error messages.
    """
    (number, first), rows = lines[0], lines[1:]
    if first[0].lower().startswith("sep=") and len(first) <= 2:
        raise DataError(
            "the first line is a note of Excel about the delimiter",
            field=f"{where}, line {number}",
            value=first[0],
            fix="Set params.skip_lines = 1.",
        )
    widths = Counter(len(values) for _, values in rows if len(values) > 1)
    if not widths:
        return
    width = widths.most_common(1)[0][0]
    begin, names = next((line, values) for line, values in rows if len(values) == width)
    # One name less is usual: row names, or a delimiter at the end of the rows.
    less = 1 if any(map(is_number, names)) or len(rows) == widths[width] else 0
    if len(first) >= width - less:
        _check_second_line(lines, missing, where)
        return
    sign = first[0].strip()[:1]
    if sign in _SIGNS and not comment:
        fix = f'Set params.comment = "{sign}".'
    else:
        fix = f"If the table begins in line {begin}, set params.skip_lines = {begin - 1}."
    raise DataError(
        f"the first line looks like a {'comment' if sign in _SIGNS else 'title'}: it has "
        f"{len(first)} value{'s' * (len(first) != 1)}, lines below it have {width}",
        field=f"{where}, line {number}",
        value=first[0].strip(),
        fix=fix,
    )


def _check_second_line(
    lines: Sequence[tuple[int, Sequence[str]]], missing: Collection[str], where: str
) -> None:
    """Raise `DataError` where the line below the names has units or names too, and no value."""
    (number, first), (line, second), below = lines[0], lines[1], [row for _, row in lines[2:]]
    if len(below) < _BELOW or any(map(is_number, first)):
        return
    columns = list(zip(*(row for row in below if len(row) == len(second)), strict=True))
    quantities = [
        second[place].strip()
        for place, values in enumerate(columns)
        if all(not value.strip() or is_number(value) for value in values)
        and any(map(is_number, values))
    ]
    texts = [text for text in quantities if any(map(str.isalpha, text)) and text not in missing]
    if len(quantities) > 1 and texts and not any(map(is_number, quantities)):
        raise DataError(
            "the line below the names looks like a second header: it has text where the lines "
            "below it have numbers",
            field=f"{where}, line {line}",
            value=texts[0],
            fix=f"Remove the line; or set params.skip_lines = {number} if it has the names.",
        )


def known_names(
    first: Sequence[str],
    rows: Sequence[Sequence[str]],
    header: bool | None,
    schema: TableSchema,
    where: str,
) -> tuple[tuple[str, ...], bool]:
    """Names of the columns of rows to predict on, and whether the first line is a header.

    Without a header, the columns are the features in their order, if their number is the same; of a
    model that was trained on a table without one, else f0, f1, … by their places.

    Raises:
        DataError: the first line is no header, and `header` is not set.
    """
    names = named(_filled(first, rows))
    if header is None:
        header = schema.header or set(schema.names) <= set(names)
        if header and not set(schema.names) <= set(names):
            _check_header(first, rows, where)
    if header:
        return names, True
    if len(first) == len(schema.names):
        return schema.names, False
    return tuple(f"f{place}" for place in range(len(first))), False


def _filled(first: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The names, one for every value: an index or a trailing delimiter may have none."""
    names = list(first)
    if rows and all(len(row) == len(names) + 1 for row in rows):
        trailing = all(not row[-1].strip() for row in rows)
        return [*names, ""] if trailing else ["", *names]
    return names


def _check_header(names: Sequence[str], rows: Sequence[Sequence[str]], where: str) -> None:
    written = [name.strip() for name in names]
    numbers = [float(name) for name in written if is_number(name)]
    steps = {after - before for before, after in pairwise(numbers)}
    counted = steps <= {1.0} and all(name.isdigit() for name in written if is_number(name))
    if numbers and not counted:
        shown = next(name for name in written if is_number(name))
        raise _no_header_error(f"the first line has numbers for names, such as {shown}", where)
    also = [name for place, name in enumerate(written) if name and _is_value(name, place, rows)]
    if 2 * len(also) > len(written):
        raise _no_header_error(
            f"the first line looks like a row: {also[-1]!r} is also a value", where
        )


def _is_value(name: str, place: int, rows: Sequence[Sequence[str]]) -> bool:
    """Whether a name is also a value of its own column."""
    if is_number(name):
        return False
    return any(row[place].strip() == name for row in rows if place < len(row))


def _no_header_error(what: str, where: str) -> DataError:
    return DataError(
        what,
        field=f"{where}, line 1",
        fix="Set params.header = false if the file has no header: the columns are then f0, f1, …; "
        "or params.header = true if these are the names; or params.skip_lines = 1 if the line is "
        "none of the table.",
    )
