"""Files of your own: NumPy, IDX, CSV, images, HDF5, Parquet and JSON lines.

    DatasetConfig(name="mine", source="local", params={"path": "x_y.npz"})

The format follows from the suffix. What a source defines itself is kept: a folder with sub-folders
`train`, `val` and `test`, arrays `x_test` and `y_test` in a file, or MNIST's `t10k` files are
official parts and are never mixed. Read tasks open the files where they run, so on a cluster the
path must lead to the same files on every node, or be a URI.
"""

from __future__ import annotations

import importlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from qstore_ray.config import Config
from qstore_ray.data.columns import TableSchema
from qstore_ray.data.files import absolute, find_files
from qstore_ray.data.sources.base import (
    TABLE_COLUMNS,
    ColumnsConfig,
    ReadTask,
    SourceAdapter,
    SourceConfig,
    SourceData,
)
from qstore_ray.data.sources.local.base import Format, TableFormat
from qstore_ray.data.sources.local.params import LocalParams
from qstore_ray.data.tables.request import TableRequest, signs
from qstore_ray.errors import ConfigError, DataError

if TYPE_CHECKING:
    from qstore_ray.data.sources.local.base import Chunk, Contents, Files

_FORMATS = {
    "npz": "arrays:NpzFormat",
    "npy": "arrays:NpyFormat",
    "idx": "idx:IdxFormat",
    "csv": "csv:CsvFormat",
    "images": "images:ImagesFormat",
    "hdf5": "hdf5:Hdf5Format",
    "parquet": "parquet:ParquetFormat",
    "jsonl": "jsonl:JsonlFormat",
    "arff": "arff:ArffFormat",
    "libsvm": "libsvm:LibsvmFormat",
}
_SUFFIXES = {
    "npz": (".npz",),
    "npy": (".npy",),
    "idx": (".idx", "ubyte", ".idx.gz", "ubyte.gz"),
    "csv": (".csv", ".tsv", ".data", ".dat", ".txt"),
    "images": (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"),
    "hdf5": (".h5", ".hdf5"),
    "parquet": (".parquet", ".pq"),
    "jsonl": (".jsonl", ".ndjson"),
    "arff": (".arff",),
    "libsvm": (".libsvm", ".svm", ".svmlight"),
}
_EVERYWHERE = frozenset({"path", "format", "max_bytes", "rows_per_task"})
_PARTS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


class LocalFilesSourceAdapter(SourceAdapter[LocalParams]):
    """Files on this machine, or behind a URI."""

    Params: ClassVar[type[Config]] = LocalParams
    accepts: ClassVar[frozenset[str]] = TABLE_COLUMNS

    def read(self, params: LocalParams, config: SourceConfig) -> SourceData:
        """Read tasks for ranges of rows; of the content, only what says where rows are is read."""
        root, found = find_files(params.path)
        if params.y_path is not None:  # it may lie among the files that it labels
            found = tuple(file for file in found if file != absolute(params.y_path))
        name = _format_name(found, params)
        form = _open_format(name)
        _check_taken(name, form, params, config)
        parts = _parts(root, found)
        if isinstance(form, TableFormat):
            contents = form.open(parts, params, request_of(params, config))
        else:
            contents = form.open(root, parts, params, config.columns)
        return SourceData(
            **_tasks(contents, params.path),
            feature_names=contents.feature_names,
            table=contents.table,
            provenance={
                "source": "local",
                "path": params.path,
                "format": name,
                "files": f"{len(found)} file{'s' * (len(found) > 1)}",
                **contents.notes,
            },
        )


def open_to_predict(params: LocalParams, schema: TableSchema) -> tuple[Chunk, ...]:
    """Chunks of the rows of a table to predict on; `read` gives their `x` (N, F).

    The columns are found by their names, others are left alone, and no label is needed. A folder's
    parts come one after the other.

    Raises:
        DataError: no such file, a feature that is not there; at reading, a value that is not what
            its column is, or a category that the schema does not have.
        ConfigError: files of a format that has no columns with names, or a setting that the format
            would ignore.
    """
    root, found = find_files(params.path)
    name = _format_name(found, params)
    form = _open_format(name)
    if not isinstance(form, TableFormat):
        raise ConfigError(
            f"files of the format {name} have no columns with names",
            field="params.path",
            value=params.path,
        )
    _check_taken(name, form, params, None)
    request = request_of(params, None, schema)
    contents = form.open(_parts(root, found), params, request)
    return tuple(chunk for part in contents.chunks.values() for chunk in part)


def request_of(
    params: LocalParams, config: SourceConfig | None, schema: TableSchema | None = None
) -> TableRequest:
    """What is asked of the tables: by the parameters, the configuration, and a given schema."""
    return TableRequest(
        columns=(config and config.columns) or ColumnsConfig(),
        task=getattr(config, "task", "classification"),
        label_type=params.label_type,
        missing=signs(params.missing),
        max_columns=params.max_columns,
        schema=schema,
    )


def _tasks(contents: Contents, path: str) -> dict[str, Any]:
    from qstore_ray.data.sources.local.base import SPLITS, ChunkTask

    tasks: dict[Any, tuple[ReadTask, ...]] = {}
    first_row = 0
    for split in SPLITS:
        if split not in contents.chunks:
            continue
        made = []
        for chunk in contents.chunks[split]:
            made.append(ChunkTask(chunk, first_row))
            first_row += chunk.n_rows
        if not sum(chunk.n_rows for chunk in contents.chunks[split]):
            raise DataError(
                f"there are 0 rows in {split}",
                field="params.path",
                value=path,
                fix="Give files that hold rows.",
            )
        tasks[split] = tuple(made)
    return {"tasks": tasks.pop("train"), "official": tasks}


def format_of(where: str) -> str | None:
    """The format that a file's suffix stands for."""
    name = where.rpartition("/")[2].lower()
    return next((form for form, ends in _SUFFIXES.items() if name.endswith(ends)), None)


def _format_name(files: tuple[str, ...], params: LocalParams) -> str:
    if params.format != "auto":
        return params.format
    known = {form: file for file in files if (form := format_of(file)) is not None}
    if "images" in known:  # a file of another kind among images is a bad image
        return "images"
    strange = [file for file in files if format_of(file) is None]
    if strange:
        raise DataError(
            "no format has this suffix",
            field="params.path",
            value=strange[0],
            fix=f"Set params.format to one of {', '.join(_FORMATS)}, or give a pattern such as "
            '"data/*.csv". Compressed text has to be unpacked first.',
        )
    if len(known) > 1:
        raise DataError(
            f"files of several formats: {', '.join(sorted(known))}",
            field="params.path",
            value=sorted(known.values()),
            fix='Give a pattern such as "data/*.csv".',
        )
    return next(iter(known))


def _open_format(name: str) -> Format | TableFormat:
    module, _, attribute = _FORMATS[name].partition(":")
    opened: Format | TableFormat = getattr(
        importlib.import_module(f"qstore_ray.data.sources.local.{module}"), attribute
    )()
    return opened


def _check_taken(
    name: str, form: Format | TableFormat, params: LocalParams, config: SourceConfig | None
) -> None:
    """Refuse a setting that this format would ignore."""
    for field, info in LocalParams.model_fields.items():
        value = getattr(params, field)
        if field not in form.takes | _EVERYWHERE and value != info.default:
            raise ConfigError(
                f"files of the format {name} do not take this",
                field=f"params.{field}",
                value=value,
                fix=f"Leave it out. It takes: {', '.join(sorted(form.takes | _EVERYWHERE))}.",
            )
    for field in ("label", "group"):
        asked = getattr(None if config is None else config.columns, field, None)
        if asked is not None and not isinstance(form, TableFormat):
            raise ConfigError(
                f"files of the format {name} have no columns with names",
                field=f"columns.{field}",
                value=asked,
                fix="Leave it out.",
            )


def _parts(root: str, files: tuple[str, ...]) -> Files:
    """Files of train, val and test, by the sub-folders of `root` that have these names."""
    if not root:
        return {"train": files}
    split: dict[Any, list[str]] = {}
    others: list[str] = []
    for file in files:
        below = PurePosixPath(file[len(root) :].lstrip("/")).parts
        part = _PARTS.get(below[0].lower()) if len(below) > 1 else None
        (others if part is None else split.setdefault(part, [])).append(file)
    if not split:
        return {"train": files}
    if "train" not in split or others:
        raise DataError(
            f"the folder has {', '.join(sorted(split))}"
            + (" and other files" if others else " but no train"),
            field="params.path",
            value=others[0] if others else root,
            fix="Put every file below train, val or test, or give the path of one of them.",
        )
    return {part: tuple(split[part]) for part in sorted(split)}
