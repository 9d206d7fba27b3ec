"""How many workers a training has: one number, or the fewest and the most of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.types import ReadOnlyTable

_MOST = 1024


def checked_workers(value: Any) -> Any:
    """`value` as a number or as a pair of them; what is neither is left to the field's type.

    Raises:
        ConfigError: a number out of range, or a pair that is not the fewest and the most.
    """
    if isinstance(value, int):
        if not 0 <= value <= _MOST:
            fix = f"Write 0 to train in this process, or 1 to {_MOST}."
            raise ConfigError(
                f"a number greater than or equal to 0 and at most {_MOST} is needed",
                value=value,
                fix=fix,
            )
        return value
    if not isinstance(value, list | tuple) or not all(_is_whole(each) for each in value):
        raise ConfigError(
            "a whole number is needed, or the fewest and the most workers",
            value=value,
            fix="Write 4, or [2, 4] for 2 to 4 workers.",
        )
    if len(value) != 2 or not 1 <= value[0] <= value[1] <= _MOST:
        raise ConfigError(
            "the fewest and the most workers are needed, in this order",
            value=list(value),
            fix=f"Write [2, 4] for 2 to 4 workers: from 1 to {_MOST}, the fewer first.",
        )
    return tuple(value)


def check_one_gateway(max_workers: int, backend_options: ReadOnlyTable) -> None:
    """The ledger of a run is open in one process: workers cannot each have a gateway.

    Raises:
        ConfigError: they would.
    """
    if max_workers > 1 and backend_options.get("where") == "process":
        raise ConfigError(
            f"{max_workers} worker processes cannot share a gateway in one process",
            field="backend_options.where",
            value="process",
            fix='Leave it out or write "ray", or set num_workers to 0.',
        )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
