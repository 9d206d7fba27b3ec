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
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from qstore_ray.config import Config
from qstore_ray.data.columns import TableSchema
from qstore_ray.data.files.files import absolute, find_files
from qstore_ray.data.sources.base import (
    TABLE_COLUMNS,
    ColumnsConfig,
    ReadTask,
    SourceAdapter,
    SourceConfig,
    SourceData,
)
from qstore_ray.data.sources.local.base import Format, TableFormat
from qstore_ray.data.sources.local.other_files import data_among, paired, refused
from qstore_ray.data.sources.local.params import LocalParams
from qstore_ray.data.sources.local.unpacked import unpacked_name
from qstore_ray.data.sources.parts import SPLITS, PartFiles, Split, divide_files
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
        if isinstance(form, TableFormat):
            files, contents, notes = _open_table(form, files, params, config)
        else:
            notes = {}
            contents = form.open(given.root, files, params, config.columns)
        skipped = {"skipped": f"no data: {_some(given.skipped)}"} if given.skipped else {}
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
    """

    root: str
    files: tuple[str, ...]
    parts: Mapping[Split, tuple[str, tuple[str, ...]]]
    skipped: tuple[str, ...]


def _given(params: LocalParams) -> _Given:
    if params.path is not None:
        root, files, more = data_files(params.path, params.y_path)
        return _Given(root, files, {}, more)
    parts: dict[Split, tuple[str, tuple[str, ...]]] = {}
    every: list[str] = []
    skipped: tuple[str, ...] = ()
    for part in SPLITS:
        if (path := getattr(params, part)) is None:
            continue
        root, files, more = data_files(path)
        if twice := sorted(set(files) & set(every)):
            raise DataError(
                "a file is in two parts", field=f"params.{part}", value=twice[0],
                fix="Give each part files of its own.",
            )  # fmt: skip
        parts[part] = root or files[0].rpartition("/")[0], files
        every += files
        skipped = (*skipped, *more)
    return _Given("", tuple(every), parts, skipped)


def data_files(
    path: str, y_path: str | None = None
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The folder that `path` means, the files of data, and those beside them that are none.

    Raises:
        DataError: nothing is there, or no data.
    """
    root, found, hidden = find_files(path)
    if y_path is not None:  # it may lie among the files that it labels
        found = tuple(file for file in found if file != absolute(y_path))
    if len(found) == 1 and not root:
        return root, found, ()
    files = data_among(found)
    if not files:
        raise DataError(
            f"there is no data, only {_some(found)}",
            field="params.path",
            value=path,
            fix="Check the path.",
        )
    if pairs := paired(files):
        raise _two_files_error(path, pairs)
    kept = set(files)
    return root, files, (*(file for file in found if file not in kept), *hidden)


def _two_files_error(path: str, pairs: Sequence[tuple[str, str]]) -> DataError:
    x, y = (file.rpartition("/")[2] for file in pairs[0])
    comma = ', delimiter=","' if x.lower().endswith(".csv") else ""
    arrays = (
        f'{file.rpartition("/")[2].rpartition(".")[0]}=np.loadtxt("{file}"{comma})'
        for pair in pairs
        for file in pair
    )
    return DataError(
        f"the features are in {x} and their labels in {y}; text files are read as tables, in which "
        "each row has its label",
        field="params.path",
        value=path,
        fix=f'Write np.savez("data.npz", {", ".join(arrays)}), and give data.npz as params.path.',
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
    said = f"{_some(test)} has no labels and is left out of the parts; predict on it"
    return kept, form.open(kept, params, request), {"unlabelled": said}


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
    """The format that a file's suffix stands for."""
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
    for field in ("label", "group", "weight"):
        asked = getattr(None if config is None else config.columns, field, None)
        if asked is not None and not isinstance(form, TableFormat):
            raise ConfigError(
                f"files of the format {name} have no columns with names",
                field=f"columns.{field}",
                value=asked,
                fix="Leave it out.",
            )
