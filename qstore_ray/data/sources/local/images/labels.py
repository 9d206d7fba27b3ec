"""Labels of images: from the names of their folders, or from a CSV file with file and label."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from qstore_ray.data.files.files import absolute, file_size, read_range
from qstore_ray.data.sources.local.base import Files
from qstore_ray.data.sources.local.images.places import Places, check_listed, inside_folder
from qstore_ray.data.sources.parts import Split
from qstore_ray.data.tables.texts import label_kind_of
from qstore_ray.errors import ConfigError, DataError

if TYPE_CHECKING:
    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.types import AnyArray

Labelled: TypeAlias = dict[Split, tuple[tuple[str, ...], "AnyArray"]]
_FILE_COLUMNS = (
    frozenset(("filename", "file_name", "file", "path", "filepath", "file_path", "image_path")),
    frozenset(("image", "image_id", "image_name", "img")),
    frozenset(("id",)),
)
_LABEL_COLUMNS = frozenset(
    (
        "label",
        "labels",
        "class",
        "class_name",
        "category",
        "target",
        "y",
        "level",
        "diagnosis",
        "dx",
    )
)
_TABLES = (".csv", ".tsv")


def labels_from_folders(files: Files) -> Labelled:
    """Every image with the name of the first folder below the folder of its part.

    Raises:
        DataError: an image that is in no such folder, or a table among the images.
    """
    labelled: Labelled = {}
    above: set[tuple[str, str]] = set()
    for part, paths in files.items():
        if tables := [path for path in paths if path.lower().endswith(_TABLES)]:
            raise DataError(
                "there is a table among the images",
                field="params.path",
                value=tables[0],
                fix="If it holds the labels, name it in params.y_path; else move it away.",
            )
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
            above.add((below[0], below[1] if len(below) > 2 else ""))
        labelled[part] = paths, np.array(labels)
    _check_above(above)
    return labelled


def _check_above(folders: set[tuple[str, str]]) -> None:
    """Raise `DataError` where the folders of the classes are all below one other folder."""
    outer, inner = ({folder[place] for folder in folders} for place in (0, 1))
    if len(outer) == 1 < len(inner) and "" not in inner:
        folder = next(iter(outer))
        raise DataError(
            f"all images are in one folder, and in {len(inner)} sub-folders of it",
            field="params.path",
            value=folder,
            fix=f'If the sub-folders are the classes, end params.path with "/{folder}".',
        )


def labels_from_file(root: str, files: Files, params: LocalParams) -> Labelled:
    """The images that the file `params.y_path` lists, in its order, with their labels.

    Raises:
        ConfigError: `params.path` is not a folder.
        DataError: another table, a name that leads out of the folder, or an image that is not
            there, is listed twice or is not listed.
    """
    where = absolute(params.y_path or "")
    if not root:
        raise ConfigError("a labels file needs a folder of images", field="params.path", value=root)
    home = {path[len(root) :].lstrip("/"): (part, path) for part in files for path in files[part]}
    rows = _rows(where, params)
    labels = _typed([label for _, _, label in rows], params)
    place = Places(root, home)
    found: dict[Split, list[int]] = {part: [] for part in files}
    names = [place.of(inside_folder(name, f"{where}, line {line}")) for line, name, _ in rows]
    check_listed(rows, names, home, where)
    for position, inside in enumerate(names):
        found[home[inside][0]].append(position)
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
        text = content.decode("utf-8-sig")
        head = text.partition("\n")[0]
        delimiter = next((sign for sign in ",;\t" if sign in head), ",")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
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
    """The column of files and the column of labels, by their usual names.

    Of two columns, the one beside the files is the label, under any name.
    """
    plain = {name: name.strip().lower() for name in names}
    files = next(
        (there for known in _FILE_COLUMNS if (there := [n for n in names if plain[n] in known])), []
    )
    others = [name for name in names if name not in files]
    labels = others if len(names) == 2 else [n for n in others if plain[n] in _LABEL_COLUMNS]
    if len(files) != 1 or len(labels) != 1:
        what, found = ("files", files) if len(files) != 1 else ("labels", labels)
        raise DataError(
            f"{', '.join(found)} could all be the column of {what}"
            if found
            else f"no column of {what} is known in the labels file",
            field=where,
            value=list(names),
            fix="Call the column of files filename and the one of labels label.",
        )
    return files[0], labels[0]


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
