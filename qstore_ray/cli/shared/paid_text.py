"""What runs, studies and trials used of paid hardware, as columns of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def with_usage(
    header: Sequence[str], rows: Sequence[Sequence[str]], used: Sequence[Mapping[str, float]]
) -> tuple[list[str], list[list[str]]]:
    """A table's header and rows, and the columns of paid hardware that have a number.

    Args:
        used: the numbers of a `PaidUsage` for each row; empty for none.
    """
    from qstore_ray.backends.paid import PAID

    names = [name for name in PAID if any(each.get(name) for each in used)]
    cells = [[_cell(each.get(name)) for name in names] for each in used]
    return [*header, *(PAID[name] for name in names)], [
        [*row, *more] for row, more in zip(rows, cells, strict=True)
    ]


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}".removesuffix(".00")
