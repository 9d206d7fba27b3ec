"""What a check of data quality finds, and where: the words that all checks share.

A check is a function on arrays that returns findings and raises nothing about the data. What they
mean for a run is decided by who asked: a report raises its errors, a page shows them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, IntArray

Severity: TypeAlias = Literal["error", "warning", "info"]
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "info")

_FEW: Final = 5
MOST_COLUMNS: Final = 10


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Args:
        check: name of the check, such as `duplicates`.
        severity: `error` makes a model's numbers wrong, `warning` may, `info` is good to know.
        message: what was found, as one sentence.
        field: the column, or `x` or `y` where no single column is meant.
        value: the number that was compared, or the value met.
        rows: row numbers in the source of the first few rows concerned.
        fix: what to do.
    """

    check: str
    severity: Severity
    message: str
    field: str = ""
    value: int | float | str | None = None
    rows: tuple[int, ...] = ()
    fix: str = ""

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        rows = f" (rows {', '.join(map(str, self.rows))})" if self.rows else ""
        fix = f" {self.fix}" if self.fix else ""
        return f"{self.severity} [{self.check}] {where}{self.message}{rows}.{fix}"


@dataclass(frozen=True)
class RowOrigin:
    """Where rows come from, so that a finding can name split, row and column.

    Args:
        split: name of the split; "" without one.
        rows: row numbers (N,) in the source; positions if None.
        names: names of the F columns.
    """

    split: str = ""
    rows: IntArray | None = None
    names: Sequence[str] | None = None

    @property
    def inside(self) -> str:
        """` in train`, or nothing where the split has no name."""
        return f" in {self.split}" if self.split else ""

    def column(self, position: int) -> str:
        """Name of the column at `position`."""
        return f"column {position}" if self.names is None else self.names[position]

    def row(self, position: int) -> int:
        """Row number in the source of the row at `position`."""
        return int(position) if self.rows is None else int(self.rows[position])

    def first(self, positions: AnyArray) -> tuple[int, ...]:
        """Row numbers of the first few of `positions`."""
        return tuple(self.row(position) for position in positions[:_FEW])


NOWHERE: Final = RowOrigin()


def each_column(
    columns: Sequence[int] | AnyArray, finding: Callable[[int], Finding], origin: RowOrigin
) -> list[Finding]:
    """A finding for each of the first ten columns, and one more that names the others.

    An image has a thousand columns, and a thousand equal findings are of no use.
    """
    positions = [int(column) for column in columns]
    findings = [finding(column) for column in positions[:MOST_COLUMNS]]
    rest = positions[MOST_COLUMNS:]
    if rest:
        named = ", ".join(origin.column(column) for column in rest[:MOST_COLUMNS])
        like = findings[0]
        findings.append(
            Finding(
                like.check,
                min((f.severity for f in findings), key=SEVERITIES.index),
                f"the same holds for {len(rest)} more columns{origin.inside}: {named}"
                f"{', …' if len(rest) > MOST_COLUMNS else ''}",
                field="x",
                value=len(rest),
                fix=like.fix,
            )
        )
    return findings
