"""Labels: from any value of a source to class numbers, by one rule in one place.

The classes are the sorted distinct labels of the rows that may be split, and class k is the k-th
of them. Integers, bools and strings are taken as they are; floats must be whole numbers (1.0 is
the class 1); one-hot rows count as the number of their column; a column vector (N, 1) is
flattened. Gaps and negative numbers are fine. Texts are compared as `spelling.py` says, and an
empty one is no label. What was found is kept in `classes`, so that a prediction can be given back
as the label that the data had.

Several labels that hold at once (task `multilabel`) are rows (N, L) of 0 and 1, kept as they are;
label k is the k-th column. A regression may have several numbers a row (N, T).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from qstore_ray.data.rows.spelling import spelled, spelled_labels
from qstore_ray.data.rows.validate import as_array, check_two_classes
from qstore_ray.errors import DataError, numbered

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray, IntArray, Task

Label: TypeAlias = int | str | bool

_SHOWN = 3
_QUANTITIES = 100
"""So many different whole numbers are no classes where they are more than half of the rows."""


def plain_texts(texts: Sequence[str]) -> AnyArray:
    """Texts as an array (N,). Of an `Enum` of texts it has the values.

    numpy would write the names of its members, and cut them to the length of the longest value.
    """
    return np.array([str.__str__(text) for text in texts], dtype=str)


def flat_labels(values: Any, *, several: bool = False) -> AnyArray:
    """`values` as one label a row (N,): numbers, bools or text; or several numbers a row (N, T).

    Args:
        several: whether rows (N, T) of several numbers are kept as they are, instead of being read
            as one-hot.

    Raises:
        DataError: several labels a row that are not one-hot, NaN, or another type.
    """
    y = as_array(values, "y")
    if y.dtype.kind == "O" and all(isinstance(label, str) for label in y.flat):
        y = plain_texts(y.ravel().tolist()).reshape(y.shape)
    if y.dtype.kind not in "biufU":
        raise DataError(
            f"labels must be numbers, bools or text, these are of type {y.dtype}",
            field="y",
            fix="Write them as text, of pandas by y.astype(str).",
        )
    if y.ndim > 1 and not (several and y.ndim == 2 and y.dtype.kind != "U"):
        y = _one_a_row(y)
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        position = int(np.argmin(np.isfinite(y).reshape(len(y), -1).all(axis=1)))
        raise DataError(
            "a label is NaN or infinite",
            field="y",
            value=f"position {position}",
            fix="Remove the row, or fill in its label.",
        )
    return y


def _one_a_row(y: AnyArray) -> AnyArray:
    if y.ndim == 2 and y.shape[1] == 1:
        return y[:, 0]
    numeric = y.dtype.kind != "U" and y.ndim == 2
    if numeric and bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all()):
        hot: IntArray = np.argmax(y, axis=1)
        return hot
    raise DataError(
        "labels must be one a row, or one-hot rows",
        field="y",
        value=y.shape,
        fix='Set task = "multilabel" for several labels a row, "regression" for several numbers.',
    )


def join_labels(parts: list[AnyArray]) -> AnyArray:
    """The labels of all blocks in order (N,) or (N, T).

    Raises:
        DataError: numbers in one block and text in another, or another number of them a row.
    """
    kinds = sorted({"text" if y.dtype.kind == "U" else "numbers" for y in parts if len(y)})
    if len(kinds) > 1:
        raise DataError("labels are numbers in one block and text in another", field="y")
    widths = sorted({y.shape[1:] for y in parts if len(y)})
    if len(widths) > 1:
        raise DataError("the number of labels differs from block to block", field="y", value=widths)
    return np.concatenate([y for y in parts if len(y)] or parts)


def _check_exact(y: AnyArray) -> None:
    """Raise `DataError` where labels (N,) are floats so large that neighbours became one."""
    if y.dtype.kind != "f" or not (large := np.isfinite(y) & (np.abs(y) >= 2**53)).any():
        return
    row = int(np.argmax(large))
    raise DataError(
        "a label is too large to be distinguished from its neighbours, first in row {row}",
        row=row,
        field="y",
        value=float(y[row]),
        fix="Give the labels as integers or text, or number the classes from 0.",
    )


def _check_few(found: AnyArray, n_rows: int) -> None:
    """Raise `DataError` where whole numbers are so many that they are quantities."""
    if found.dtype.kind in "iu" and len(found) >= _QUANTITIES and 2 * len(found) > n_rows:
        raise DataError(
            f"{n_rows} rows have {len(found)} different whole numbers for labels, most of them "
            "in one row only",
            field="y",
            fix='Set task = "regression" if the labels are quantities.',
        )


@dataclass(frozen=True)
class ClassLabels:
    """The classes in order; `encode` gives each label the number of its class.

    Args:
        classes: the labels; the last one is of no row where classes are merged.
        merged: labels that all are the last class.
    """

    classes: tuple[Label, ...]
    merged: tuple[Label, ...] = ()
    several: ClassVar[bool] = False

    def with_merged(self, rare: tuple[Label, ...]) -> ClassLabels:
        """The same classes with the `rare` ones as one, the last.

        Raises:
            DataError: one class only is left.
        """
        kept = tuple(label for label in self.classes if label not in rare)
        name = "other"
        while name in map(str, kept):
            name += "s"
        check_two_classes((*kept, name), 0)
        return ClassLabels((*kept, name), rare)

    @classmethod
    def of(cls, y: AnyArray) -> ClassLabels:
        """The distinct labels of `y` (N,), sorted.

        Raises:
            DataError: one class only, or floats that are no whole numbers or too large to be exact.
        """
        _check_exact(y)
        found = np.unique(y)
        if found.dtype.kind == "f":
            fractional = found[found != np.round(found)]
            if fractional.size:
                raise DataError(
                    "a class label is not a whole number",
                    field="y",
                    value=float(fractional[0]),
                    fix='Set task = "regression" if the labels are quantities.',
                )
            found = found.astype(np.int64)
        _check_few(found, len(y))
        classes = tuple(found.tolist())
        check_two_classes(classes, len(y))
        return cls(classes)

    def encode(self, y: AnyArray) -> IntArray:
        """Class numbers (N,) from 0 to C−1 of the labels `y` (N,).

        Raises:
            DataError: a label that is not among the classes, or a float too large to be exact.
        """
        _check_exact(y)
        if self.merged:
            return self._encode_merged(y)
        numbers, unknown = self.places(y)
        if unknown.any():
            raise unknown_label_error(y[unknown], self.classes, int(np.argmax(unknown)))
        return numbers

    def places(self, y: AnyArray) -> tuple[IntArray, AnyArray]:
        """The class number (N,) of each label, and which (N,) are of no class."""
        known = np.asarray(self.classes)
        comparable = (known.dtype.kind == "U") == (y.dtype.kind == "U")
        numbers = np.searchsorted(known, y) if comparable else np.zeros(len(y), dtype=np.int64)
        numbers = np.minimum(numbers, len(known) - 1)
        unknown = known[numbers] != y if comparable else np.ones(len(y), dtype=bool)
        if unknown.any() and comparable and y.dtype.kind == "U":
            numbers[unknown] = self._numbers_as_spelled(y[unknown])
            unknown = numbers < 0
        return numbers.astype(np.int64), unknown

    def _numbers_as_spelled(self, y: AnyArray) -> IntArray:
        """The number (N,) of the class that `spelled` makes of each text, -1 without a match."""
        forms = {spelled(str(c)): number for number, c in reversed(list(enumerate(self.classes)))}
        texts, places = np.unique(y, return_inverse=True)
        found = [forms.get(spelled(text), -1) for text in texts.tolist()]
        return np.array(found, dtype=np.int64)[places]

    def _encode_merged(self, y: AnyArray) -> IntArray:
        numbers = np.full(len(y), len(self.classes) - 1, dtype=np.int64)
        merged = np.isin(spelled_labels(y), spelled_labels(np.asarray(self.merged)))
        if y.dtype.kind == "U":  # rows to score may have the name of the merged class
            merged |= spelled_labels(y) == self.classes[-1]
        others = np.flatnonzero(~merged)
        numbers[others], unknown = ClassLabels(self.classes[:-1]).places(y[others])
        if unknown.any():
            with numbered(others):
                raise unknown_label_error(y[others][unknown], self.classes, int(np.argmax(unknown)))
        return numbers


@dataclass(frozen=True)
class SeveralLabels:
    """Labels that hold or not, each on its own; `classes` names the L columns."""

    classes: tuple[Label, ...]
    several: ClassVar[bool] = True

    @classmethod
    def of(cls, y: AnyArray) -> SeveralLabels:
        """The labels of rows `y` (N, L), called 0 to L−1.

        Raises:
            DataError: not rows of 0 and 1.
        """
        labels = cls(tuple(range(y.shape[1] if y.ndim == 2 else 1)))
        labels.encode(y)
        return labels

    def encode(self, y: AnyArray) -> IntArray:
        """Rows `y` (N, L) of 0 and 1 as integers.

        Raises:
            DataError: another number of columns, or other values.
        """
        if y.ndim != 2 or y.shape[1] != len(self.classes):
            raise DataError(
                "the labels of a multilabel task are rows of 0 and 1, one column a label",
                field="y",
                value=y.shape,
                fix='Give y as (N, L), or set task = "classification".',
            )
        wrong = (y != 0) & (y != 1)
        if wrong.any():
            row, column = divmod(int(np.argmax(wrong)), y.shape[1])
            raise DataError(
                f"label {column} of a row is neither 0 nor 1",
                field="y",
                value=y[row, column].item(),
                fix='Write 1 where a label holds; set task = "regression" for quantities.',
            )
        return np.ascontiguousarray(y, dtype=np.int64)


@dataclass(frozen=True)
class Targets:
    """Labels of a regression: numbers, kept as they are."""

    classes: tuple[Label, ...] = ()
    several: ClassVar[bool] = True

    def encode(self, y: AnyArray) -> FloatArray:
        """`y` (N,) or (N, T) as float64; one column (N, 1) as (N,).

        Raises:
            DataError: the labels are text.
        """
        if y.dtype.kind == "U":
            raise DataError(
                "a regression needs numbers as labels, these are text",
                field="y",
                fix='Set task = "classification".',
            )
        numbers = np.ascontiguousarray(y, dtype=np.float64)
        return numbers[:, 0] if y.ndim == 2 and y.shape[1] == 1 else numbers


Labels: TypeAlias = ClassLabels | SeveralLabels | Targets

KINDS: dict[str, type[Labels]] = {
    "classification": ClassLabels,
    "multilabel": SeveralLabels,
    "regression": Targets,
}


def find_labels(task: Task, y: AnyArray) -> Labels:
    """What the labels `y` of a whole source are, for `task`.

    Raises:
        DataError: labels that are not of this kind, or one class only.
    """
    if task == "multilabel":
        return SeveralLabels.of(y)
    return ClassLabels.of(y) if task == "classification" else Targets()


def rows_of_each(numbers: AnyArray, n_classes: int) -> tuple[int, ...]:
    """How many rows each class has; with several labels (N, L), for how many rows each holds."""
    found = numbers.sum(axis=0) if numbers.ndim == 2 else np.bincount(numbers, minlength=n_classes)
    return tuple(found.tolist())


def unknown_label_error(labels: AnyArray, classes: Sequence[Any], row: int) -> DataError:
    """The error of labels that no class has; of those that are only written otherwise, as which.

    Args:
        labels: the unknown ones.
        row: place of the first of them among the rows at hand.
    """
    strange = list(dict.fromkeys(labels.tolist()))
    shown = ", ".join(repr(known) for known in classes[:10])
    fix = f"The classes are {shown}{', …' if len(classes) > 10 else ''}."
    plain = {_plain(known): known for known in classes}
    alike = [(label, plain[_plain(label)]) for label in strange if _plain(label) in plain]
    if alike:
        pairs = ", ".join(f"{label!r} as {known!r}" for label, known in alike[:_SHOWN])
        fix += f" Write the labels of one class alike in every part: {pairs}."
    return DataError(
        (
            "a label is not among the classes of the training data"
            if len(strange) == 1
            else f"{len(strange)} labels are not among the classes of the training data: "
            + ", ".join(repr(label).replace("{row}", "row") for label in strange[:_SHOWN])
        )
        + ", first in row {row}",
        row=row,
        field="y",
        value=strange[0],
        fix=fix,
    )


def _plain(label: Any) -> str:
    """A label without case, without blanks and full stops at its ends; of a number, its value."""
    text = str(label).strip(" .\t").casefold()
    try:
        return repr(float(text))
    except ValueError:
        return text
