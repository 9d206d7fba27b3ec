"""One value, given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import field_validator

from qstore_ray.tune.space.parameters.base import Parameter, plain, same_value

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


class FixedParameter(Parameter):
    """Always the same value; with `when`, an override that belongs to another choice."""

    type: Literal["fixed"] = "fixed"
    value: Any

    @field_validator("value")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return plain(value, "")

    def suggest(self, trial: BaseTrial, field: str) -> Any:
        """The value; nothing is drawn."""
        return self.value

    def at(self, u: float) -> Any:
        """The value."""
        return self.value

    def grid(self) -> Sequence[Any]:
        """The value alone."""
        return [self.value]

    def contains(self, value: Any) -> bool:
        """The value, of the same type."""
        return same_value(value, self.value)

    def probes(self) -> Mapping[str, object]:
        """The value."""
        return {"value": self.value}
