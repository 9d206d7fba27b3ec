"""Which rows of a source take part: chosen classes, so many rows, and what becomes of rare classes.

    [dataset.select]
    classes = [3, 5]
    rows = 500

Nothing here looks at features. What is decided are positions of rows and what the classes are; both
go into the fingerprint, and what was left out is said in the provenance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.data.rows.labels import ClassLabels, Label, Labels, find_labels
from qstore_ray.data.rows.spelling import look_alike
from qstore_ray.errors import ConfigError, DataError, numbered, unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.data.config import DatasetConfig
    from qstore_ray.data.rows.select_config import SelectConfig
    from qstore_ray.data.survey import PartSurvey
    from qstore_ray.types import AnyArray, IntArray

_RARE = 3
_EXACT = 2.0**53
_MANY, _ROWS_EACH = 20, 5
_SHOWN = 3


def select(
    config: DatasetConfig, parts: Mapping[str, PartSurvey], kept: Mapping[str, IntArray]
) -> tuple[dict[str, IntArray], Labels, dict[str, str]]:
    """The positions of each part that take part, what the labels are, and what was done in words.

    Raises:
        ConfigError: a choice of classes where labels are no classes.
        DataError: fewer than two classes are left.
        UnknownNameError: a class that the data do not have.
    """
    chosen, said = dict(kept), {}
    asked = config.select
    if config.task != "classification" and (asked.classes or config.rare_classes != "keep"):
        raise ConfigError(
            "only a classification has classes to choose among",
            field="select.classes" if asked.classes else "rare_classes",
            value=asked.classes or config.rare_classes,
            fix="Leave it out.",
        )
    if asked.classes is not None:
        chosen = _of_classes(asked.classes, parts, chosen)
        said["classes"] = f"classes {', '.join(map(str, asked.classes))} only"
    if asked.rows is not None:
        chosen[""] = _so_many(asked, chosen[""], config.seed)
        said["rows"] = f"{len(chosen[''])} rows, the {asked.order} ones"
    _check_left(config, parts, kept, chosen)
    labels = find_labels(config.task, parts[""].y[chosen[""]])
    if isinstance(labels, ClassLabels):
        chosen, labels, rare = _without_rare(config, parts, chosen, labels)
        said |= {"rare": rare} if rare else {}
        said |= _alike(labels) | _many(labels, len(chosen[""]))
    return chosen, labels, said


def _alike(labels: ClassLabels) -> dict[str, str]:
    """What to say of classes that may be one, since they only differ in how they are written."""
    groups = look_alike(label for label in labels.classes if isinstance(label, str))
    if not groups:
        return {}
    shown = "; ".join(", ".join(map(repr, group)) for group in groups[:_SHOWN])
    more = "; …" if len(groups) > _SHOWN else ""
    return {"alike": f"classes that differ in case, blanks or notation only: {shown}{more}"}


def _many(labels: ClassLabels, n_rows: int) -> dict[str, str]:
    """What to say of whole numbers that may be quantities: many, with few rows each."""
    n_classes = len(labels.classes)
    whole = not isinstance(labels.classes[0], str | bool)
    if not whole or n_classes < _MANY or n_rows >= _ROWS_EACH * n_classes:
        return {}
    return {
        "many": f"{n_classes} whole numbers are the classes of {n_rows} rows; if they are "
        'quantities, set task = "regression"'
    }


def encode(labels: Labels, part: PartSurvey, kept: IntArray) -> AnyArray:
    """Class numbers or targets of all rows of a part; without meaning of those left out."""
    with numbered(part.row[kept]):
        some = labels.encode(part.y[kept])
    if len(some) == len(part.y):
        return some
    numbers = np.full((len(part.y), *some.shape[1:]), -1, some.dtype)
    numbers[kept] = some
    return numbers


def _of_classes(
    classes: tuple[Label, ...], parts: Mapping[str, PartSurvey], kept: Mapping[str, IntArray]
) -> dict[str, IntArray]:
    y = parts[""].y
    known = np.unique(y[kept[""]])
    text = known.dtype.kind == "U"
    by_text = {str(label): label for label in ([] if text else _exact(known))}
    wanted = [str(label) if text else by_text.get(str(label), label) for label in classes]
    for label in wanted:
        if label not in known.tolist():
            names = known.tolist() if text else by_text
            raise unknown_name_error("class", str(label), map(str, names), field="select.classes")
    return {
        name: rows[np.isin(parts[name].y[rows], np.asarray(wanted))] for name, rows in kept.items()
    }


def _exact(known: AnyArray) -> list[Any]:
    """Labels that are no text as `classes` has them: 1.0 is the class 1."""
    whole = known.dtype.kind == "f" and bool(
        ((known == np.round(known)) & (np.abs(known) < _EXACT)).all()
    )
    found: list[Any] = (known.astype(np.int64) if whole else known).tolist()
    return found


def _so_many(asked: SelectConfig, rows: IntArray, seed: int) -> IntArray:
    assert asked.rows is not None
    if asked.rows > len(rows):
        raise DataError(
            f"{asked.rows:,} rows are asked for, there are {len(rows):,}",
            field="select.rows",
            fix="Ask for fewer rows, or leave it out.",
        )
    if asked.order == "first":
        return rows[: asked.rows]
    order = np.argsort(np.random.PCG64(seed).random_raw(len(rows)), kind="stable")
    return np.sort(rows[order[: asked.rows]])


def _check_left(
    config: DatasetConfig,
    parts: Mapping[str, PartSurvey],
    kept: Mapping[str, IntArray],
    chosen: Mapping[str, IntArray],
) -> None:
    """Raise `DataError` where dropping bad rows, or the choice, left no row of a class."""
    for name, rows in chosen.items():
        if not len(rows):
            raise DataError(
                f"no row of {f'the official {name} split' if name else 'the source'} is left",
                field="select",
            )
    if config.task != "classification" or config.bad_values != "drop":
        return
    part = parts[""]
    labelled = np.setdiff1d(np.arange(len(part.y)), part.unlabelled)
    gone = np.setdiff1d(part.y[labelled], part.y[kept[""]])
    asked = config.select.classes
    gone = gone if asked is None else gone[np.isin(gone.astype(str), [str(c) for c in asked])]
    if len(gone):
        raise DataError(
            f"every row of class {gone[0].item()!r} has NaN or infinity and was dropped",
            field="bad_values",
            value=config.bad_values,
            fix='Fill the values instead, with {"name": "impute"} as the first step, leave out the '
            "columns that are never filled, or leave the class out by select.classes.",
        )


def _without_rare(
    config: DatasetConfig,
    parts: Mapping[str, PartSurvey],
    chosen: dict[str, IntArray],
    labels: ClassLabels,
) -> tuple[dict[str, IntArray], ClassLabels, str]:
    if config.rare_classes == "keep":
        return chosen, labels, ""
    y = parts[""].y[chosen[""]]
    counts = np.bincount(labels.encode(y), minlength=len(labels.classes))
    least = config.rare_below or config.split.folds or _RARE
    rare = tuple(c for c, n in zip(labels.classes, counts, strict=True) if n < least)
    if not rare:
        return chosen, labels, ""
    listed = ", ".join(map(str, rare))
    if config.rare_classes == "error":
        raise DataError(
            f"classes of fewer than {least} rows: {listed}",
            field="rare_classes",
            fix='Set rare_classes = "drop", "merge" or "keep", or rare_below to another number.',
        )
    if config.rare_classes == "drop":
        chosen = {
            name: rows[~np.isin(parts[name].y[rows], np.asarray(rare))]
            for name, rows in chosen.items()
        }
        found = ClassLabels.of(parts[""].y[chosen[""]])
        return chosen, found, f"classes of fewer than {least} rows dropped: {listed}"
    merged = labels.with_merged(rare)
    return (
        chosen,
        merged,
        f"classes of fewer than {least} rows are {merged.classes[-1]!r}: {listed}",
    )
