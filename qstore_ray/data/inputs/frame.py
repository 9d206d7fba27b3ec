"""Tables in memory, of any library, as raw rows: columns by name, values by the model's schema.

A pandas, polars or Hugging Face table, a pyarrow Table, a dictionary of columns, a list of records,
a structured array of NumPy and any object that exports an Arrow stream are all a `Frame`: names,
and a column by its name. None of these libraries is imported for it, and pyarrow, which starts
threads, only if the input is a table.

    by_name(frame_of(table), schema)    raw rows (N, F) in the order of the schema; other columns
                                        are left alone, missing ones are an error
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qstore_ray.data.columns import Column, TableSchema
from qstore_ray.data.rows.validate import as_array, check_width
from qstore_ray.data.tables.choose import check_features
from qstore_ray.data.tables.names import LABELS, is_unnamed, listed
from qstore_ray.data.tables.request import USUAL_SIGNS
from qstore_ray.data.tables.texts import is_number
from qstore_ray.errors import DataError, unknown_name_error

if TYPE_CHECKING:
    import pyarrow as pa

    from qstore_ray.data.tables.rows import Where
    from qstore_ray.types import AnyArray

# Names that say a place and nothing else: pandas', our own, and our own of LIBSVM's indices.
_MADE = (("{}", 0), ("f{}", 0), ("f{}", 1))


def _row(number: int) -> str:
    return f"row {number}"


class Frame(NamedTuple):
    """A table: the names of its columns in order, and how to get a column by its name.

    `where` says the place of a row, for error messages; `missing` are texts that stand for a
    missing value beside those of the schema. `announced` is true if the user was informed which
    columns a model without names takes.
    """

    names: tuple[Any, ...]
    column: Callable[[Any], Any]
    where: Where = _row
    missing: tuple[str, ...] = ()
    announced: bool = False

    @property
    def width(self) -> int:
        """How many columns there are."""
        return len(self.names)

    def arrow(self, name: Any) -> pa.ChunkedArray:
        """The column called `name` as Arrow holds it.

        Raises:
            DataError: a column of several kinds of values, or of one that Arrow does not support.
        """
        from qstore_ray.data.inputs.values import column_of

        return column_of(self.column(name), str(name))

    def renamed(self, names: Sequence[str]) -> Frame:
        """The same columns with other names, one for each in order."""
        old = dict(zip(names, self.names, strict=True))
        return self._replace(names=tuple(names), column=lambda name: self.column(old[name]))

    def without(self, name: Any) -> Frame:
        """The other columns than `name`."""
        return self._replace(names=tuple(other for other in self.names if other != name))

    def in_places(self) -> AnyArray:
        """The columns (N, F) by position; their names do not matter."""
        return self.renamed([str(place) for place in range(self.width)]).unnamed(self.width)

    @property
    def placed(self) -> bool:
        """Whether the names say a place and nothing else: 0, 1, … or f0, f1, … or f1, f2, …."""
        places = [[form.format(at + first) for at in range(self.width)] for form, first in _MADE]
        return [str(name) for name in self.names] in places

    def usual_label(self, n_features: int | None = None) -> Any:
        """The only column with a usual label name; None if no column or several have one.

        Args:
            n_features: of a model without names; None too if all columns together are as many.
        """
        found = [name for name in self.names if str(name).strip().lower() in LABELS]
        return found[0] if len(found) == 1 and self.width != n_features else None

    def taken(self, n_features: int, label: Any = None) -> Frame:
        """The columns that are the features of a model without names, in their order.

        Args:
            label: a column that is no feature; by default `usual_label`.

        Raises:
            DataError: another number of columns.
            UnknownNameError: `label` is no column.
        """
        if label is not None and label not in self.names:
            raise unknown_name_error("column", label, map(str, self.names), field="columns.label")
        label = self.usual_label(n_features) if label is None else label
        rest = self if label is None else self.without(label)
        if rest.width > n_features:
            index = [n for n in rest.names if isinstance(n, str) and is_unnamed(n)]
            rest = rest._replace(names=tuple(name for name in rest.names if name not in index))
        if rest.width != n_features:
            beside = "" if label is None else f" beside the label {label!r}"
            raise DataError(
                f"the table has {rest.width} columns{beside}, the model takes {n_features} "
                "features",
                field="columns",
                value=list(self.names),
                fix="The model was trained on arrays, so columns are taken by position: give its "
                "features in the order of training. columns.label names the label.",
            )
        return rest

    def unnamed(self, n_features: int, label: Any = None) -> AnyArray:
        """The columns (N, F) of `taken` by their places, for a model whose features have no names.

        Raises:
            DataError: another number of columns, or a column that holds no numbers.
        """
        rest = self.taken(n_features, label)
        named = rest.renamed([f"f{place}" for place in range(n_features)])
        if len({*map(str, rest.names)}) == n_features:  # errors have the names of the table
            named = rest.renamed([str(name) for name in rest.names])
        columns = tuple(Column(name) for name in named.names)
        return by_name(named, TableSchema(columns, missing=USUAL_SIGNS))


def frame_of(given: Any) -> Frame | None:
    """`given` as a table with columns; None where it has none, as an array has not.

    Raises:
        DataError: a dictionary of single values.
    """
    if isinstance(given, Frame):
        return given
    if isinstance(given, Mapping):
        return _of_columns(given)
    if isinstance(given, list) and given and all(isinstance(row, Mapping) for row in given):
        keys = tuple(dict.fromkeys(key for row in given for key in row))
        return Frame(keys, lambda key: [row.get(key) for row in given])
    if isinstance(given, np.ndarray):
        names = given.dtype.names
        return None if names is None else Frame(names, given.__getitem__)
    return _of_library(given)


def label_name(rows: Any, table: TableSchema | None) -> Any:
    """The label column of training; if it had none, `Frame.usual_label` unless it is a feature."""
    if table is not None and table.label is not None:
        return table.label
    frame = frame_of(rows)
    usual = None if frame is None else frame.usual_label()
    return None if table is not None and usual in table.names else usual


def place_of(given: Any, *, always: bool = False) -> Where | None:
    """How to say where a row of `given` is; None if it comes from no file, unless `always`."""
    if isinstance(given, Frame):
        return given.where
    return _row if always else None


def _of_columns(columns: Mapping[Any, Any]) -> Frame:
    for name, values in columns.items():
        if not isinstance(values, np.ndarray) and column_names(values) is not None:
            raise DataError(
                "a dictionary of tables, and one table is needed",
                field="x",
                value=type(values).__name__,
                fix=f"Give one of them, such as x[{name!r}].",
            )
        if np.ndim(values) == 0:
            raise DataError(
                "a column holds one value a row",
                field=str(name),
                value=values,
                fix=f"Write a list, also for one row: {{{name!r}: [{values!r}]}}.",
            )
    return Frame(tuple(columns), columns.__getitem__)


def column_names(given: Any) -> tuple[Any, ...] | None:
    """The names of a library's table whose columns are `given[name]`; None for anything else.

    Raises:
        DataError: a lazy table, which has no rows yet, or a stream.
    """
    if type(given).__name__ == "LazyFrame":
        raise DataError(
            "a lazy table has no rows yet",
            field="x",
            value=type(given).__name__,
            fix="Give the table that its method collect() returns.",
        )
    if type(given).__name__ == "RecordBatchReader":
        raise DataError(
            "a stream of rows can be read once, and a table is read several times",
            field="x",
            value=type(given).__name__,
            fix="Give the table that its method read_all() returns.",
        )
    for attribute in ("column_names", "columns"):  # of Arrow and datasets; of pandas and polars
        names = getattr(given, attribute, None)
        if names is not None and not callable(names) and hasattr(given, "__getitem__"):
            return tuple(names)
    return None


def _of_library(given: Any) -> Frame | None:
    names = column_names(given)
    if names is not None:
        return Frame(names, given.__getitem__)
    if hasattr(given, "__arrow_c_stream__"):
        import pyarrow as pa

        try:
            table = pa.table(given)
        except (pa.ArrowException, TypeError, ValueError):
            return None  # one column alone, such as a pandas Series
    elif hasattr(given, "__dataframe__"):
        from pyarrow.interchange import from_dataframe

        table = from_dataframe(given)
    else:
        return None
    return Frame(tuple(table.column_names), table.column)


def by_name(frame: Frame, table: TableSchema) -> AnyArray:
    """The features of the schema (N, F), each found by its name; other columns are left alone.

    Raises:
        DataError: a feature that is missing or there twice, or a value that does not fit.
    """
    import pyarrow as pa

    from qstore_ray.data.tables.rows import rows_of

    check_names(frame.names, table)
    columns = {name: frame.arrow(name) for name in table.names}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(
            "the columns have different lengths",
            field="columns",
            value=lengths,
            fix="Give every column one value a row.",
        )
    schema = replace(table, missing=("", *table.missing, *frame.missing))
    return rows_of(pa.table(columns), schema, frame.where, labelled=False)["x"]


def check_names(names: Sequence[Any], table: TableSchema) -> None:
    """Raise `DataError` unless every feature of the schema occurs exactly once."""
    counts = Counter(names)
    missing = [name for name in table.names if not counts[name]]
    twice = [name for name in table.names if counts[name] > 1]
    if twice:
        raise DataError(
            f"columns have the same name: {listed(twice)}",
            field="columns",
            value=twice,
            fix="Give each its own name.",
        )
    if missing and names and not any(isinstance(name, str) for name in names):
        raise DataError(
            "the columns have no names, and the model finds its features by name",
            field="columns",
            value=list(names),
            fix=f"The model's features are {listed(table.names)}. Name the columns so, or give an "
            "array with the columns in this order.",
        )
    numbers = bool(names) and all(is_number(str(name)) for name in names)
    if numbers and len(missing) == len(table.names):
        raise DataError(
            "the names of the columns are numbers, as where a first row was read as a header",
            field="params.header",
            value=list(names),
            fix=f"The model's features are {listed(table.names)}. Name the columns so; or read the "
            "file with params.header = false, if it has these columns in this order.",
        )
    check_features([str(name) for name in names], table.names, "columns")


def by_position(given: Any, table: TableSchema | None) -> AnyArray:
    """Raw rows (N, …) of an array; text and objects are read by the schema, if one is given.

    Raises:
        DataError: a value that does not fit the column at its place.
    """
    if hasattr(given, "to_frame") and getattr(given, "ndim", 0) == 1:
        raise DataError(
            "one row or one column of a table, and rows are a table",
            field="x",
            value=type(given).__name__,
            fix="Give a table: of pandas df.iloc[[0]] for the first row, df[[name]] for a column.",
        )
    rows = as_array(given, "x")
    if table is None or rows.ndim != 2:
        return rows  # the preparation says what is wrong with it
    if rows.shape[1] != len(table.features):
        if rows.dtype.kind in "OUS":
            check_width(rows, len(table.features))
        return rows
    if rows.dtype.kind in "OUS":
        columns = dict(zip(table.names, rows.T.tolist(), strict=True))
        return by_name(Frame(table.names, columns.__getitem__), table)
    if rows.dtype.kind in "biuf" and any(c.kind == "category" for c in table.features):
        from qstore_ray.data.inputs.values import category_numbers

        for column, values in zip(table.features, rows.T, strict=True):
            if column.kind == "category":
                category_numbers(column, values)
    return rows


def left_out(names: Sequence[Any], table: TableSchema) -> tuple[str, ...]:
    """Names of the columns that are no features, such as an id or the label."""
    features = set(table.names)
    return tuple(str(name) for name in names if name not in features)


def weight_column(rows: Any, table: TableSchema, split: str = "") -> AnyArray | None:
    """The sample weights (N,) in a table's column `table.weight`; None if the schema has none.

    Raises:
        DataError: no table, no such column, or a value that is no weight.
    """
    from qstore_ray.data.tables.rows import weights_of

    if table.weight is None:
        return None
    frame = frame_of(rows)
    if frame is None or table.weight not in frame.names:
        raise DataError(
            f"there is no column {table.weight!r}, which has the weights of train",
            field="columns.weight" if not split else f"{split}, columns.weight",
            value=None if frame is None else list(frame.names),
            fix="Give each part a table with this column, or leave columns.weight out.",
        )
    schema = replace(table, missing=(*table.missing, *frame.missing))
    return weights_of(frame.arrow(table.weight), schema, frame.where)


def group_column(rows: Any, table: TableSchema) -> AnyArray | None:
    """The groups (N,) in a table's column `table.group`; None if the schema has none.

    Raises:
        DataError: a group that is missing.
    """
    from qstore_ray.data.tables.rows import groups_of

    frame = None if table.group is None else frame_of(rows)
    if frame is None:
        return None
    return groups_of(frame.arrow(table.group), str(table.group), frame.where)


def weights_to_score(rows: Any, table: TableSchema) -> AnyArray | None:
    """`weight_column` of rows to score; None if they have no such column."""
    frame = None if table.weight is None else frame_of(rows)
    there = frame is not None and table.weight in frame.names
    return weight_column(rows, table) if there else None
