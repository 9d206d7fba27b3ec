"""Files of your own: NumPy, IDX, CSV, images, HDF5, Parquet and JSON lines.

    DatasetConfig(name="mine", source="local", params={"path": "x_y.npz"})

The format follows from the suffix. What a source defines itself is kept: folders, files or arrays
that are named for train, val or test, in any usual spelling (`sources/parts.py`), are official
parts and are never mixed. Read tasks open the files where they run, so on a cluster the path must
lead to the same files on every node, or be a URI.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from qstore_ray.config import Config
from qstore_ray.data.columns import TableSchema
from qstore_ray.data.files.files import absolute, is_remote, reading
from qstore_ray.data.files.listing import find_files
from qstore_ray.data.sources.base import (
    TABLE_COLUMNS,
    ColumnsConfig,
    ReadTask,
    SourceAdapter,
    SourceConfig,
    SourceData,
)
from qstore_ray.data.sources.local.base import Format, TableFormat
from qstore_ray.data.sources.local.other_files import (
    content_told,
    data_among,
    paired,
    refused,
    without_other_half,
)
from qstore_ray.data.sources.local.pairs import labels_of_files, open_pairs
from qstore_ray.data.sources.local.params import LocalParams
from qstore_ray.data.sources.local.unpacked import unpacked_name
from qstore_ray.data.sources.parts import SPLITS, PartFiles, Split, divide_files, part_of_name
from qstore_ray.data.tables.request import TableRequest, signs
from qstore_ray.errors import ConfigError, DataError, UnlabelledError

if TYPE_CHECKING:
    from qstore_ray.data.sources.local.base import Contents

_FORMATS = {
    "npz": "arrays:NpzFormat",
    "npy": "arrays:NpyFormat",
    "idx": "idx:IdxFormat",
    "csv": "csv.csv:CsvFormat",
    "images": "images.images:ImagesFormat",
    "hdf5": "hdf5.hdf5:Hdf5Format",
    "parquet": "parquet:ParquetFormat",
    "jsonl": "jsonl:JsonlFormat",
    "arff": "arff:ArffFormat",
    "libsvm": "libsvm:LibsvmFormat",
}
_SUFFIXES = {
    "npz": (".npz",),
    "npy": (".npy",),
    "idx": (".idx", "ubyte", ".idx.gz", "ubyte.gz"),
    "csv": (".csv", ".tsv", ".data", ".dat", ".txt", ".test", ".train"),
    "images": (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"),
    "hdf5": (".h5", ".hdf5"),
    "parquet": (".parquet", ".pq"),
    "jsonl": (".jsonl", ".ndjson"),
    "arff": (".arff",),
    "libsvm": (".libsvm", ".svm", ".svmlight"),
}
_TEXTS = ("csv", "jsonl", "arff", "libsvm")  # may be packed: .csv.gz, .jsonl.zst
_SHOWN = 5
_EVERYWHERE = frozenset({"path", "train", "val", "test", "format", "max_bytes", "rows_per_task"})


class LocalFilesSourceAdapter(SourceAdapter[LocalParams]):
    """Files on this machine, or behind a URI."""

    Params: ClassVar[type[Config]] = LocalParams
    accepts: ClassVar[frozenset[str]] = TABLE_COLUMNS

    def read(self, params: LocalParams, config: SourceConfig) -> SourceData:
        """Read tasks for ranges of rows; of the content, only what says where rows are is read."""
        given = _given(params)
        name = format_name(given.files, params)
        form = open_format(name)
        check_taken(name, form, params, config)
        files = _parts(given, form)
        labels = labels_of_files(name, given.files, given.labels, params)
        notes: Mapping[str, str] = {}
        with content_told(given.files):
            if labels:
                contents = open_pairs(files, labels, params, request_of(params, config))
            elif isinstance(form, TableFormat):
                files, contents, notes = _open_table(form, files, params, config)
            else:
                contents = form.open(given.root, files, params, config.columns)
        bare = without_other_half(given.skipped, ()) if labels else ()
        others = tuple(file for file in given.skipped if file not in bare)
        skipped = {"skipped": f"no data: {_some(others)}"} if others else {}
        notes = {**notes, **_unlabelled(bare)}
        return SourceData(
            **_tasks(contents, _asked(params)),
            feature_names=contents.feature_names,
            table=contents.table,
            parts=files.found or contents.parts,
            provenance={
                "source": "local",
                "path": _asked(params),
                "format": name,
                "files": f"{len(given.files)} file{'s' * (len(given.files) > 1)}",
                **skipped,
                **notes,
                **contents.notes,
            },
        )


class _Given(NamedTuple):
    """What was asked for: files by part where the user says which, else all in one; what is none.

    Args:
        root: the one folder that was asked for; "" where it is another thing.
        files: all of them.
        parts: those of each part, and the folder each is below, where the user says which.
        skipped: files there that are no data.
        labels: the file of labels of each file, if they are in files of their own.
    """

    root: str
    files: tuple[str, ...]
    parts: Mapping[Split, tuple[str, tuple[str, ...]]]
    skipped: tuple[str, ...]
    labels: Mapping[str, str]


class DataFiles(NamedTuple):
    """What a path means.

    Args:
        root: the folder that it means; "" if it is another thing.
        files: the files of data, and of pairs those of the features.
        skipped: files there that are no data.
        labels: the file of labels of each file of features, see `paired`.
    """

    root: str
    files: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    labels: Mapping[str, str] = MappingProxyType({})


def _given(params: LocalParams) -> _Given:
    if params.path is not None:
        root, files, more, labels = data_files(params.path, params.y_path)
        return _Given(root, files, {}, more, labels)
    parts: dict[Split, tuple[str, tuple[str, ...]]] = {}
    every: list[str] = []
    skipped: tuple[str, ...] = ()
    every_label: dict[str, str] = {}
    for part in SPLITS:
        if (path := getattr(params, part)) is None:
            continue
        root, files, more, labels = data_files(path)
        every_label |= labels
        if twice := sorted(set(files) & set(every)):
            raise DataError(
                "a file is in two parts", field=f"params.{part}", value=twice[0],
                fix="Give each part files of its own.",
            )  # fmt: skip
        parts[part] = root or files[0].rpartition("/")[0], files
        every += files
        skipped = (*skipped, *more)
    return _Given("", tuple(every), parts, skipped, every_label)


def data_files(path: str, y_path: str | None = None) -> DataFiles:
    """The files of data that `path` means, and those beside them that are none.

    Raises:
        DataError: the path does not exist or has no data; features without labels, or labels
            without features, beside pairs of such files.
    """
    root, found, hidden = find_files(path)
    if y_path is not None:  # it may lie among the files that it labels
        found = tuple(file for file in found if file != absolute(y_path))
    if len(found) == 1 and not root:
        return DataFiles(root, found)
    files = data_among(found)
    if not files:
        raise DataError(
            f"there is no data, only {_some(found)}",
            field="params.path",
            value=path,
            fix="Check the path.",
        )
    labels = dict(paired(files))
    if labels:
        _check_halves(files, labels, path)
        files = tuple(file for file in files if file in labels)
    kept = {*files, *labels.values()}
    skipped = (*(file for file in found if file not in kept), *hidden)
    return DataFiles(root, files, skipped, labels)


def _check_halves(files: Sequence[str], labels: Mapping[str, str], path: str) -> None:
    """Raise `DataError` if a file is half of a pair; a test without labels is none."""
    halves = [
        file.rpartition("/")[2]
        for file in without_other_half(files, tuple(labels.items()))
        if part_of_name(file.rpartition("/")[2].rpartition(".")[0]).part != "test"
        or file.rpartition("/")[2].lower().startswith("y")
    ]
    if halves:
        raise DataError(
            f"{_some(halves)} {'has' if len(halves) == 1 else 'have'} no other half: features and "
            "labels are in files of their own here, such as "
            f"{_some(tuple(next(iter(labels.items()))))}",
            field="params.path",
            value=path,
            fix="Add the other file, or remove this one.",
        )


def _parts(given: _Given, form: Format | TableFormat) -> PartFiles:
    if given.parts:
        files = {part: form.rows_in(files) for part, (_, files) in given.parts.items()}
        homes = {part: home for part, (home, _) in given.parts.items()}
        found = tuple((part, _some(paths)) for part, paths in files.items())
        return PartFiles(files, homes, found if len(found) > 1 else ())
    rows = form.rows_in(given.files)
    return divide_files(
        given.root, rows, by_names=form.parts_by_name, listed=given.root or _some(rows)
    )


def _open_table(
    form: TableFormat, files: PartFiles, params: LocalParams, config: SourceConfig
) -> tuple[PartFiles, Contents, dict[str, str]]:
    """The files that have labels, and what is in them; a test without labels is left out and said.

    Raises:
        DataError: see `TableFormat.open`; a file without labels that was asked for as test, that is
            in another part, or that lies among labelled files of the test.
    """
    request = request_of(params, config)
    try:
        return files, form.open(files, params, request), {}
    except UnlabelledError as exc:
        test = files.get("test", ())
        if params.path is None or exc.field not in test or len(test) > 1:
            raise
    kept = files.without("test")
    return kept, form.open(kept, params, request), _unlabelled(test)


def _unlabelled(files: Sequence[str]) -> dict[str, str]:
    """What to say of a test without labels, for the provenance."""
    said = f"{_some(files)} has no labels and is left out of the parts; predict on it"
    return {"unlabelled": said} if files else {}


def _asked(params: LocalParams) -> str:
    """The path, or the paths of the parts, in words."""
    if params.path is not None:
        return params.path
    return ", ".join(path for part in SPLITS if (path := getattr(params, part)) is not None)


def _some(files: Sequence[str]) -> str:
    names = [file.rstrip("/").rpartition("/")[2] for file in files]
    if len(names) <= _SHOWN:
        return ", ".join(names)
    return f"{', '.join(names[:_SHOWN])} and {len(names) - _SHOWN} more"


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
    from qstore_ray.data.sources.local.base import ChunkTask

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
    """The format that a file's suffix means."""
    name = where.rpartition("/")[2].lower()
    found = next((form for form, ends in _SUFFIXES.items() if name.endswith(ends)), None)
    if found is not None or (plain := unpacked_name(name)) == name:
        return found
    return next((form for form in _TEXTS if plain.endswith(_SUFFIXES[form])), None)


def format_name(files: tuple[str, ...], params: LocalParams) -> str:
    """The format of the files: as it was asked for, or by their suffix.

    Raises:
        DataError: no format has the suffix, or files of several formats.
    """
    if params.format != "auto":
        return params.format
    known = {form: file for file in files if (form := format_of(file)) is not None}
    if "images" in known:  # a file of another kind among images is a bad image
        return "images"
    strange = [file for file in files if format_of(file) is None]
    if strange:
        if not is_remote(strange[0]):
            with reading(strange[0]):
                Path(strange[0]).stat()  # a path that does not exist has no format either
        message, fix = refused(strange[0]) or ("no format has this suffix", "")
        raise DataError(
            message,
            field="params.path",
            value=strange[0],
            fix=fix
            or f"Set params.format to one of {', '.join(_FORMATS)}, or give a pattern such as "
            '"data/*.csv".',
        )
    if len(known) > 1:
        raise DataError(
            f"files of several formats: {', '.join(sorted(known))}",
            field="params.path",
            value=sorted(known.values()),
            fix='Give a pattern such as "data/*.csv".',
        )
    return next(iter(known))


def open_format(name: str) -> Format | TableFormat:
    """The format called `name`; its module is imported for it."""
    module, _, attribute = _FORMATS[name].partition(":")
    opened: Format | TableFormat = getattr(
        importlib.import_module(f"qstore_ray.data.sources.local.{module}"), attribute
    )()
    return opened


def taken_by(form: Format | TableFormat) -> frozenset[str]:
    """Names of the parameters that mean something to a format."""
    return form.takes | _EVERYWHERE


def check_taken(
    name: str, form: Format | TableFormat, params: LocalParams, config: SourceConfig | None
) -> None:
    """Refuse a setting that this format would ignore.

    Raises:
        ConfigError: a parameter, or a column by its name, that files of the format do not have.
    """
    for field, info in LocalParams.model_fields.items():
        value = getattr(params, field)
        if field not in form.takes | _EVERYWHERE and value != info.default:
            raise ConfigError(
                f"files of the format {name} do not take this",
                field=f"params.{field}",
                value=value,
                fix=f"Leave it out. It takes: {', '.join(sorted(form.takes | _EVERYWHERE))}.",
            )
    for field in ("label", "group", "weight"):
        asked = getattr(None if config is None else config.columns, field, None)
        if asked is not None and not isinstance(form, TableFormat):
            raise ConfigError(
                f"files of the format {name} have no columns with names",
                field=f"columns.{field}",
                value=asked,
                fix="Leave it out.",
            )
