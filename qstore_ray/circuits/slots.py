"""Decide by its name whether a parameter of a foreign circuit is a feature or is learned.

    x, x[2], x_2, _x_2_, x2, feature_2, features[2]   feature 0, 2, 2, …
    everything else                                   learned, in the order given

Numbers are columns of the data and begin at 0. Plain names that are numbered from 1 without a gap
(x1, x2, …; not elements of a vector such as x[1]) are columns 0, 1, … all the same.

`features` overrides the rule: the stem of numbered names, or names in the order of the columns.

A circuit that this package wrote carries its numbers of slots along; there `p[k]` is parameter k,
and slots that no gate uses are kept, so that parameters learned for it still fit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

from qstore_ray.errors import CircuitError, ConfigError

FEATURE_STEMS = ("x", "feature", "features")

FeatureNames: TypeAlias = str | Sequence[str] | Callable[[str], bool]
"""The stem of numbered names, the names in the order of the columns, or a test of a name."""

_LEARNED = re.compile(r"_?p[\[_](\d+)[\]_]?")
_NUMBERED = re.compile(r"_?(?P<stem>.*?)(?:[\[_]?(?P<number>\d+)[\]_]?)?", re.DOTALL)
_ELEMENT = re.compile(r".*\[\d+\]|_.*_\d+_", re.DOTALL)
_MOST_SHOWN = 20


class Slots(NamedTuple):
    """Column of each feature and place of each learned parameter, by name.

    `own` is whether they are the slots of a circuit that this package wrote.
    """

    columns: dict[str, int]
    params: dict[str, int]
    n_features: int
    n_params: int
    own: bool = False


def read_slots(
    names: Sequence[str],
    features: FeatureNames | None,
    n_features: int | None,
    own: tuple[int, int] | None = None,
) -> Slots:
    """The slots of a circuit whose parameters have these names.

    Args:
        names: names of all parameters, in the circuit's order.
        features: which of them are features; without it those named x, feature or features.
        n_features: F, if the data have more columns than the circuit uses.
        own: (A, P) of a circuit that this package wrote.

    Raises:
        CircuitError: two parameters for one feature, a feature beyond `n_features`, or a name in
            `features` that no parameter has.
    """
    columns = _columns(names, features, own is not None)
    learned = [name for name in names if name not in columns]
    params, n_params = {name: k for k, name in enumerate(learned)}, len(learned)
    needed = max(columns.values(), default=-1) + 1
    ours = False
    if (
        own is not None
        and features is None
        and (numbers := _own(columns, learned, own)) is not None
    ):
        params, (needed, n_params), ours = numbers, own, True
    if n_features is not None and n_features < needed:
        raise CircuitError(
            f"the circuit uses feature number {needed - 1}",
            field="n_features",
            value=n_features,
            fix="Number the features of the circuit from 0, as the columns of the data.",
        )
    width = needed if n_features is None else n_features
    return Slots(columns, params, width, n_params, ours)


def feature_names(given: Any) -> FeatureNames | None:
    """`features` as names: a Qiskit parameter or vector, or several, become what they are called.

    Raises:
        ConfigError: neither names, nor parameters, nor a function of a name.
    """
    if given is None or isinstance(given, str):
        return given
    if isinstance(getattr(given, "name", None), str):
        return str(given.name) if hasattr(given, "params") else [str(given.name)]
    if callable(given):
        function: Callable[[str], bool] = given
        return function
    if not isinstance(given, Iterable):
        raise _no_names_error(given)
    return [_name(each, given) for each in given]


def _name(each: Any, given: Any) -> str:
    name = each if isinstance(each, str) else getattr(each, "name", None)
    if not isinstance(name, str):
        raise _no_names_error(given)
    return name


def _no_names_error(given: Any) -> ConfigError:
    return ConfigError(
        "features are names of the circuit's parameters",
        field="features",
        value=given,
        fix='Give the stem of numbered names, such as "phi", or a list of names.',
    )


def listed(names: Iterable[str]) -> str:
    """The names of a circuit's parameters, as an error lists them."""
    found = sorted(names, key=_natural)
    more = len(found) - _MOST_SHOWN
    text = ", ".join(found[:_MOST_SHOWN]) + (f", and {more} more" if more > 0 else "")
    return f"Its parameters are {text}." if found else "It has no parameters."


def _columns(names: Sequence[str], features: FeatureNames | None, own: bool) -> dict[str, int]:
    if features is None or isinstance(features, str):
        found = _numbered(names, FEATURE_STEMS if features is None else (features,))
        if features is not None and not found:
            raise _unknown_slots_error(features, names)
        return found if own else _from_zero(found)
    if callable(features):
        chosen = sorted((name for name in names if features(name)), key=_natural)
        if not chosen:
            raise _unknown_slots_error("what the function accepts", names)
    else:
        chosen = [name for wanted in features for name in _called(wanted, names)]
    if len(set(chosen)) < len(chosen):
        raise CircuitError(
            "a parameter is named twice",
            field="features",
            value=chosen,
            fix="Name each parameter once, in the order of the columns of the data.",
        )
    return {name: column for column, name in enumerate(chosen)}


def _numbered(names: Sequence[str], stems: Sequence[str]) -> dict[str, int]:
    """Columns by the numbers in the names."""
    pattern = re.compile(rf"_?(?:{'|'.join(map(re.escape, stems))})(?:[\[_]?(\d+)[\]_]?)?")
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


def _from_zero(columns: dict[str, int]) -> dict[str, int]:
    """Plain names that are numbered from 1 on begin at column 0."""
    from_one = sorted(columns.values()) == list(range(1, len(columns) + 1))
    if from_one and not any(map(_ELEMENT.fullmatch, columns)):
        return {name: number - 1 for name, number in columns.items()}
    return columns


def _called(wanted: str, names: Sequence[str]) -> list[str]:
    """The parameter of this name, however its number is written, or the numbered ones of a stem."""
    if wanted in names:
        return [wanted]
    same = [name for name in names if _natural(name) == _natural(wanted)]
    found = same or sorted(_numbered(names, (wanted,)), key=_natural)
    if not found:
        raise _unknown_slots_error(wanted, names)
    return found


def _natural(name: str) -> tuple[str, int]:
    """Stem and number of a name: x[10] comes after x_2; x[2], x_2, _x_2_ and x2 are the same."""
    match = _NUMBERED.fullmatch(name)
    assert match is not None, "any text is a stem"
    return match["stem"], -1 if match["number"] is None else int(match["number"])


def _unknown_slots_error(wanted: str, names: Sequence[str]) -> CircuitError:
    return CircuitError(
        "no parameter of the circuit has this name",
        field="features",
        value=wanted,
        fix=listed(names),
    )


def _own(
    columns: dict[str, int], learned: Sequence[str], own: tuple[int, int]
) -> dict[str, int] | None:
    """Places of the learned parameters, None where gates with other names were added since."""
    n_rows, n_params = own
    matches = {name: _LEARNED.fullmatch(name) for name in learned}
    numbers = {name: int(match[1]) for name, match in matches.items() if match}
    fits = len(numbers) == len(learned) and all(k < n_params for k in numbers.values())
    return numbers if fits and all(k < n_rows for k in columns.values()) else None
