"""Labels of images: from the names of their folders, or from a CSV file with file and label."""

from __future__ import annotations

import csv
import io
import posixpath
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from qstore_ray.data.files import absolute, file_size, is_remote, read_range
from qstore_ray.data.sources.local.base import Files
from qstore_ray.data.sources.parts import Split
from qstore_ray.data.tables.texts import label_kind_of
from qstore_ray.errors import ConfigError, DataError

if TYPE_CHECKING:
    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.types import AnyArray

Labelled: TypeAlias = dict[Split, tuple[tuple[str, ...], "AnyArray"]]
_COLUMNS = ("filename", "label")
_FILE_COLUMNS = frozenset(
    ("filename", "file_name", "file", "path", "filepath", "image", "image_id", "img", "id")
)
_LABEL_COLUMNS = frozenset(
    ("label", "labels", "class", "class_name", "category", "target", "y", "diagnosis")
)


def labels_from_folders(files: Files) -> Labelled:
    """Every image with the name of the first folder below the folder of its part.

    Raises:
        DataError: an image that is in no such folder.
    """
    labelled: Labelled = {}
    for part, paths in files.items():
        labels = []
        for path in paths:
            below = path[len(files.homes[part]) :].lstrip("/").split("/")
            if len(below) < 2:
                raise DataError(
                    "the image is in no class's folder",
                    field="params.path",
                    value=path,
                    fix="Give a folder with a sub-folder for each class, or a folder and "
                    "params.y_path.",
                )
            labels.append(below[0])
        labelled[part] = paths, np.array(labels)
    return labelled


def labels_from_file(root: str, files: Files, params: LocalParams) -> Labelled:
    """The images that the file `params.y_path` lists, in its order, with their labels.

    Raises:
        DataError: another table, a name that leads out of the folder, or an image that is not
            there, is listed twice or is not listed.
    """
    where = absolute(params.y_path or "")
    if not root:
        raise ConfigError("a labels file needs a folder of images", field="params.path", value=root)
    home = {path[len(root) :].lstrip("/"): (part, path) for part in files for path in files[part]}
    rows = _rows(where, params)
    labels = _typed([label for _, _, label in rows], params)
    stems: dict[str, list[str]] = {}
    for inside in home:
        stems.setdefault(posixpath.splitext(inside)[0], []).append(inside)
    found: dict[Split, list[int]] = {part: [] for part in files}
    names: list[str] = []
    listed: set[str] = set()
    for position, (line, name, _) in enumerate(rows):
        inside = _with_suffix(_inside(name, f"{where}, line {line}"), home, stems)
        names.append(inside)
        if inside in listed or inside not in home:
            raise DataError(
                "the image is listed twice" if inside in listed else "no such image in the folder",
                field=f"{where}, line {line}",
                value=name,
                fix="Remove the line.",
            )
        listed.add(inside)
        found[home[inside][0]].append(position)
    if missing := sorted(set(home) - listed):
        raise DataError(
            f"{len(missing)} images have no label",
            field=where,
            value=missing[0],
            fix="Add a line for each, or move them away.",
        )
    return {
        part: (tuple(home[names[k]][1] for k in positions), labels[positions])
        for part, positions in found.items()
    }


def _rows(where: str, params: LocalParams) -> list[tuple[int, str, str]]:
    """Line, filename and label of every row."""
    size = file_size(where)
    if size > params.max_bytes:
        raise DataError(
            f"{size:,} bytes, {params.max_bytes:,} are allowed",
            field=where,
            fix="Raise params.max_bytes if this is meant.",
        )
    content = read_range(where, 0, size)
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        columns = _columns(reader.fieldnames or (), where)
        rows = []
        for row in reader:
            name, label = (row[column] for column in columns)
            if not name or not label:
                raise DataError(
                    "a filename or label is missing", field=f"{where}, line {reader.line_num}"
                )
            rows.append((reader.line_num, name, label))
    except (csv.Error, UnicodeDecodeError) as exc:
        raise DataError(
            f"not a CSV file in UTF-8: {exc}", field="params.y_path", value=where
        ) from exc
    return rows


def _columns(names: Sequence[str], where: str) -> tuple[str, str]:
    """The column of files and the column of labels, by their usual names."""
    found = []
    for known in (_FILE_COLUMNS, _LABEL_COLUMNS):
        there = [name for name in names if name.strip().lower() in known]
        if len(there) != 1:
            raise DataError(
                "the labels file has other columns",
                field=where,
                value=list(names),
                fix=f"Its first line has to be: {','.join(_COLUMNS)}",
            )
        found.append(there[0])
    return found[0], found[1]


def _with_suffix(name: str, home: Mapping[str, object], stems: Mapping[str, list[str]]) -> str:
    """The file that an id without suffix means (`0001` for `0001.png`), where it is one."""
    if name in home or len(stems.get(name, ())) != 1:
        return name
    return stems[name][0]


def _inside(name: str, where: str) -> str:
    """The name without `./`, if it stays in the folder."""
    plain = posixpath.normpath(name)
    outside = plain.startswith(("/", "..", "~")) or "\\" in name or "\0" in name or is_remote(name)
    if outside or ".." in name.split("/"):
        raise DataError(
            "a filename that leads out of the folder",
            field=where,
            value=name,
            fix="Write names relative to params.path, without .. or a leading slash.",
        )
    return plain


def _typed(labels: list[str], params: LocalParams) -> AnyArray:
    kind: str = params.label_type
    if kind == "auto":
        kind = label_kind_of([label.strip() for label in labels], (), quantity=False)
    if kind == "boolean":
        return np.array([label.strip().lower() == "true" for label in labels])
    try:
        return np.array(labels) if kind == "text" else np.array(labels, dtype=np.float64)
    except ValueError as exc:
        raise DataError(
            f"a label is not a number: {exc}",
            field="params.label_type",
            fix='Set params.label_type = "text".',
        ) from exc
