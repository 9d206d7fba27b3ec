"""`DatasetLoader`: the one door to data.

    DatasetLoader.available()                       ('backend_api', 'function', …)
    DatasetLoader.load(DatasetConfig(...))          from a source
    DatasetLoader.from_arrays(x, y)                 from arrays in memory
    DatasetLoader.register("squares", Squares)      a source of your own

A source is found by name among the registered, the built-in, and those that installed packages
declare as entry points of the group `qstore_ray.sources`; its module is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.data.build import build_dataset
from qstore_ray.data.columns import TableSchema
from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.inputs.frame import (
    by_name,
    by_position,
    frame_of,
    group_column,
    weight_column,
)
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.data.rows.given import given_labels
from qstore_ray.data.rows.labels import KINDS
from qstore_ray.data.rows.validate import as_array, check_same_length
from qstore_ray.data.sources.base import (
    TABLE_COLUMNS,
    ColumnsConfig,
    ReadTask,
    SourceAdapter,
    SourceData,
    array_tasks,
    open_source,
    register_source,
    source_names,
)
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray


class DatasetLoader:
    """Loads datasets. It has only class methods and needs no instance.

    Examples:
        dataset = DatasetLoader.from_arrays(np.random.rand(40, 3), np.arange(40) % 2)
        print(dataset.sizes)
    """

    @classmethod
    def load(cls, config: DatasetConfig | str | Path) -> Dataset:
        """The dataset that `config` describes: surveyed, checked, split, preparation fitted.

        Args:
            config: what to load, or the folder that `Dataset.save` wrote a dataset into.

        Raises:
            ConfigError: parameters that the source cannot use.
            DataError: missing, empty, ragged or non-finite data, one class, too few rows.
            MissingDependencyError: the source needs a package that is not installed.
        """
        if isinstance(config, str | Path):
            return Dataset.load(config)
        adapter = open_source(config.source)
        return build_dataset(config, adapter().read(adapter.Params(**config.params), config))

    @classmethod
    def from_arrays(
        cls,
        x: Any,
        y: Any,
        *,
        val: tuple[Any, Any] | None = None,
        test: tuple[Any, Any] | None = None,
        feature_names: Sequence[str] | None = None,
        rows_per_task: int = 65_536,
        name: str = "arrays",
        **config: Any,
    ) -> Dataset:
        """The dataset of rows `x` (N, …) and labels `y` (N,) or (N, T) in memory.

        Several labels that are a table keep its names, for their metrics.

        Arrays are not copied; changing them later makes reading the dataset an error. A table of
        pandas, polars or Arrow, or a dictionary of columns, gives its columns as features with
        their names, by the rule of tables in files: texts are categories, row identifiers are left
        out, and `columns` says which are features, a weight or a group. Val and test may have them
        in another order.

        Args:
            val: `(x, y)` to validate on; without it, it is cut from `x` as `split` says.
            test: `(x, y)` to test on; likewise.
            feature_names: names of the F features of arrays.
            rows_per_task: rows that one read task carries.
            name: what the data is called.
            **config: further fields of `DatasetConfig`, such as `split`, `preprocessing`, `seed`.

        Raises:
            ConfigError: a wrong field.
            DataError: as for `load`; or a column of the table has the labels `y` itself.
        """
        if rows_per_task < 1:
            raise ConfigError(
                "a read task carries one row or more",
                field="rows_per_task",
                value=rows_per_task,
                fix="Take 1 or more; 65536 by default.",
            )
        settings = {"source": "numpy", "params": {"in_memory": True}, **config}
        checked = DatasetConfig(name=name, **settings)
        table = _schema_of(x, y, checked)
        if table is not None and feature_names is not None:
            raise ConfigError(
                "the table has names already",
                field="feature_names",
                value=feature_names,
                fix="Leave it out, or rename the columns.",
            )
        names = _checked_names(feature_names)
        parts = {"train": (x, y), "val": _pair(val, "val"), "test": _pair(test, "test")}
        tasks: dict[Any, tuple[ReadTask, ...]] = {}
        first_row = 0
        for split, pair in parts.items():
            if pair is None:
                continue
            rows = as_array(pair[0] if table is None else _by_name(pair[0], table), "x")
            weight = None if table is None else weight_column(pair[0], table, split)
            labels, unlabelled = given_labels(pair[1], several=KINDS[checked.task].several)
            check_same_length(rows, labels)
            grouped = table is not None and split == "train"
            tasks[split] = array_tasks(
                rows,
                labels,
                rows_per_task=rows_per_task,
                first_row=first_row,
                weight=weight,
                group=group_column(x, table) if grouped and table is not None else None,
                unlabelled=unlabelled,
            )
            first_row += len(rows)
        source = SourceData(
            tasks=tasks.pop("train"),
            official=tasks,
            feature_names=names if table is None else table.names,
            class_names=_label_names(y) if checked.task == "multilabel" else None,
            table=table,
            provenance={"source": "arrays in memory", "package": f"numpy {np.__version__}"},
        )
        return build_dataset(checked, source)

    @classmethod
    def available(cls) -> tuple[str, ...]:
        """Names of all sources, sorted; none of them is imported for this."""
        return source_names()

    @classmethod
    def register(cls, name: str, adapter: type[SourceAdapter[Any]]) -> None:
        """Make a source of your own known as `name` in this process.

        Raises:
            ConfigError: not an adapter class, or a source of this name exists.
        """
        register_source(name, adapter)


def _pair(given: Any, split: str) -> tuple[Any, Any] | None:
    """The rows and labels of a part; None without the part."""
    if given is None or (isinstance(given, tuple | list) and len(given) == 2):
        return given if given is None else (given[0], given[1])
    raise ConfigError(
        "a part is a pair of rows and labels",
        field=split,
        value=type(given).__name__,
        fix=f"Write {split}=(x_{split}, y_{split}).",
    )


def _checked_names(names: Sequence[str] | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    given = tuple(names)
    if isinstance(names, str) or not all(isinstance(name, str) for name in given):
        raise ConfigError(
            "names of features are a list of texts",
            field="feature_names",
            value=names,
            fix='Write for example ["width", "length"].',
        )
    if len(set(given)) < len(given):
        raise ConfigError(
            "features have the same name",
            field="feature_names",
            value=sorted({name for name in given if given.count(name) > 1}),
            fix="Give each its own name.",
        )
    return given


def _label_names(y: Any) -> tuple[str, ...] | None:
    """The names of several labels (N, L) that are a table; None of an array."""
    frame = None if isinstance(y, list | Mapping) else frame_of(y)
    if frame is None or not all(isinstance(name, str) for name in frame.names):
        return None
    return tuple(frame.names)


def _schema_of(x: Any, y: Any, config: DatasetConfig) -> TableSchema | None:
    """The schema of the features `x`; None if they are an array, which has no names."""
    frame = frame_of(x)
    if frame is None:
        _check_no_columns(config)
        return None
    from qstore_ray.data.inputs.learnt import check_holds_no_label, learnt
    from qstore_ray.data.tables.request import signs

    table = learnt(frame, config.columns, signs(config.params.get("missing")))
    check_holds_no_label(frame, y, table.names)
    return table


def _check_no_columns(config: DatasetConfig) -> None:
    """Raise `ConfigError` if a column is named, or its kind, and arrays have no columns."""
    columns = config.columns
    for field in sorted(TABLE_COLUMNS if columns is not None else ()):
        name = field.rpartition(".")[2]
        value = getattr(columns, name)
        if value != ColumnsConfig.model_fields[name].default:
            raise ConfigError(
                "arrays have no columns with names",
                field=field,
                value=value,
                fix="Give a table with names, such as a dictionary of columns"
                + (
                    "; or give the weights of arrays to the training as sample_weight."
                    if name == "weight"
                    else "."
                ),
            )


def _by_name(rows: Any, table: TableSchema) -> AnyArray:
    frame = frame_of(rows)
    return by_position(rows, table) if frame is None else by_name(frame, table)
