"""`TableSchema`: what the columns of a table mean, decided once and kept with the model.

A reader decides when data are loaded which column is the label, which columns are features, how
each is read (a number, true or false, a category by name), which values stand for a missing one,
and which columns are left out and why. The same schema then reads the rows to predict on: columns
are found by their names, never by their places, and a category has the number it had in training.

    schema.line()     one line for the user, printed when data are loaded
    schema.to_dict()  JSON-ready, in checkpoints and `.qsm` files
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, NotRequired, TypeAlias, TypedDict, cast

ColumnKind: TypeAlias = Literal["number", "boolean", "category"]
LabelKind: TypeAlias = Literal["", "number", "boolean", "text"]

_SHOWN = 12


@dataclass(frozen=True)
class Column:
    """One feature column.

    Args:
        name: as the header has it.
        kind: `number` (float64), `boolean` (0 and 1) or `category` (text; the number of a value is
            its place in `categories`, and NaN where it is missing).
        categories: the texts of a category, sorted.
    """

    name: str
    kind: ColumnKind = "number"
    categories: tuple[str, ...] = ()


class ColumnDict(TypedDict):
    """A `Column` as JSON holds it."""

    name: str
    kind: ColumnKind
    categories: Sequence[str]


class TableSchemaDict(TypedDict):
    """A `TableSchema` as JSON holds it; what an earlier version wrote lacks the optional keys."""

    features: Sequence[ColumnDict]
    label: str | None
    group: str | None
    left_out: Sequence[tuple[str, str]]
    missing: Sequence[str]
    unknown: NotRequired[Literal["error", "zeros"]]
    label_kind: NotRequired[LabelKind]
    header: NotRequired[bool]
    parts: Sequence[tuple[str, str]]
    weight: NotRequired[str | None]


@dataclass(frozen=True)
class TableSchema:
    """The columns of a table as a reader understood them.

    Args:
        features: the F feature columns, in the order in which a model is given them.
        label: name of the label column; None for a table without one.
        group: name of the column that says which rows belong together.
        weight: name of the column of sample weights.
        left_out: column name and reason of every column that is neither.
        missing: texts that stand for a missing value.
        unknown: what becomes of a category that is not in `categories`: an error, or zeros in
            place of all its columns.
        label_kind: how labels are read; "" without labels.
        header: whether the names come from the table, not from the places of its columns.
        parts: which official parts were found, and where, in words: ("train", "train.csv").
    """

    features: tuple[Column, ...]
    label: str | None = None
    group: str | None = None
    left_out: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    unknown: Literal["error", "zeros"] = "error"
    label_kind: LabelKind = ""
    header: bool = True
    parts: tuple[tuple[str, str], ...] = ()
    weight: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names (F,) of the features."""
        return tuple(column.name for column in self.features)

    def only(self, names: Sequence[str], why: str) -> TableSchema:
        """The schema with these features alone, in this order; the others are left out for `why`.

        Raises:
            KeyError: a name that is not a feature.
        """
        columns = {column.name: column for column in self.features}
        gone = tuple((name, why) for name in self.names if name not in names)
        return replace(
            self,
            features=tuple(columns[name] for name in names),
            left_out=(*self.left_out, *gone),
        )

    def line(self) -> str:
        """Label, features, what was left out and why, and the parts found, in one line."""
        kinds = {"number": "", "boolean": " (true/false)", "category": " (category)"}
        names = [f"{column.name}{kinds[column.kind]}" for column in self.features]
        shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
        words = [f"label {self.label}"] if self.label is not None else []
        words.append(f"{len(names)} feature{'s' * (len(names) != 1)}: {shown}")
        if self.group is not None:
            words.append(f"group {self.group}")
        if self.weight is not None:
            words.append(f"weight {self.weight}")
        if self.left_out:
            reasons: dict[str, list[str]] = {}
            for name, why in self.left_out[:_SHOWN]:
                reasons.setdefault(why, []).append(name)
            out = [f"{', '.join(named)} ({why})" for why, named in reasons.items()]
            more = len(self.left_out) - _SHOWN
            words.append(f"left out: {', '.join(out)}{f', and {more} more' if more > 0 else ''}")
        if self.parts:
            words.append(
                "parts: " + ", ".join(f"{part} from {where}" for part, where in self.parts)
            )
        return "; ".join(words)

    def to_dict(self) -> TableSchemaDict:
        """The schema as JSON holds it."""
        found = cast("TableSchemaDict", asdict(self))
        if self.weight is None:  # a schema without weights has the form it had before weights
            del found["weight"]
        return found

    @classmethod
    def from_dict(cls, data: TableSchemaDict) -> TableSchema:
        """The schema that `to_dict` gave, also after a round trip through JSON."""
        return cls(
            features=tuple(
                Column(found["name"], found["kind"], tuple(found["categories"]))
                for found in data["features"]
            ),
            label=data["label"],
            group=data["group"],
            left_out=tuple((name, why) for name, why in data["left_out"]),
            missing=tuple(data["missing"]),
            unknown=data.get("unknown", "error"),
            label_kind=data.get("label_kind", ""),
            header=data.get("header", True),
            parts=tuple((part, where) for part, where in data["parts"]),
            weight=data.get("weight"),
        )
