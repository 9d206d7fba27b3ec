"""The survey of a source: every block read once, its features looked at and let go.

What is kept is small: labels, row numbers, digests, and where the first NaN or infinity is. The
classes, the split and the fingerprint follow from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import xxhash

from qstore_ray.data.rows.labels import join_labels
from qstore_ray.data.rows.raw import RawRows, read_raw, to_block
from qstore_ray.data.rows.spelling import spelled_labels
from qstore_ray.data.rows.validate import (
    BadValue,
    bad_values,
    check_not_empty,
    check_width,
    marked_rows,
)
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.data.sources.base import ReadTask
    from qstore_ray.types import AnyArray, FloatArray, IntArray


@dataclass(frozen=True)
class PartSurvey:
    """What the survey of one part of the source found: its tasks, labels, rows and content."""

    tasks: tuple[ReadTask, ...]
    digests: tuple[str, ...]
    starts: IntArray
    y: AnyArray
    row: IntArray
    content: str
    n_features: int
    shape: tuple[int, ...]
    dtype: str
    bad: tuple[BadValue, ...]
    group: AnyArray | None = None
    weight: FloatArray | None = None
    kept: AnyArray = field(default_factory=lambda: np.zeros((0, 0)))
    unlabelled: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def bad_rows(self) -> IntArray:
        """Positions of the rows with NaN or infinity, ascending."""
        return np.array([value.position for value in self.bad], np.int64)


def survey_part(
    tasks: tuple[ReadTask, ...],
    columns: tuple[int, ...] | None,
    what: str,
    *,
    nan_allowed: bool = False,
    several: bool = False,
    keep: tuple[int, ...] = (),
) -> PartSurvey:
    """Read every block once, keeping labels, row numbers and digests.

    Args:
        tasks: read tasks of the part.
        columns: positions of the chosen features; all of them if None.
        what: what the part is called in error messages.
        nan_allowed: whether the preparation will fill missing values.
        several: whether a row may have several labels, see `flat_labels`.
        keep: positions of features that are kept, those that are categories.
    """
    content = xxhash.xxh3_128()
    digests: list[str] = []
    labels, rows, groups, starts = [], [], [], [0]
    shape: tuple[int, ...] = ()
    n_features, dtype = 0, ""
    bad: list[BadValue] = []
    unlabelled: list[IntArray] = []
    kept: list[AnyArray] = []
    weights: list[FloatArray] = []
    for task in tasks:
        raw = read_raw(task, several=several)
        block = to_block(raw, columns)
        if not digests:
            shape, dtype, n_features = raw.x.shape[1:], str(raw.x.dtype), block.x.shape[1]
        check_width(block.x, n_features)
        content.update(block.x.data)  # blocks in order: the same bytes however they are cut
        digests.append(raw.digest())
        if (marked := bad_values(block.x, nan_allowed=nan_allowed)) is not None:
            bad += marked_rows(block.x, marked, starts[-1])
        unlabelled.append(np.flatnonzero(_without_label(raw)) + starts[-1])
        kept.append(block.x[:, [place for place in keep if place < block.x.shape[1]]])
        labels.append(spelled_labels(block.y))
        rows.append(block.row)
        if raw.group is not None:
            groups.append(raw.group)
        if raw.weight is not None:
            weights.append(raw.weight)
        starts.append(starts[-1] + len(block.row))
    check_not_empty(starts[-1], what)
    return PartSurvey(
        tasks=tasks,
        digests=tuple(digests),
        starts=np.asarray(starts),
        y=join_labels(labels),
        row=np.concatenate(rows),
        content=content.hexdigest(),
        n_features=n_features,
        shape=shape,
        dtype=dtype,
        bad=tuple(bad),
        group=np.concatenate(groups) if groups else None,
        weight=np.concatenate(weights) if weights else None,
        kept=np.concatenate(kept),
        unlabelled=np.concatenate([np.zeros(0, np.int64), *unlabelled]),
    )


def _without_label(raw: RawRows) -> AnyArray:
    """Which rows (N,) have no label: as the source says, or with an empty text."""
    known = np.zeros(len(raw.y), bool) if raw.unlabelled is None else raw.unlabelled
    if raw.y.dtype.kind != "U":
        return known
    gone: AnyArray = known | (spelled_labels(raw.y) == "")
    return gone


def check_parts(
    parts: Mapping[str, PartSurvey], names: tuple[str, ...] | None, found: Mapping[str, str]
) -> None:
    """Raise `DataError` where parts differ in shape or labels, or row numbers do not increase.

    Args:
        names: of the features.
        found: where each part was found, in words.
    """
    if names is not None and len(names) != parts[""].n_features:
        raise DataError(
            f"{len(names)} feature names for {parts[''].n_features} features",
            field="feature_names",
        )
    for split, part in parts.items():
        _check_alike(split, part, parts[""], found)
        if (part.weight is None) != (parts[""].weight is None):
            raise DataError(
                f"train{_where(found, 'train')} and the official {split} split"
                f"{_where(found, split)} do not both have weights",
                field="columns.weight",
                fix="Give each part the weights, or none.",
            )
    rows = np.concatenate([part.row for part in parts.values()])
    if (np.diff(rows) <= 0).any():
        raise DataError(
            "row numbers must increase from block to block and part to part",
            field="row",
            fix="This is a fault of the source adapter.",
        )


def _check_alike(split: str, part: PartSurvey, main: PartSurvey, found: Mapping[str, str]) -> None:
    """Raise `DataError` where an official part has other rows or labels than train."""
    here = f"the official {split} split{_where(found, split)}"
    there = f"train{_where(found, 'train')}"
    fix = "Give parts of one kind."
    if found:  # of files
        fix = f"{fix[:-1]}, or say which files are which in params.train and params.test."
    if part.n_features != main.n_features:
        raise DataError(
            f"{here} has rows of {part.n_features} features, {there} of {main.n_features}",
            field="x",
            fix=fix,
        )
    if part.shape != main.shape:
        raise DataError(
            f"{here} has rows of shape {part.shape}, {there} of shape {main.shape}",
            field="x",
            fix=fix,
        )
    kinds = [_kind(one.y) for one in (part, main)]
    if kinds[0] != kinds[1]:
        raise DataError(
            f"{here} has {kinds[0]} as labels, {there} has {kinds[1]}", field="y", fix=fix
        )
    if part.y.shape[1:] != main.y.shape[1:]:
        raise DataError(
            f"{here} has labels of shape {part.y.shape[1:]}, {there} of shape {main.y.shape[1:]}",
            field="y",
            fix=fix,
        )


def _where(found: Mapping[str, str], split: str) -> str:
    return f" ({found[split]})" if split in found else ""


def _kind(y: AnyArray) -> str:
    return "text" if y.dtype.kind == "U" else "true or false" if y.dtype.kind == "b" else "numbers"
