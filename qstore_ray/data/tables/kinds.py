"""What the columns of a table are, decided once, by all rows of the source.

A reader knows which columns are numbers (by their type, or by the first rows of a text file). The
others are looked at whole, block by block:

    true and false           boolean, 1 and 0
    numbers                  number
    up to `max_categories`   category; the number of a value is its place among the sorted ones
    more distinct texts      no feature: one error lists all such columns
    one for each row         left out, where the name says so too (`index.py`)
    no value at all          left out
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from qstore_ray.data.columns import Column, LabelKind, TableSchema
from qstore_ray.data.tables.choose import EMPTY, Chosen
from qstore_ray.data.tables.distinct import Texts
from qstore_ray.data.tables.index import Index
from qstore_ray.data.tables.notation import Notation, notation_of
from qstore_ray.data.tables.request import TableRequest
from qstore_ray.data.tables.rows import not_a_value_error
from qstore_ray.data.tables.texts import label_kind_of
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

_LABELS_KEPT = 100_000
_SIGN = "a value that seems to stand for a missing one"


class Survey:
    """Looks at the columns of a source that are not numbers by their type.

    Args:
        chosen: the columns to read.
        numbers: those features that are known to be numbers, and those known to be boolean.
        label: the kind of the label, where its type says it.
        numeric_label: whether most labels of the first rows are numbers: then all have to be.
        request: what is asked for.
    """

    def __init__(
        self,
        chosen: Chosen,
        request: TableRequest,
        *,
        numbers: Iterable[str] = (),
        booleans: Iterable[str] = (),
        label: LabelKind = "",
        numeric_label: bool = False,
    ) -> None:
        asked = request.columns
        forced = set(asked.categories)
        self._chosen, self._request, self._label_kind = chosen, request, label
        self._numeric_label = numeric_label
        self._numbers = set(numbers) - forced
        self._booleans = set(booleans) - forced
        missing = frozenset(request.missing)
        self._texts = {
            name: Texts(asked.max_categories, missing)
            for name in chosen.features
            if name not in self._numbers | self._booleans
        }
        self._label = Texts(_LABELS_KEPT, frozenset(("",)))
        self._indexes = {
            name: Index(name)
            for name in chosen.features
            if name in chosen.telling and asked.features is None and name not in forced
        }

    @property
    def features(self) -> tuple[str, ...]:
        """The features that have to be looked at."""
        return tuple(self._texts)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that have to be looked at."""
        looks = self._chosen.label is not None and not self._label_kind
        label = [self._chosen.label] if looks and self._chosen.label else []
        return tuple(dict.fromkeys((*self._texts, *self._indexes, *label)))

    def _reason(self, name: str) -> str:
        """Why a column that identifies the rows is left out, unless it is the only feature."""
        if name not in self._indexes or len(self._chosen.features) == len(self._indexes):
            return ""
        return self._indexes[name].reason

    def add(self, table: pa.Table) -> None:
        """Look at a block of rows."""
        for name, texts in self._texts.items():
            texts.add(table.column(name))
        for name, index in self._indexes.items():
            index.add(table.column(name))
        if self._chosen.label in self.columns:
            self._label.add(table.column(self._chosen.label))

    def schema(self, where: str, *, header: bool = True) -> TableSchema:
        """What the columns are.

        Raises:
            DataError: columns of text with too many values, or no feature that has any.
        """
        asked = self._request.columns
        left_out = dict(self._chosen.left_out)
        features: list[Column] = []
        free: dict[str, Texts] = {}
        self._check_texts(where)
        for name in self._chosen.features:
            texts = self._texts.get(name)
            if reason := self._reason(name):
                left_out[name] = reason
            elif texts is None:
                features.append(Column(name, "number" if name in self._numbers else "boolean"))
            elif not texts.found:
                left_out[name] = EMPTY
            elif texts.booleans and name not in asked.categories:
                features.append(Column(name, "boolean"))
            elif texts.numbers and name not in asked.categories:
                features.append(Column(name))
            elif texts.more:
                free[name] = texts
            else:
                features.append(Column(name, "category", tuple(sorted(texts.found))))
        if free:
            raise _too_many_error(free, asked.max_categories, where)
        if not features:
            raise DataError("no column beside the label has a value", field=where)
        return TableSchema(
            features=tuple(features),
            label=self._chosen.label,
            group=self._chosen.group,
            weight=self._chosen.weight,
            left_out=tuple(left_out.items()),
            missing=self._request.missing,
            unknown=asked.unknown,
            label_kind=self.kind_of_label(),
            header=header,
        )

    def _check_texts(self, where: str) -> None:
        """Raise `DataError` where texts are numbers in another dress, or one is no value."""
        missing = self._request.missing
        label, known = self._chosen.label, self._label.found - {*self._request.missing}
        if self._request.task == "regression" and (notation := notation_of(known)):
            raise DataError(
                f"labels: {notation.what}",
                field=f"{where}, column {label!r}",
                value=notation.value,
                fix=f"{notation.fix}.",
            )
        for name, texts in self._texts.items():
            if self._reason(name):
                continue
            at = f"{where}, column {name!r}"
            if name in self._request.columns.categories or texts.numbers:
                continue
            if notation := notation_of(texts.found):
                raise _in_disguise_error(notation, at, name)
            if sign := texts.sign():
                raise not_a_value_error(sign, at, missing, name, _SIGN)

    def kind_of_label(self) -> LabelKind:
        """How the labels are read, by all of them that were added."""
        request = self._request
        if self._chosen.label is None or self._label_kind:
            return self._label_kind
        if request.label_type != "auto":
            return request.label_type
        if self._numeric_label and not self._label.all_numbers(request.missing):
            return "number"  # which the labels that are none are refused as
        quantity = request.task != "classification"
        return label_kind_of(self._label.found, request.missing, quantity=quantity)


def refuse_columns(columns: Mapping[str, str], where: str) -> None:
    """Raise one `DataError` that lists the columns that are no features, and what to type."""
    if columns:
        listed = ", ".join(f"{name!r} ({why})" for name, why in columns.items())
        raise DataError(
            f"these columns are neither numbers, true or false, nor categories: {listed}",
            field=where,
            fix=f"Leave them out: columns.exclude = [{_quoted(columns)}].",
        )


def _in_disguise_error(notation: Notation, where: str, name: str) -> DataError:
    return DataError(
        notation.what,
        field=where,
        value=notation.value,
        fix=f'{notation.fix}. Or leave the column out: columns.exclude = ["{name}"]; or say that '
        f'it holds names: columns.categories = ["{name}"].',
    )


def _too_many_error(free: Mapping[str, Texts], most: int, where: str) -> DataError:
    return DataError(
        f"text with more than {most} different values: {', '.join(map(repr, free))}",
        field=where,
        fix=f"Leave such columns out: columns.exclude = [{_quoted(free)}]; if they are categories "
        "all the same, raise columns.max_categories.",
    )


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
