"""What steps of preparation learn, from blocks of rows that are read once and let go.

A step that can be fitted in one pass has a `OnePass`: a summary of a block of rows, how two
summaries are joined, and the state that a summary gives. Summaries are small, a few numbers a
column (of PCA a triangle F × F), and are joined in the order of the blocks; so the state does not
depend on where blocks are read. It equals that of `Step.fit` up to rounding. Quantiles cannot be
found in this way: the steps `robust`, and `binarize` and `impute` with the median, need all rows.

Each step that learns takes a pass of its own: it sees the rows as the steps before it leave them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce, singledispatch
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.data.prepare.steps import (
    L1,
    Amplitudes,
    Binarize,
    Impute,
    Log,
    Log1p,
    MinMax,
    Normalize,
    OneHot,
    Pca,
    RandomProjection,
    Scale,
    Standard,
    State,
    Step,
    as_step,
)
from qstore_ray.data.prepare.steps.images import ImageStep
from qstore_ray.data.prepare.summaries import (
    columns_joined,
    columns_of,
    counts_joined,
    counts_of,
    fill_of,
    most_frequent,
    triangle_joined,
    triangle_of,
    values_joined,
)
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.data.prepare.step_config import StepConfig
    from qstore_ray.data.prepare.summaries import Summary
    from qstore_ray.types import FloatArray

RowsPass: TypeAlias = "Callable[[Preparation, Step], Iterable[Summary]]"
"""Reads the training rows once: the summaries of their blocks, in order, for the last step, of the
rows as the steps before it leave them."""


class OnePass(NamedTuple):
    """How a step is fitted in one pass over blocks of rows."""

    summary: Callable[[FloatArray], Summary]
    join: Callable[[Summary, Summary], Summary]
    state: Callable[[Summary], State]


def fit_in_passes(
    steps: Sequence[StepConfig], over_rows: RowsPass, n_rows: int, n_features: int
) -> Preparation:
    """Fit each step on the training rows, which are read once for each step that learns from them.

    Args:
        over_rows: see `RowsPass`. n_rows, n_features: N and F of the training rows.

    Raises:
        ConfigError: a step that needs all rows at once.
        UnknownNameError, DataError: see `Preparation.fit`.
    """
    chosen = tuple(as_step(step) for step in steps)
    for step in chosen:
        if not learns_from_shape(step) and one_pass(step) is None:
            raise needs_all_rows_error(step)
    fitted = Preparation(n_features, (), ())
    for step in chosen:
        width = fitted.checked_width()
        if learns_from_shape(step):
            state = step.fit(np.broadcast_to(np.zeros(width), (n_rows, width)))
        else:
            how = one_pass(step)
            assert how is not None, "checked above"
            state = how.state(reduce(how.join, over_rows(fitted, step)))
        fitted = Preparation(n_features, (*fitted.steps, step), (*fitted.states, state))
    return fitted


def summary_of(fitted: Preparation, step: Step, raw: FloatArray) -> Summary:
    """What `step` has to know of raw rows (B, F), after the steps before it."""
    how = one_pass(step)
    assert how is not None, "checked before the first pass"
    takes_gaps = not fitted.steps and step.accepts_nan
    return how.summary(raw if takes_gaps else fitted.apply(raw))


def needs_all_rows_error(step: Step) -> ConfigError:
    """The error for a step that cannot be fitted while rows are streamed."""
    return ConfigError(
        "this step needs all training rows at once, and they are streamed",
        field=f"preprocessing.{step.name}",
        value=step.name,
        fix="Use standard or minmax in place of robust, and the mean in place of the median, "
        "or set dataset.stream = false.",
    )


def learns_from_shape(step: Step) -> bool:
    """Whether a step learns nothing from rows, but for their number and width."""
    if isinstance(step, Binarize):
        return not isinstance(step.threshold, str)
    return isinstance(
        step, Amplitudes | ImageStep | L1 | Log | Log1p | Normalize | RandomProjection | Scale
    )


@singledispatch
def one_pass(_step: Step) -> OnePass | None:
    """How a step is fitted in one pass; None if it needs all rows at once.

    A step of another package registers its own: `one_pass.register(MyStep, function)`.
    """
    return None


@one_pass.register
def _(_step: Standard) -> OnePass:
    def state(found: Summary) -> State:
        return {"mean": found["mean"], "std": np.sqrt(found["squares"] / found["n_rows"])}

    return OnePass(columns_of, columns_joined, state)


@one_pass.register
def _(_step: MinMax) -> OnePass:
    def state(found: Summary) -> State:
        return {"low": found["low"], "span": found["high"] - found["low"]}

    return OnePass(columns_of, columns_joined, state)


@one_pass.register
def _(step: Binarize) -> OnePass | None:
    if step.threshold != "mean":
        return None
    return OnePass(columns_of, columns_joined, lambda found: {"threshold": found["mean"]})


@one_pass.register
def _(step: Pca) -> OnePass:
    def state(found: Summary) -> State:
        shape = int(found["n_rows"]), len(found["mean"])
        step.check(shape)
        _, singular, rows = np.linalg.svd(found["triangle"], full_matrices=False)
        return step.kept(found["mean"], singular, rows, shape)

    return OnePass(triangle_of, triangle_joined, state)


@one_pass.register
def _(step: OneHot) -> OnePass:
    def summary(x: FloatArray) -> Summary:
        return {str(at): values for at, values in step.known(step.fit(x)).items()}

    def state(found: Mapping[str, FloatArray]) -> State:
        values = [found[str(at)] for at in step.positions]
        return {
            "categories": np.concatenate(values),
            "counts": np.array([len(each) for each in values], dtype=np.float64),
        }

    return OnePass(summary, values_joined, state)


@one_pass.register
def _(step: Impute) -> OnePass | None:
    if step.strategy == "median":
        return None
    every = step.strategy == "most_frequent"

    def counted(width: int) -> tuple[int, ...]:
        return tuple(range(width)) if every else tuple(p for p in step.most_frequent if p < width)

    def summary(x: FloatArray) -> Summary:
        step.no_infinity(x)
        return counts_of(x, counted(x.shape[1]))

    def state(found: Summary) -> State:
        places = counted(len(found["known"]))
        empty = found["known"] == 0
        if step.strategy == "constant":
            empty[[place for place in range(len(empty)) if place not in places]] = False
        step.check_known(empty)
        fill = fill_of(found, step.value if step.strategy == "constant" else None)
        for place in places:
            fill[place] = most_frequent(found, place)
        return {"fill": fill}

    return OnePass(summary, counts_joined, state)
