"""Files to predict on or to score: read by the code and the settings that training files are.

The model's own reader settings (delimiter, header, size of images, …) are the default; a label, an
id or any other column that is no feature may be there, or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qstore_ray.data.files import find_files
from qstore_ray.data.frame import Frame
from qstore_ray.data.raw import read_raw
from qstore_ray.data.signature import Signature
from qstore_ray.data.sources.base import ReadTask, SourceConfig
from qstore_ray.data.sources.local.adapter import (
    LocalFilesSourceAdapter,
    check_taken,
    format_name,
    format_of,
    open_format,
    taken_by,
)
from qstore_ray.data.sources.local.base import joined
from qstore_ray.data.sources.local.params import LocalParams
from qstore_ray.errors import ConfigError, DataError, unknown_name

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray


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
    path: str, signature: Signature, changes: Mapping[str, Any] | None = None
) -> Unlabelled:
    """The rows of a file, a folder, a pattern or a URI, without labels.

    Args:
        signature: of the model that the rows are for.
        changes: parameters of the source `local` in place of the model's own.

    Raises:
        ConfigError: a parameter that does not exist, or that the format does not take.
        DataError: nothing there, of no known format, damaged, or without rows.
    """
    changes = dict(changes or {})
    _, found = find_files(path)
    params = params_for(found, signature, changes)
    name = format_name(found, params)
    form = open_format(name)
    check_taken(name, form, _made(changes), SourceConfig(name="rows"))
    rows = form.unlabelled(found, params, signature)
    empty = isinstance(rows, np.ndarray) and not (rows.ndim and len(rows))
    if empty or (isinstance(rows, Frame) and not len(rows.column(rows.names[0]))):
        raise DataError(
            "there are no rows", field="params.path", value=path, fix="Give at least one row."
        )
    if isinstance(rows, Frame) and not params.header and "header" in form.takes:
        rows = _placed(rows, signature)
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
    path: str, signature: Signature, split: str, changes: Mapping[str, Any] | None = None
) -> Labelled:
    """The rows of a file, a folder or a pattern with their labels, to score a model on.

    Args:
        split: which part is taken where the files have official parts; else all rows are.

    Raises:
        ConfigError, DataError: as `read_unlabelled`; no labels.
    """
    changes = dict(changes or {})
    _, found = find_files(path)
    params = params_for(found, signature, changes)
    if open_format(format_name(found, params)).tabular:
        return Labelled(read_unlabelled(path, signature, changes).rows, None)
    given = LocalParams(**{**params.to_dict(), "path": path})
    source = LocalFilesSourceAdapter().read(given, SourceConfig(name="rows"))
    parts: dict[Any, tuple[ReadTask, ...]] = {"train": source.tasks, **source.official}
    if source.official and split not in parts:
        raise unknown_name("part of these files", split, parts, field="split")
    blocks = [read_raw(task, several=True) for task in parts[split if source.official else "train"]]
    x, y = (joined(part) for part in zip(*((raw.x, raw.y) for raw in blocks), strict=True))
    return Labelled(x, y)


def params_for(
    files: tuple[str, ...], signature: Signature, changes: Mapping[str, Any]
) -> LocalParams:
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


def _placed(rows: Frame, signature: Signature) -> Frame:
    """Columns without names by their places, if there are as many as the model has features."""
    table = signature.table
    if table is None:
        return rows
    if rows.width == signature.n_features:
        return rows.renamed(table.names)
    if not signature.named:  # the training files had no names either, but maybe a label
        return rows
    raise DataError(
        f"without a header the columns are taken by position: there are {rows.width}, the model "
        f"has {signature.n_features} features",
        field="params.header",
        value=False,
        fix=f"Give a header, or the columns {', '.join(table.names[:20])} alone in this order.",
    )
