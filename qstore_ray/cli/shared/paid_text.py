"""What runs, studies and trials used of paid hardware, as columns of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from qstore_ray.backends.paid import PaidUsage


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


def usage_of_study(folder: Path) -> PaidUsage | None:
    """What a study used, as its trackers have it; None if nothing, or if it never ended."""
    from qstore_ray.backends.paid import PaidUsage
    from qstore_ray.errors import RunError
    from qstore_ray.track.base import RunInfo

    try:
        _, outcome = RunInfo.load(folder)
    except RunError:  # its first driver was killed before it could write it
        return None
    return PaidUsage.of_metrics(outcome.summary) if outcome else None


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}".removesuffix(".00")
