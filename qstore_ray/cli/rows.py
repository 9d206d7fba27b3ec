"""Raw rows to predict on, from a file: `.npy`, `.npz` or `.csv`. Nothing in them is trusted."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.data.npyfile import Place, member_names, read_array
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

_MOST_BYTES = 2**32


def read_rows(path: str) -> AnyArray:
    """The rows (N, …) in a file.

    A `.npz` file holds one array, or one named `x`. A `.csv` file holds one feature a column, in
    the order of the training data, with or without a line of names.

    Raises:
        DataError: no such file, another kind of file, damaged, empty, or not numbers.
    """
    readers = {".npy": _npy, ".npz": _npz, ".csv": _csv}
    read = readers.get(Path(path).suffix.lower())
    if read is None:
        raise DataError(
            "rows are read from .npy, .npz and .csv files",
            field="input",
            value=path,
            fix="Save them with numpy.save, or as CSV.",
        )
    if not Path(path).is_file():
        raise DataError(
            "there is no such file", field="input", value=path, fix="Give the file of the rows."
        )
    rows = read(path)
    if not rows.ndim or not len(rows):
        raise DataError(
            "there are no rows in the file", field="input", value=path, fix="Give at least one row."
        )
    return rows


def _npy(path: str) -> AnyArray:
    return read_array(Place(path, None), _MOST_BYTES)


def _npz(path: str) -> AnyArray:
    names = member_names(path)
    name = names[0] if len(names) == 1 else "x"
    if name not in names:
        raise DataError(
            f"the file holds {len(names)} arrays and none is named x: {', '.join(names)}",
            field="input",
            value=path,
            fix="Save the rows alone, or under the name x.",
        )
    return read_array(Place(path, name), _MOST_BYTES)


def _csv(path: str) -> FloatArray:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    first = _first_line(path)
    named = not all(_is_number(cell) for cell in first)
    names = [str(position) for position in range(len(first))]
    reading = arrow_csv.ReadOptions(column_names=names, skip_rows=1 if named else 0)
    numbers = arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float64()))
    try:
        columns = arrow_csv.read_csv(path, reading, convert_options=numbers).columns
    except pa.ArrowInvalid as exc:
        raise DataError(
            f"not a table of numbers: {exc}",
            field="input",
            value=path,
            fix="Give one feature a column, and no label.",
        ) from exc
    return np.column_stack([column.to_numpy() for column in columns])


def _first_line(path: str) -> list[str]:
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            first = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise DataError(
            f"cannot read the file: {exc}", field="input", value=path, fix="Save it as UTF-8 text."
        ) from exc
    if not first:
        raise DataError(
            "the file is empty", field="input", value=path, fix="Give at least one row."
        )
    return first


def _is_number(cell: str) -> bool:
    """Whether a cell of the first line is a value (an absent one is) rather than a name."""
    try:
        float(cell or "nan")
    except ValueError:
        return False
    return True
