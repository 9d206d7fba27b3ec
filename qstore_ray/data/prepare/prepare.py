"""Preparation: a chain of steps, fitted on the training rows and then kept.

A `Preparation` is the steps of `steps/` with the states they learnt. It is fitted once, on train
only, and applied unchanged to val, test and any rows predicted later; so it is saved with a
model, as arrays (`to_arrays`) and JSON (`spec`), and read back bit for bit (`from_arrays`).

Rows are finite when they come in and after every step. Missing values (NaN) may come in where the
first step takes them (`accepts_nan`, as impute does), and are gone behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from qstore_ray.data.prepare.steps import STEPS, State, Step, as_step
from qstore_ray.data.rows.validate import (
    as_features,
    bad_value_error,
    check_finite,
    check_width,
    first_bad_value,
)
from qstore_ray.errors import CheckpointError, DataError, unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.data.prepare.step_config import StepConfig
    from qstore_ray.types import FloatArray, Table


class PreparationDict(TypedDict):
    """A preparation without its arrays, as JSON holds it: F, and every step with its fields."""

    n_features: int
    steps: list[Table]


@dataclass(frozen=True)
class Preparation:
    """A fitted chain of steps: raw rows (B, F) in, what a model is given out.

    Args:
        n_features: F, the features of a raw row.
        steps: the steps in order.
        states: the state of each.
    """

    n_features: int
    steps: tuple[Step, ...]
    states: tuple[State, ...]

    @classmethod
    def fit(cls, steps: Sequence[StepConfig], x: FloatArray) -> Preparation:
        """Fit each step on the training rows `x` (N, F) as the steps before it leave them.

        Raises:
            UnknownNameError: no step has this name.
            ConfigError: a step that lacks a field, or does not fit the width of the rows before it.
            DataError: NaN where the first step does not take it, infinity, a step that the rows do
                not allow, or that overflows on them.
        """
        chosen = tuple(as_step(step) for step in steps)
        _check_incoming(x, chosen)
        states: list[State] = []
        n_features = x.shape[1]
        for step in chosen:
            with np.errstate(all="ignore"):  # what overflows is reported below
                states.append(step.fit(x))
                x = step.apply(x, states[-1])
            if not all(np.isfinite(array).all() for array in (x, *states[-1].values())):
                raise DataError(
                    "the step makes values that are not finite from the training rows",
                    field=f"preprocessing.{step.name}",
                    fix="The features are too large; put a scale or log1p step before it.",
                )
        return cls(n_features, chosen, tuple(states))

    @property
    def fills(self) -> bool:
        """Whether missing values (NaN) may come in: the first step fills them."""
        return bool(self.steps) and self.steps[0].accepts_nan

    def transform(self, raw: Any, names: Sequence[str] | None = None) -> FloatArray:
        """Raw rows (B, F), or images (B, …) of F pixels, as a model is given them (B, F').

        Args:
            names: of the F features, for error messages.

        Raises:
            DataError: NaN, infinity, ragged rows or another width, here or after a step.
        """
        x = as_features(raw)
        check_width(x, self.n_features)
        bad = None if self.fills else first_bad_value(x)
        if bad is not None:
            error = bad_value_error(bad, row=bad.position, names=names)
            error.fix = (
                "Fill the value in; a model whose first preprocessing step is impute takes missing "
                "values."
            )
            raise error
        return self.apply(x)

    def apply(self, x: FloatArray) -> FloatArray:
        """`transform` for rows (B, F) that have been checked already.

        Raises:
            DataError: a step overflows or refuses a value.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            for step, state in zip(self.steps, self.states, strict=True):
                x = step.apply(x, state)
        check_finite(x)
        return x

    def checked_width(self) -> int:
        """F', the features of a prepared row, after a check that every state fits its step.

        For states that come from a file: a step trusts the shapes of its state.

        Raises:
            CheckpointError: a state that lacks an array, or has one of another shape.
        """
        x = np.zeros((0, self.n_features))
        for position, (step, state) in enumerate(zip(self.steps, self.states, strict=True)):
            field = f"preparation.{position}.{step.name}"
            try:
                after = step.apply(x, state)
            except (KeyError, IndexError, ValueError, DataError) as exc:
                raise CheckpointError(
                    f"the step's state does not fit it: {exc}", field=field
                ) from exc
            expected = _shapes(step, state, x.shape[1], after.shape[1])
            found = {name: array.shape for name, array in state.items()}
            if found != expected:
                raise CheckpointError(
                    f"the step's state should have the shapes {expected}", field=field, value=found
                )
            x = after
        return x.shape[1]

    def inverse(self, prepared: Any) -> FloatArray:
        """Rows (B, F) that `transform` makes into `prepared` (B, F'): the steps undone in turn.

        Where steps lose nothing (scaling, logarithms, all components), these are the raw rows up
        to rounding; after a projection on fewer components, the nearest there are.

        Raises:
            DataError: NaN, infinity, ragged rows, or another width than `transform` gives.
            UsageError: a step without inverse, by name.
        """
        x = as_features(prepared, field="prepared")
        width = self.apply(np.zeros((0, self.n_features))).shape[1]
        check_width(x, width, field="prepared")
        check_finite(x)
        with np.errstate(over="ignore", invalid="ignore"):
            for step, state in zip(reversed(self.steps), reversed(self.states), strict=True):
                x = step.invert(x, state)
        check_finite(x)
        return x

    def spec(self) -> PreparationDict:
        """What `to_arrays` does not hold, JSON-ready: the width and the steps with their fields."""
        steps = [step.to_dict() for step in self.steps]
        return {"n_features": self.n_features, "steps": steps}

    def to_arrays(self) -> dict[str, FloatArray]:
        """The fitted states as arrays named `<position>.<name>`, such as `1.directions`."""
        return {
            f"{position}.{name}": array
            for position, state in enumerate(self.states)
            for name, array in state.items()
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, FloatArray], spec: PreparationDict) -> Preparation:
        """The preparation that `to_arrays` and `spec` wrote, equal to the last bit.

        Raises:
            CheckpointError: the two do not belong together.
        """
        steps = tuple(_step_from(values) for values in spec["steps"])
        states: list[dict[str, FloatArray]] = [{} for _ in steps]
        for key, array in arrays.items():
            position, _, name = key.partition(".")
            if not position.isdigit() or int(position) >= len(steps):
                raise CheckpointError("an array of the preparation belongs to no step", value=key)
            states[int(position)][name] = np.asarray(array, dtype=np.float64)
        return cls(int(spec["n_features"]), steps, tuple(states))


def _shapes(step: Step, state: State, before: int, after: int) -> dict[str, tuple[int, ...]]:
    """The shapes of a step's state, given the widths F `before` and F' `after` it."""
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(state, (before,))
    own: dict[str, dict[str, tuple[int, ...]]] = {
        "pca": {"mean": (before,), "directions": (after, before), "std": (after,)},
        "random_projection": {"directions": (after, before)},
        "amplitudes": {"n_features": (1,)},
    }
    if step.name == "one_hot":
        return {name: array.shape for name, array in state.items()}  # `apply` has looked at them
    return own.get(step.name, shapes)


def _check_incoming(x: FloatArray, steps: Sequence[Step]) -> None:
    """Raise `DataError` where `x` (B, F) is infinite, or NaN and the first step does not take it.

    A step that takes NaN refuses infinity itself, since rows may reach it by `apply`.
    """
    if not (steps and steps[0].accepts_nan):
        check_finite(x)


def _step_from(values: Mapping[str, Any]) -> Step:
    name = str(values.get("name"))
    if name not in STEPS:
        raise unknown_name_error("step", name, STEPS, field="preparation")
    return STEPS[name](**values)
