"""Which parameter of a foreign circuit is a feature, and which one is learned: told by the names.

    x, x[2], x_2, _x_2_, x2, feature_2, features[2]   feature 0, 2, 2, …
    everything else                                   learned, in the order given

A circuit that this package wrote carries its numbers of slots along; there `p[k]` is parameter k,
and slots that no gate uses are kept, so that parameters learned for it still fit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from qstore_ray.errors import CircuitError

FEATURE_STEMS = ("x", "feature", "features")

_LEARNED = re.compile(r"_?p[\[_](\d+)[\]_]?")


class Slots(NamedTuple):
    """Column of each feature and place of each learned parameter, by name."""

    columns: dict[str, int]
    params: dict[str, int]
    n_features: int
    n_params: int


def read_slots(
    names: Sequence[str],
    features: Sequence[str] | str | None,
    n_features: int | None,
    own: tuple[int, int] | None = None,
) -> Slots:
    """The slots of a circuit whose parameters have these names.

    Args:
        names: names of all parameters, in the circuit's order.
        features: names of the features in the order of the columns, or the stem of numbered names.
        n_features: F, where there are more columns than the circuit uses.
        own: (A, P) of a circuit that this package wrote.

    Raises:
        CircuitError: two parameters for one feature, or a feature beyond `n_features`.
    """
    columns = _columns(names, features)
    learned = [name for name in names if name not in columns]
    params, n_params = {name: k for k, name in enumerate(learned)}, len(learned)
    needed = max(columns.values(), default=-1) + 1
    if features is not None and not isinstance(features, str):
        needed = len(features)
    if (
        own is not None
        and features is None
        and (numbers := _own(columns, learned, own)) is not None
    ):
        params, (needed, n_params) = numbers, own
    if n_features is not None and n_features < needed:
        raise CircuitError(
            f"the circuit uses feature number {needed - 1}",
            field="n_features",
            value=n_features,
            fix="Number the features of the circuit from 0, as the columns of the data.",
        )
    return Slots(columns, params, needed if n_features is None else n_features, n_params)


def _columns(names: Sequence[str], features: Sequence[str] | str | None) -> dict[str, int]:
    if features is not None and not isinstance(features, str):
        return {name: column for column, name in enumerate(features) if name in names}
    stems = "|".join(map(re.escape, FEATURE_STEMS if features is None else (features,)))
    pattern = re.compile(rf"_?(?:{stems})(?:[\[_]?(\d+)[\]_]?)?")
    matches = ((name, pattern.fullmatch(name)) for name in names)
    columns = {name: int(match[1] or 0) for name, match in matches if match}
    if len(set(columns.values())) < len(columns):
        raise CircuitError(
            "two parameters are the same feature",
            field="features",
            value=sorted(columns),
            fix="Name the features x[0], x[1], …, or list them in `features`.",
        )
    return columns


def _own(
    columns: dict[str, int], learned: Sequence[str], own: tuple[int, int]
) -> dict[str, int] | None:
    """Places of the learned parameters, None where gates with other names were added since."""
    n_rows, n_params = own
    matches = {name: _LEARNED.fullmatch(name) for name in learned}
    numbers = {name: int(match[1]) for name, match in matches.items() if match}
    fits = len(numbers) == len(learned) and all(k < n_params for k in numbers.values())
    return numbers if fits and all(k < n_rows for k in columns.values()) else None
