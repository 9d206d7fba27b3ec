"""Parameters of a search: which values one field of a job may take.

    { type = "float", low = 1e-3, high = 0.3, log = true }     a number in [low, high]
    { type = "int", low = 2, high = 8, step = 2 }              a whole number: 2, 4, 6, 8
    { type = "categorical", choices = ["angle", "zz"] }        one of a list
    { type = "fixed", value = 30 }                             always this

`step` counts from `low`; a `high` that no step meets is never reached. `log` draws evenly in the
logarithm. `points` is how many values a grid takes of a range that has no step. `when` makes the
parameter conditional: `{ "trainer.optimizer" = ["adam", "sgd"] }` says that it exists only if the
other parameter exists and has one of these values.

Every class answers the same questions: a value by Optuna (`suggest`), a value at a share u of the
range (`at`), the values of a grid (`grid`), whether a value is one of its own (`contains`), and
which values have to be tried before a search starts (`probes`).
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError
from qstore_ray.types import Table

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

LARGEST_INT = 2**53  # Optuna keeps whole numbers as doubles
MOST_POINTS = 1_000_000  # of a grid in one direction


class Parameter(Config, ABC):
    """The fields of every parameter: its type, and the condition under which it exists.

    Args:
        type: float, int, categorical or fixed.
        when: other parameters' fields, each with the values for which this one exists.
    """

    type: str
    when: dict[str, list[Any]] = Field(default_factory=dict)

    @field_validator("when", mode="before")
    @classmethod
    def _lists(cls, when: Any) -> Any:
        if not isinstance(when, Mapping):
            raise ConfigError(
                "a condition is a table",
                value=when,
                fix='Write for example when = {"trainer.optimizer" = "sgd"}.',
            )
        return {field: _values(field, value) for field, value in when.items()}

    @abstractmethod
    def suggest(self, trial: BaseTrial, field: str) -> Any:
        """The value that Optuna's trial takes, under the field as its stable name."""

    @abstractmethod
    def at(self, u: float) -> Any:
        """The value at the share u of the range, 0 ≤ u < 1; even u give even values."""

    @abstractmethod
    def grid(self) -> Sequence[Any]:
        """All values of a grid, ascending.

        Raises:
            ConfigError: a range without `points` or `step`.
        """

    @abstractmethod
    def contains(self, value: Any) -> bool:
        """Whether `value` is one that this parameter takes."""

    @abstractmethod
    def probes(self) -> Mapping[str, object]:
        """Values that a job must accept before a search starts, by their field in the table."""

    def stored(self, value: Any) -> Any:
        """The value as it stands in Optuna's storage."""
        return value

    def restored(self, stored: Any) -> Any:
        """The value that stands in Optuna's storage; the inverse of `stored`."""
        return stored

    def table(self) -> Table:
        """The parameter as a TOML file holds it: nothing that is so by itself."""
        silent: Table = {"when": {}, "log": False, "step": 1}
        if self.type == "float":
            del silent["step"]
        return {k: v for k, v in self.to_dict().items() if k not in silent or v != silent[k]}


def _values(field: str, value: Any) -> list[Any]:
    values = [plain(v, field) for v in (value if isinstance(value, list | tuple) else [value])]
    if not values:
        raise ConfigError("no value is named, so it is never there", field=field, fix="Name one.")
    return values


def check_range(low: float, high: float, *, log: bool, stepped: bool) -> None:
    """Check the bounds of a range.

    Raises:
        ConfigError: reversed, a logarithm of zero or less, or a logarithm in steps.
    """
    if low > high:
        raise ConfigError(
            f"the bounds are reversed: low is {low:g}",
            field="high",
            value=high,
            fix=f"Write low = {high:g}, high = {low:g}.",
        )
    if log and low <= 0:
        raise ConfigError(
            "a logarithm needs a lower bound above zero",
            field="low",
            value=low,
            fix="Take a small positive low, or log = false.",
        )
    if log and stepped:
        raise ConfigError(
            "a logarithmic range has no even steps",
            field="step",
            fix="Leave out step or log; a grid takes points = 5 values evenly in the logarithm.",
        )


def two_ways_error(points: int) -> ConfigError:
    """The error for a range that has both a step and a number of points."""
    return ConfigError(
        "the step says already what a grid takes",
        field="points",
        value=points,
        fix="Leave out step or points.",
    )


def plain(value: Any, field: str) -> Any:
    """A value as TOML and JSON say it: a tuple is a list.

    Raises:
        ConfigError: None, NaN, infinity, a date, an object of Python.
    """
    if isinstance(value, list | tuple):
        return [plain(inner, _below(field, place)) for place, inner in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: plain(inner, _below(field, key)) for key, inner in value.items()}
    finite = not isinstance(value, float) or math.isfinite(value)
    if not isinstance(value, bool | int | float | str) or not finite:
        raise ConfigError(
            "a value is text, a finite number, true, false, a list or a table",
            field=field,
            value=repr(value),
            fix="Leave None out: a job file cannot hold it. To try the job without this field, "
            "search a second study that does not name it."
            if value is None
            else "Leave it out.",
        )
    return value


def _below(field: str, key: str | int) -> str:
    return f"{field}.{key}".removeprefix(".")


def as_stored(value: Any) -> Any:
    """Scalars as they are, lists and tables as JSON text, which every storage of Optuna keeps."""
    if isinstance(value, bool | int | float | str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def same_value(value: Any, other: Any) -> bool:
    """Equal, and of one kind: neither is true 1, nor 1.0."""
    return type(value) is type(other) and bool(value == other)
