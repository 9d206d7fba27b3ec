"""What a source of data is: an adapter that turns its parameters into read tasks.

A *read task* is a function without arguments that returns one block of rows, as a dictionary of
arrays or a pyarrow table with three columns:

    x     (rows, F) or (rows, height, width, …), numbers
    y     (rows,) labels, or (rows, C) one-hot
    row   (rows,) int64, the row's number in the whole source; increases from block to block

and, if `columns.group` or `columns.weight` ask for them, `group` (rows,), whole numbers or text,
and `weight` (rows,), numbers from 0 up.

Tasks are picklable and return the same rows whenever they are called, so that the same tasks run
in this process and on the nodes of a Ray cluster. A new source is one class:

    class Squares(SourceAdapter[SquaresParams]):
        Params = SquaresParams

        def read(self, params, config):
            return SourceData(tasks=(Square(params.count),))

    DatasetLoader.register("squares", Squares)

or an entry point in the group `qstore_ray.sources`, which is found without being registered.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Generic,
    Literal,
    Self,
    TypeAlias,
    TypeVar,
)

from pydantic import Field, field_validator, model_validator

from qstore_ray.config import Config
from qstore_ray.data.columns import TableSchema
from qstore_ray.errors import ConfigError
from qstore_ray.registry import Registry

if TYPE_CHECKING:
    import pyarrow as pa

    from qstore_ray.types import AnyArray, IntArray

    RawBlock: TypeAlias = dict[str, AnyArray] | pa.Table

ReadTask: TypeAlias = Callable[[], "RawBlock"]
P = TypeVar("P", bound=Config)

TABLE_COLUMNS = frozenset(
    f"columns.{field}"
    for field in (
        "label",
        "group",
        "weight",
        "categories",
        "encoding",
        "unknown",
        "max_categories",
    )
)
"""The fields of `columns` that mean something to tables alone."""

_FILES = (
    "file", "files", "folder", "npz", "npy", "idx", "csv", "tsv", "images", "hdf5", "h5",
    "parquet", "jsonl", "arff", "libsvm",
)  # fmt: skip
"""Names that people try for files on a path, which are the source `local` in every format."""
_HERE = "qstore_ray.data.sources"
SOURCES: Registry[type[SourceAdapter[Any]]] = Registry(
    "source",
    {
        "sklearn": f"{_HERE}.sklearn:SklearnSourceAdapter",
        "local": f"{_HERE}.local.adapter:LocalFilesSourceAdapter",
        "numpy": f"{_HERE}.numpy:NumpySourceAdapter",
        "keras": f"{_HERE}.keras:KerasSourceAdapter",
        "huggingface": f"{_HERE}.huggingface.adapter:HuggingFaceSourceAdapter",
        "function": f"{_HERE}.function:FunctionSourceAdapter",
        "backend_api": f"{_HERE}.backend_api:BackendAPISourceAdapter",
    },
    entry_points="qstore_ray.sources",
    field="source",
    forms=(("Params", "read"),),
    base="SourceAdapter",
    meant=dict.fromkeys(_FILES, "local") | {"hf": "huggingface", "scikit-learn": "sklearn"},
)


class ColumnsConfig(Config):
    """Which columns of the source are features, and which one is the label.

    Args:
        features: names of the features to keep, in this order; all of them by default.
        exclude: names of columns that are neither; all others but the label are features then.
        label: name of the label column, for sources that are tables.
        categories: names of columns whose values are names, not quantities, even where they are
            written as numbers (a postcode, a code); for tables.
        encoding: how a category reaches the model, for tables: `one_hot`, a column of 0 and 1 for
            each value that train has, or `ordinal`, the place of the value among the sorted ones.
        unknown: what becomes of a category that train does not have, for tables: an error, or
            zeros in all its columns.
        max_categories: most values of a category; a column of text with more is none (a name, a
            ticket, free text), and has to be left out.
        group: name of a column that says which rows belong together (a patient, a recording):
            no feature, but what a split by `group` or `hash` keeps together; for tables too.
        weight: name of a column of sample weights, numbers from 0 up: no feature, but how much each
            row counts in the loss and in the metrics; for tables too.
    """

    features: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    exclude: tuple[str, ...] = ()
    label: str | None = None
    categories: tuple[str, ...] = ()
    encoding: Literal["one_hot", "ordinal"] = "one_hot"
    unknown: Literal["error", "zeros"] = "error"
    max_categories: int = Field(default=100, ge=1)
    group: str | None = None
    weight: str | None = None

    @field_validator("features")
    @classmethod
    def _distinct(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        repeated = sorted({name for name in names or () if (names or ()).count(name) > 1})
        if repeated:
            raise ConfigError("a feature is named twice", value=repeated)
        return names

    @field_validator("label", mode="before")
    @classmethod
    def _one_label(cls, label: Any) -> Any:
        if isinstance(label, list | tuple):
            raise ConfigError(
                "a table has one column of labels",
                value=label,
                fix="Write several labels or numbers a row as an array y (N, T), in memory or in "
                "an npz or HDF5 file, beside the features x.",
            )
        return label

    @model_validator(mode="after")
    def _excluded_is_unused(self) -> Self:
        used = {self.label, self.group, self.weight, *(self.features or ()), *self.categories}
        if both := sorted(set(self.exclude) & used - {None}):
            raise ConfigError(
                "a column is both used and excluded",
                field="exclude",
                value=both,
                fix="Leave it out of one of them.",
            )
        return self

    @model_validator(mode="after")
    def _group_stands_alone(self) -> Self:
        if self.group is not None and self.group in (self.label, *(self.features or ())):
            raise ConfigError(
                f"the group is also {'the label' if self.group == self.label else 'a feature'}",
                field="group",
                value=self.group,
                fix="A group says which rows belong together, and is nothing else.",
            )
        return self

    @model_validator(mode="after")
    def _weight_stands_alone(self) -> Self:
        roles: dict[str, tuple[str | None, ...]] = {
            "the label": (self.label,),
            "the group": (self.group,),
            "a feature": self.features or (),
            "a category": self.categories,
        }
        for role, names in roles.items():
            if self.weight is not None and self.weight in names:
                raise ConfigError(
                    f"the weight is also {role}",
                    field="weight",
                    value=self.weight,
                    fix="A weight says how much a row counts, and is nothing else.",
                )
        return self


class SourceConfig(Config):
    """Settings that every source receives beside its own parameters; base of `DatasetConfig`.

    Args:
        name: what the data is called in run folders and trackers: letters, digits, `-`, `_`, `.`.
        columns: feature and label columns, for sources that name their columns.
        revision: version of the data, for sources that have versions.
        cache_dir: folder for downloaded data, for sources that download.
    """

    name: str = Field(examples=["digits"])
    columns: ColumnsConfig | None = None
    revision: str | None = None
    cache_dir: str | None = None

    @field_validator("name")
    @classmethod
    def _is_no_path(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
            raise ConfigError(
                "this is not a name of data",
                value=name,
                fix="Use up to 100 letters, digits, '-', '_' and '.', the first a letter or digit.",
            )
        return name


@dataclass(frozen=True, kw_only=True)
class SourceData:
    """What an adapter found.

    Args:
        tasks: read tasks of the rows that may be split.
        official: read tasks of parts that the source defines itself (`val`, `test`); they are
            kept as they are. Row numbers continue from part to part: tasks, val, test.
        parts: each part and where it was found, in words (("train", "train.csv"), …), if the
            source has official ones.
        feature_names: names of the F features, where they have names.
        table: what the columns of a table mean; its features are `feature_names`.
        one_column: whether `x` is the one column, of images or vectors, that `columns.features`
            names; its F features then have no names to choose among.
        image_shape: shape of one row where it is an image that `x` holds flattened.
        class_names: what the classes are called, in the order of their sorted labels.
        task: the task that the labels are for, if the source defines it.
        uncut: whether `tasks` may not be split, because some of their rows are changed copies of
            others.
        provenance: where the data comes from, in words.

    Examples:
        task = lambda: {"x": np.eye(4), "y": np.array([0, 1, 0, 1]), "row": np.arange(4)}
        data = SourceData(tasks=(task,), feature_names=("a", "b", "c", "d"))
        print(data.feature_names)
    """

    tasks: tuple[ReadTask, ...]
    official: Mapping[Literal["val", "test"], tuple[ReadTask, ...]] = field(default_factory=dict)
    parts: tuple[tuple[str, str], ...] = ()
    feature_names: tuple[str, ...] | None = None
    table: TableSchema | None = None
    one_column: bool = False
    image_shape: tuple[int, ...] | None = None
    class_names: tuple[str, ...] | None = None
    task: Literal["classification", "regression"] | None = None
    uncut: bool = False
    provenance: Mapping[str, str] = field(default_factory=dict)


class SourceAdapter(ABC, Generic[P]):
    """Turns parameters into read tasks.

    `Params` declares the fields of `dataset.params`. `accepts` names the general fields that this
    source understands beyond its own: `revision`, `cache_dir`, and of tables `TABLE_COLUMNS`;
    given to another source they are an error, because a setting is never ignored.

    Examples:
        class Eye(SourceAdapter):
            Params = Config
            def read(self, params, config):
                task = lambda: {"x": np.eye(4), "y": np.arange(4) % 2, "row": np.arange(4)}
                return SourceData(tasks=(task,))
    """

    Params: ClassVar[type[Config]]
    accepts: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def read(self, params: P, config: SourceConfig) -> SourceData:
        """The read tasks for `params`. Runs in the process that loads; must not merge splits.

        Raises:
            DataError: the data is missing or cannot be read.
            MissingDependencyError: a package that this source needs is not installed.
        """


@dataclass(frozen=True)
class ArrayTask:
    """A read task that carries its rows, for data that is in memory already."""

    x: AnyArray
    y: AnyArray
    row: IntArray
    weight: AnyArray | None = None
    group: AnyArray | None = None
    unlabelled: AnyArray | None = None

    def __call__(self) -> dict[str, AnyArray]:
        """The columns x, y, row, and weight, group and unlabelled if the rows have them."""
        more = {"weight": self.weight, "group": self.group, "unlabelled": self.unlabelled}
        there = {name: values for name, values in more.items() if values is not None}
        return {"x": self.x, "y": self.y, "row": self.row, **there}


def array_tasks(
    x: AnyArray,
    y: AnyArray,
    *,
    rows_per_task: int,
    first_row: int = 0,
    weight: AnyArray | None = None,
    group: AnyArray | None = None,
    unlabelled: AnyArray | None = None,
) -> tuple[ArrayTask, ...]:
    """Read tasks that carry `x` (N, …), `y` (N, …) and the others (N,) in slices of rows."""
    import numpy as np

    starts = range(0, max(len(x), 1), rows_per_task)
    return tuple(
        ArrayTask(
            x[start : start + rows_per_task],
            y[start : start + rows_per_task],
            np.arange(start, min(start + rows_per_task, len(x)), dtype=np.int64) + first_row,
            *(
                None if values is None else values[start : start + rows_per_task]
                for values in (weight, group, unlabelled)
            ),
        )
        for start in starts
    )


def open_source(name: str) -> type[SourceAdapter[Any]]:
    """The adapter class called `name`: registered, built in, or from an entry point.

    Raises:
        UnknownNameError: no such source.
        MissingDependencyError: the adapter's module cannot be imported.
    """
    return SOURCES[name]


def source_names() -> tuple[str, ...]:
    """Names of all sources, sorted; none of them is imported for this."""
    return tuple(SOURCES)


def register_source(name: str, adapter: type[SourceAdapter[Any]]) -> None:
    """Make `adapter` known as `name` in this process; the same pair again changes nothing.

    Raises:
        ConfigError: not an adapter class, or the name belongs to another one.
    """
    if not (isinstance(adapter, type) and issubclass(adapter, SourceAdapter)):
        raise ConfigError(
            "an adapter is a class derived from SourceAdapter", field="adapter", value=adapter
        )
    SOURCES.register(name, adapter)
