"""The space of a search: for fields of a job, the values that they may take.

    [space]
    "trainer.learning_rate" = { type = "float", low = 1e-3, high = 0.3, log = true }
    "model.layers" = { type = "int", low = 1, high = 8 }
    "trainer.optimizer" = { type = "categorical", choices = ["adam", "sgd"] }

    [space."trainer.optimizer_options.momentum"]
    type = "float"
    low = 0.0
    high = 0.99
    when = { "trainer.optimizer" = "sgd" }

Any field of `dataset`, `model` and `trainer` can be searched, a number between dots is an index
into a list (`dataset.preprocessing.0.components`), and a value may be a whole list or table. What a
trial takes is a table of overrides, dotted field → value, with the fields whose condition holds.

A space is checked when it is written (bounds, choices, conditions), and `check` tries every bound
and every choice on the job before a search starts.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import SerializeAsAny, model_serializer, model_validator

from qstore_ray.config import Config, set_field
from qstore_ray.errors import ConfigError, unknown_name_error
from qstore_ray.tune.space.fields import SEARCHED, Values, check_field
from qstore_ray.tune.space.parameters import PARAMETERS, FloatParameter, Parameter
from qstore_ray.types import Table

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

Job = TypeVar("Job", bound=Config)


class Space(Config):
    """What is searched; written as the table of its parameters.

    Raises:
        ConfigError: no parameters, an unknown type, wrong bounds or choices, or a condition on
            a missing field, one that can never hold, or a circular one.

    Examples:
        table = {"trainer.learning_rate": {"type": "float", "low": 0.01, "high": 0.1}}
        space = Space.model_validate(table)
        assert list(space.parameters) == ["trainer.learning_rate"]
    """

    parameters: dict[str, SerializeAsAny[Parameter]]

    @model_validator(mode="before")
    @classmethod
    def _from_table(cls, table: Any) -> Any:
        if not isinstance(table, Mapping):
            raise ConfigError(
                "a space is a table of fields",
                value=table,
                fix='Write for example "model.layers" = { type = "int", low = 1, high = 8 }.',
            )
        found: dict[str, Parameter] = {}
        for field, entry in _entries(table, ""):
            if field in found:
                raise ConfigError("this field exists twice", field=field, fix="Leave one out.")
            found[field] = _parameter(field, entry)
        if not found:
            raise ConfigError(
                "there is nothing to search",
                value=table,
                fix='Write for example "model.layers" = { type = "int", low = 1, high = 8 }.',
            )
        return {"parameters": found}

    @model_validator(mode="after")
    def _conditions_can_hold(self) -> Space:
        for field, parameter in self.parameters.items():
            for other, values in parameter.when.items():
                place = f"{field}.when.{other}"
                if other not in self.parameters:
                    raise unknown_name_error("parameter", other, self.parameters, field=place)
                _check_condition(self.parameters[other], values, place)
        _ordered(self.parameters)
        return self

    @model_serializer
    def _as_table(self) -> Table:
        return {field: parameter.table() for field, parameter in self.parameters.items()}

    @functools.cached_property
    def order(self) -> tuple[str, ...]:
        """The fields, each after those that its condition names, otherwise as written."""
        return _ordered(self.parameters)

    def is_there(self, field: str, values: Values) -> bool:
        """Whether the condition of a field holds under the values of the fields before it."""
        missing = object()
        return all(
            values.get(other, missing) in allowed
            for other, allowed in self.parameters[field].when.items()
        )

    def suggest(self, trial: BaseTrial) -> Values:
        """The overrides of one trial of Optuna, define-by-run: fields are the stable names."""
        values: dict[str, Any] = {}
        for field in self.order:
            if self.is_there(field, values):
                values[field] = self.parameters[field].suggest(trial, field)
        return values

    def at(self, shares: Sequence[float]) -> Values:
        """The point of the space at a point of the unit cube, one share 0 ≤ u < 1 a field.

        Raises:
            ConfigError: not as many shares as the space has fields.
        """
        if len(shares) != len(self.order):
            raise ConfigError(
                "a point has one share for each field of the space",
                field="shares",
                value=len(shares),
                fix=f"Give {len(self.order)}: conditional fields have one too, used or not.",
            )
        values: dict[str, Any] = {}
        for field, u in zip(self.order, shares, strict=True):
            if self.is_there(field, values):
                values[field] = self.parameters[field].at(float(u))
        return values

    def contains(self, values: Values) -> bool:
        """Whether a trial of this space can take exactly these values."""
        expected = {field for field in self.order if self.is_there(field, values)}
        return set(values) == expected and all(
            self.parameters[field].contains(value) for field, value in values.items()
        )

    def check_point(self, values: Values, *, field: str) -> None:
        """Check a point to try first; what it leaves out, the sampler will choose.

        Raises:
            ConfigError: a field that is not searched, a value out of its range, or a field whose
                condition does not hold at this point.
        """
        for name, value in values.items():
            if name not in self.parameters:
                raise unknown_name_error(
                    "parameter", name, self.parameters, field=f"{field}.{name}"
                )
            if not self.parameters[name].contains(value):
                raise ConfigError(
                    "this value is not in the space",
                    field=f"{field}.{name}",
                    value=value,
                    fix=f"The space has {json.dumps(self.parameters[name].table())}.",
                )
            if not self.is_there(name, {**self._given(), **values}):
                raise ConfigError(
                    "the condition of this parameter does not hold at this point",
                    field=f"{field}.{name}",
                    value=value,
                    fix=f"Leave it out, or set {json.dumps(self.parameters[name].when)}.",
                )

    def apply(self, job: Job, values: Values) -> Job:
        """The job with these values in place.

        Raises:
            ConfigError: the job refuses them.
        """
        table = job.to_dict()
        for field in sorted(values, key=lambda name: name.count(".")):  # a list before its items
            set_field(table, field, json.loads(json.dumps(values[field])))
        return type(job).from_dict(table)

    def check(self, job: Config) -> None:
        """Try every field, bound and choice on the job that is searched from.

        A value counts as refused if the job refuses it for each of three settings of the other
        fields: those of the job, their first values, and their last values.

        Raises:
            UnknownNameError: a field that the job does not have.
            ConfigError: a value that the job refuses; the error says which, and why.
        """
        for field in self.order:
            check_field(job, field)
        for field in self.order:
            for place, value in self.parameters[field].probes().items():
                self._try(job, field, place, value)

    def _try(self, job: Config, field: str, place: str, value: Any) -> None:
        refusals = []
        for others in (self._given(), self._end(0.0), self._end(1.0 - 2**-53)):
            chosen = {**others, **self._reason(field), field: value}
            there: dict[str, Any] = {}
            for name in self.order:
                if name in chosen and self.is_there(name, there):
                    there[name] = chosen[name]
            try:
                self.apply(job, there)
            except ConfigError as exc:
                refusals.append(exc)
            else:
                return
        first = refusals[0]
        where = "" if first.field == field else f"{first.field}: "
        raise ConfigError(
            f"the job refuses this value: {where}{first.message}",
            field=f"{field}.{place}",
            value=value,
            fix=first.fix or "Take it out of the space, or make it conditional with when.",
        ) from first

    def _given(self) -> dict[str, Any]:
        """What every trial has, as far as conditions hold."""
        fixed = {f: p.at(0.0) for f, p in self.parameters.items() if p.type == "fixed"}
        return {field: value for field, value in fixed.items() if self.is_there(field, fixed)}

    def _end(self, u: float) -> dict[str, Any]:
        return {field: parameter.at(u) for field, parameter in self.parameters.items()}

    def _reason(self, field: str) -> dict[str, Any]:
        """Values for which a field exists: of its condition, and of the conditions' own."""
        found: dict[str, Any] = {}
        for other, allowed in self.parameters[field].when.items():
            found |= {**self._reason(other), other: allowed[0]}
        return found


def _entries(table: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, Any]]:
    """Fields and what stands there; `a.b = …` and `[a] b = …` are TOML's two ways to say "a.b"."""
    for key, entry in table.items():
        field = f"{prefix}{key}"
        nested = isinstance(entry, Mapping) and not isinstance(entry.get("type"), str)
        if nested and field.partition(".")[0] in SEARCHED and not _looks_like_one(entry):
            yield from _entries(entry, f"{field}.")
        else:
            yield field, entry


def _looks_like_one(entry: Mapping[str, Any]) -> bool:
    """A parameter without its type, rather than a table of parameters."""
    return not any(isinstance(inner, Mapping | Parameter) for inner in entry.values())


def _parameter(field: str, entry: Any) -> Parameter:
    if isinstance(entry, Parameter):
        return entry
    if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str):
        raise ConfigError(
            "a parameter is a table with a type",
            field=field,
            value=entry,
            fix=f'Write for example {{ type = "fixed", value = 1 }}; types: {_TYPES}.',
        )
    if entry["type"] not in PARAMETERS:
        raise unknown_name_error("type", entry["type"], PARAMETERS, field=f"{field}.type")
    try:
        return PARAMETERS[entry["type"]](**{str(key): value for key, value in entry.items()})
    except ConfigError as exc:
        place = f"{field}.{exc.field}" if exc.field else field
        raise type(exc)(exc.message, field=place, value=exc.value, fix=exc.fix) from exc


_TYPES = ", ".join(PARAMETERS)


def _check_condition(other: Parameter, values: Sequence[Any], place: str) -> None:
    if isinstance(other, FloatParameter):
        raise ConfigError(
            "a number of a continuous range is never met exactly",
            field=place,
            value=values,
            fix="Make conditions on choices, whole numbers or fixed values.",
        )
    for value in values:
        if not other.contains(value):
            raise ConfigError(
                "the other parameter never has this value",
                field=place,
                value=value,
                fix=f"It has {json.dumps(other.table())}.",
            )


def _ordered(parameters: Mapping[str, Parameter]) -> tuple[str, ...]:
    """A field is placed when all that its condition names are."""
    placed: dict[str, None] = {}
    left = list(parameters)
    while left:
        ready = [field for field in left if parameters[field].when.keys() <= placed.keys()]
        if not ready:
            circle = " → ".join(left)
            raise ConfigError(
                f"conditions go round in a circle: {circle}",
                field=f"{left[0]}.when",
                value=parameters[left[0]].when,
                fix="Leave one of them out.",
            )
        placed.update(dict.fromkeys(ready))
        left = [field for field in left if field not in placed]
    return tuple(placed)
