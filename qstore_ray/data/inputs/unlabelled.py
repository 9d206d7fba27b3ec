"""Files to predict on or to score: read by the code and the settings that training files are.

The model's own reader settings (delimiter, header, size of images, …) are the default; a label, an
id or any other column that is no feature may be there, or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from qstore_ray.data.inputs.frame import Frame
from qstore_ray.data.inputs.signature import Signature
from qstore_ray.data.inputs.table_rows import no_rows_error, read_frame
from qstore_ray.data.rows.raw import read_raw
from qstore_ray.data.sources.base import ReadTask, SourceConfig
from qstore_ray.data.sources.local.adapter import (
    LocalFilesSourceAdapter,
    check_taken,
    data_files,
    format_name,
    format_of,
    open_format,
    request_of,
    taken_by,
)
from qstore_ray.data.sources.local.base import TableFormat, joined
from qstore_ray.data.sources.local.other_files import content_told
from qstore_ray.data.sources.local.pairs import labels_of_files, open_pairs, read_labels
from qstore_ray.data.sources.local.params import LocalParams
from qstore_ray.data.sources.parts import PartFiles, divide_files
from qstore_ray.data.tables.names import LABELS
from qstore_ray.errors import ConfigError, unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, Table


_USUAL = tuple(form for name in LABELS for form in (name, name.title(), name.upper()))
"""The usual names of labels, as they are written."""


class Unlabelled(NamedTuple):
    """Rows of files, as `Signature.raw` takes them.

    Args:
        rows: a table with every column there is, or an array (N, …).
        files: where the rows are from; of images, one a row.
        params: how they were read.
    """

    rows: Frame | AnyArray
    files: tuple[str, ...]
    params: LocalParams


def read_unlabelled(
    path: str,
    signature: Signature,
    changes: Table | None = None,
    kept: tuple[str, ...] = (),
) -> Unlabelled:
    """The rows of a file, a folder, a pattern or a URI, without labels.

    Args:
        signature: of the model that the rows are for.
        changes: parameters of the source `local` in place of the model's own.
        kept: columns that are read beside the features, if they exist.

    Raises:
        ConfigError: a parameter that does not exist, or that the format does not take.
        DataError: nothing there, of no known format, damaged, or without rows.
    """
    changes = dict(changes or {})
    found = data_files(path, changes.get("y_path")).files
    params = params_for(found, signature, changes)
    name = format_name(found, params)
    form = open_format(name)
    found = form.rows_in(found)
    check_taken(name, form, _made(changes), SourceConfig(name="rows"))
    rows: Frame | AnyArray
    with content_told(found):
        if isinstance(form, TableFormat):
            rows = read_frame(form, found, params, signature, kept)
        else:
            rows = array = form.unlabelled(found, params, signature)
            if not (array.ndim and len(array)):
                raise no_rows_error(path)
    return Unlabelled(rows, found, params)


class Labelled(NamedTuple):
    """Rows of files with labels.

    Args:
        rows: a table with its label column, or an array (N, …).
        y: labels (N,) or (N, T) of an array; None where the table has them.
    """

    rows: Frame | AnyArray
    y: AnyArray | None


def read_labelled(
    path: str,
    signature: Signature,
    label: str | None,
    split: str,
    changes: Table | None = None,
) -> Labelled:
    """The rows of a file, a folder or a pattern with their labels, to score a model on.

    Args:
        label: the column of labels, where the files have columns.
        split: which part is taken where the files have official parts; else all rows are.

    Raises:
        ConfigError, DataError: as `read_unlabelled`; no labels.
    """
    changes = dict(changes or {})
    root, found, _, labels = data_files(path, changes.get("y_path"))
    params = params_for(found, signature, changes)
    name = format_name(found, params)
    labels = labels_of_files(name, found, labels, params)
    if labels:
        those = divide_files(root, found, by_names=True, listed=path)
        return _of_pairs(those, labels, params, signature, split)
    if isinstance(open_format(name), TableFormat):
        weight = None if signature.table is None else signature.table.weight
        usual = _USUAL if label is None else (label,)
        kept = (*usual, *(() if weight is None else (weight,)))
        return Labelled(read_unlabelled(path, signature, changes, kept).rows, None)
    given = LocalParams(**{**params.to_dict(), "path": path})
    source = LocalFilesSourceAdapter().read(given, SourceConfig(name="rows"))
    parts: dict[Any, tuple[ReadTask, ...]] = {"train": source.tasks, **source.official}
    if source.official and split not in parts:
        raise unknown_name_error("part of these files", split, parts, field="split")
    blocks = [read_raw(task, several=True) for task in parts[split if source.official else "train"]]
    x, y = (joined(part) for part in zip(*((raw.x, raw.y) for raw in blocks), strict=True))
    return Labelled(x, y)


def _of_pairs(
    parts: PartFiles,
    labels: Mapping[str, str],
    params: LocalParams,
    signature: Signature,
    split: str,
) -> Labelled:
    """The rows of files of features with the labels of other files, of one part."""
    if len(parts) > 1 and split not in parts:
        raise unknown_name_error("part of these files", split, parts, field="split")
    part = cast("Any", split if len(parts) > 1 else next(iter(parts)))
    files = PartFiles({part: parts[part]}, {})
    contents = open_pairs(files, labels, params, request_of(params, None))
    (chunks,) = contents.chunks.values()
    form = cast("TableFormat", open_format("csv"))
    return Labelled(
        read_frame(form, parts[part], params, signature, ()), joined(read_labels(chunks))
    )


def params_for(files: tuple[str, ...], signature: Signature, changes: Table) -> LocalParams:
    """How the files are read: as the model's training files, as far as their format takes it.

    Raises:
        ConfigError: a parameter that does not exist, or that means which file.
    """
    if "path" in changes:
        raise ConfigError(
            "the file is given already",
            field="params.path",
            value=changes["path"],
            fix="Leave it out.",
        )
    own = dict(signature.reader)
    if format_of(files[0]) is not None:
        own.pop("format", None)  # a model of CSV files predicts on Parquet too
    form = open_format(format_name(files, _made({**_only(own, "format"), **changes})))
    return _made({**_only(own, *taken_by(form)), **changes})


def _only(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def _made(values: Mapping[str, Any]) -> LocalParams:
    """The parameters. What they would need for labels (a second file, `y`) is not asked for."""
    whole = {"path": "rows", **values}
    if "x" in whole:
        whole.setdefault("y", "y")
    return LocalParams(**whole)
