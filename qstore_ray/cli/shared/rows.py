"""Rows that a command is given for a model: a file of any format, and what is taken of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qstore_ray.cli.output import note
from qstore_ray.config import apply_overrides
from qstore_ray.data.inputs.frame import Frame, label_name, left_out
from qstore_ray.data.inputs.labelled import label_column
from qstore_ray.data.inputs.signature import Signature
from qstore_ray.data.inputs.unlabelled import Unlabelled, read_labelled, read_unlabelled
from qstore_ray.errors import UsageError, unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.train.model.trained import TrainedModel
    from qstore_ray.types import AnyArray, Table

FILENAME = "filename"
_SHOWN = 12


def read_rows(model: TrainedModel, path: str, changes: list[str] | None, *kept: str) -> Unlabelled:
    """The rows of a file, a folder or a pattern, read as the model's training files were.

    Args:
        kept: columns that are read beside the features.

    Raises:
        UsageError: a change of something else than how a file is read.
        ConfigError, DataError: see `read_unlabelled`.
    """
    signature = model.signature or Signature(model.preparation.n_features)
    label, others = label_asked(changes)
    kept = kept if label is None else (*kept, label)
    found = read_unlabelled(path, signature, reading(others), kept)
    if model.signature is None and isinstance(found.rows, Frame):
        if found.params.header is not False:
            _say_positions(found.rows)
        found = found._replace(rows=found.rows.in_places())
    return found


def labelled_rows(model: TrainedModel, path: str, split: str, changes: list[str] | None) -> Dataset:
    """The labelled rows of a file, a folder or a pattern, as the split `split` of a dataset.

    A table's label is the column of training, found by its name. Of files with official parts,
    `split` is taken.

    Raises:
        UsageError: as `read_rows`.
        ConfigError, DataError: see `read_labelled` and `TrainedModel.labelled`.
    """
    signature = model.signature or Signature(model.preparation.n_features)
    label, others = label_asked(changes)
    known = label or (None if signature.table is None else signature.table.label)
    found = read_labelled(path, signature, known, split, reading(others))
    if known is None and found.y is None:
        known = label_name(found.rows, signature.table)
    if model.signature is not None and signature.table is None and isinstance(found.rows, Frame):
        if found.y is not None or known in found.rows.names:  # else there are no labels
            rows_by_place(model, found.rows, (), known)
        rows = found.rows._replace(announced=True)
        return model.labelled(rows, found.y, label=known, split=split)
    if model.signature is None and isinstance(found.rows, Frame):
        labels = label_column(found.rows, known, model.classes, None)
        features = found.rows.without(known)
        _say_positions(features)
        return model.labelled(features.in_places(), labels, split=split)
    roles = {} if known is None else {known: "label"}
    weight = None if signature.table is None else signature.table.weight
    if weight is not None and isinstance(found.rows, Frame):
        if weight in found.rows.names:
            roles[weight] = "weight"
        else:
            note(f"note: the rows have no column {weight!r}, so each of them counts as 1")
    say_what_is_taken(model, found.rows, roles)
    return model.labelled(found.rows, found.y, label=known, split=split)


def rows_by_place(
    model: TrainedModel, rows: Frame | AnyArray, ids: Iterable[str], label: str | None
) -> Frame | AnyArray:
    """The features of a table for a model without names, with one line that says which they are.

    Rows of other kinds, and for models with names, are returned as they are.

    Args:
        ids: columns that are used for something else.
        label: the label; by default the one column with a usual name.

    Raises:
        DataError: another number of columns than the model has features.
    """
    signature = model.signature
    if signature is None or signature.table is not None or not isinstance(rows, Frame):
        return rows
    rest = rows
    for name in ids:
        rest = rest.without(name)
    label = rest.usual_label(signature.n_features) if label is None else label
    taken = rest.taken(signature.n_features, label)
    said = "" if label is None else f"; label {label}"
    names = [str(name) for name in taken.names]
    note(f"{len(names)} features, by position (the model has no names): {_listed(names)}{said}")
    return taken._replace(announced=True)


def label_asked(changes: list[str] | None) -> tuple[str | None, list[str]]:
    """The column that `columns.label` names, and the other changes."""
    own = [change for change in changes or [] if change.split("=")[0].strip() == "columns.label"]
    others = [change for change in changes or [] if change not in own]
    label = apply_overrides({}, own)["columns"]["label"] if own else None
    return None if label is None else str(label), others


def reading(changes: list[str] | None) -> Table:
    """What `--set params.KEY=VALUE` says about reading.

    Raises:
        UsageError: another key.
    """
    given = apply_overrides({}, changes or [])
    params = given.pop("params", {})
    if given or not isinstance(params, dict):
        raise UsageError(
            "a model is as it was trained; only how the file is read may be set",
            field="--set",
            value=changes,
            fix="Write for example --set params.delimiter=';'.",
        )
    return params


def say_what_is_taken(
    model: TrainedModel, rows: Frame | AnyArray, kept: Mapping[str, str] | None = None
) -> None:
    """One line on stderr: which columns are the features, and which are left out.

    Args:
        kept: columns that are used for something else, and for what.
    """
    signature = model.signature
    if signature is None:
        return
    if not isinstance(rows, Frame) or signature.table is None:
        note(f"{signature.n_features} features, by position")
        return
    kept = kept or {}
    words = [f"features: {_listed(signature.table.names)}"]
    words += [f"{role} {name}" for name, role in kept.items()]
    others = [name for name in left_out(rows.names, signature.table) if name not in kept]
    if others:
        words.append(f"left out: {_listed(others)}")
    note("; ".join(words))


def id_column(found: Unlabelled, name: str) -> list[Any]:
    """The values of a column of the input, or with `filename` the files of images.

    Raises:
        UsageError: no such column.
    """
    rows = found.rows
    if isinstance(rows, Frame):
        if name not in rows.names:
            raise unknown_name_error("column", name, map(str, rows.names), field="--id")
        values: list[Any] = rows.arrow(name).to_pylist()
        whole = all(value is None or isinstance(value, float) for value in values) and all(
            value is None or value.is_integer() for value in values
        )
        return [None if v is None else int(v) for v in values] if whole else values
    if name == FILENAME and len(found.files) == len(rows):
        return [Path(file).name for file in found.files]
    raise UsageError(
        "the input has no columns with names",
        field="--id",
        value=name,
        fix="Leave it out; predictions are in the order of the rows.",
    )


def _say_positions(rows: Frame) -> None:
    note(
        "note: this model was trained by a version that kept no column names; the columns of "
        f"the input are taken by position: {_listed([str(name) for name in rows.names])}"
    )


def _listed(names: Any) -> str:
    shown = ", ".join(list(names)[:_SHOWN])
    return f"{shown}, … ({len(names)})" if len(names) > _SHOWN else shown
