"""One of a list of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import field_validator

from qstore_ray.errors import ConfigError
from qstore_ray.tune.space.parameters.base import Parameter, as_stored, plain, same_value

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


class CategoricalParameter(Parameter):
    """One of a list of values: text, numbers, true or false, lists and tables."""

    type: Literal["categorical"] = "categorical"
    choices: list[Any]

    @field_validator("choices", mode="after")
    @classmethod
    def _different(cls, choices: list[Any]) -> list[Any]:
        if not choices:
            raise ConfigError("there is nothing to choose from", value=choices, fix="Name choices.")
        choices = [plain(choice, str(place)) for place, choice in enumerate(choices)]
        for place, choice in enumerate(choices):
            # 1, 1.0 and true are equal in Python, and Optuna could not distinguish them.
            if any(as_stored(choice) == as_stored(earlier) for earlier in choices[:place]):
                raise ConfigError(
                    "this choice exists twice",
                    field=str(place),
                    value=choice,
                    fix="Leave one of them out.",
                )
        return choices

    def suggest(self, trial: BaseTrial, field: str) -> Any:
        """A choice of Optuna's; lists and tables are stored as JSON text."""
        names = [as_stored(choice) for choice in self.choices]
        return self.choices[names.index(trial.suggest_categorical(field, names))]

    def at(self, u: float) -> Any:
        """The choice that u falls on, where all have the same share."""
        return self.choices[min(int(u * len(self.choices)), len(self.choices) - 1)]

    def grid(self) -> Sequence[Any]:
        """All choices, as written."""
        return self.choices

    def contains(self, value: Any) -> bool:
        """One of the choices, of the same type."""
        return any(same_value(value, choice) for choice in self.choices)

    def probes(self) -> Mapping[str, object]:
        """All choices."""
        return {f"choices.{place}": choice for place, choice in enumerate(self.choices)}

    def stored(self, value: Any) -> Any:
        """Lists and tables as JSON text."""
        return as_stored(value)

    def restored(self, stored: Any) -> Any:
        """The choice of this text; anything else as it is, which is no choice."""
        return next((c for c in self.choices if same_value(as_stored(c), stored)), stored)
