"""Is the model better than a simple one? The difference on the same rows, and how sure it is.

Both models answer the same N rows, so their difference is a mean over rows, and has an interval in
closed form, without random numbers:

    accuracy             d = (b − c) / N, with b rows that only this model has right and c that only
                         the other one has. Interval of Agresti & Min (Stat. Med. 24, 729 (2005)):
                         Wald's, after half a row was added to each of the four cells.
    balanced accuracy    the mean over the classes of that d, each class with its own interval's
                         variance: a class of one row makes a wide interval, not none.
    R²                   the mean over rows of (error of the other² − error²) / variance of y, with
                         Student's interval.

With weights of rows the same formulas take the weighted means, and for N the effective number of
rows, (Σw)² / Σw² (Kish, Survey Sampling, 1965).

It covers chance in the choice of the rows that were scored; not another choice of training rows or
seed. If the interval contains 0, the verdict is that the rows do not distinguish the models.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.baseline import Baseline
from qstore_ray.learn.scoring import METRICS, Answers, missed_classes
from qstore_ray.track.reading.statistics import Interval, mean_interval, weighted_mean_interval
from qstore_ray.wording import decimal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qstore_ray.types import AnyArray, FloatArray

_Z95 = 1.959963984540054
"""The normal distribution's two-sided 95 % point."""

_WORDS = {"balanced_accuracy": "balanced accuracy", "accuracy": "accuracy", "r2": "R²"}
_MOST_CLASSES = 5


def verdict(
    y: AnyArray,
    model: Answers,
    baseline: Baseline,
    class_names: Sequence[str] = (),
    weight: FloatArray | None = None,
) -> tuple[str, dict[str, float]]:
    """Compare a model with the simple ones, as a sentence and as numbers.

    The sentence completes "The model is": `better than`, `worse than` or `not distinguishable
    from` the linear model, with the difference, its 95 % interval and the number of rows. It adds
    the comparison with the majority class (the mean), if the model is not clearly better, and the
    classes of which it finds no row. Without a linear model it compares with the majority class
    (the mean).

    Args:
        y: the targets (N,) or (N, T) of the rows that both answer.
        class_names: in the order of the class numbers; empty for a regression.
        weight: of the rows (N,), above 0; None for 1 each.

    Returns:
        The sentence, and `verdict_difference`, `verdict_low`, `verdict_high`. Both are empty if the
        rows do not define the metric.
    """
    metric = baseline.metric
    if metric == "balanced_accuracy" and len(np.unique(y)) < 2:
        metric = "accuracy"
    other = baseline.constant if baseline.linear is None else baseline.linear
    found = difference(metric, y, model, other, weight)
    constant = difference(metric, y, model, baseline.constant, weight)
    if found is None or constant is None:
        return "", {}
    simple = "the mean of the targets" if metric == "r2" else "the majority class"
    rival = simple if baseline.linear is None else f"{baseline.name} on the same features"
    ours, theirs = score(metric, y, model, weight), score(metric, y, other, weight)
    rows = f"{found.n} rows" if weight is None else f"{found.n} weighted rows"
    text = (
        f"{_compared(found)} {rival}: {_WORDS[metric]} {_text(ours)} "
        f"against {_text(theirs)} (difference {_text(found.value, '+')}, "
        f"95 % interval {_text(found.low, '+')} to {_text(found.high, '+')}, {rows})"
    )
    if baseline.linear is not None and constant.low <= 0.0:
        at = score(metric, y, baseline.constant, weight)
        text += f"; it is {_compared(constant)} {simple}, which has {_text(at)}"
    missed = missed_classes(y, model.predicted, class_names)
    if missed:
        more = f" and {len(missed) - _MOST_CLASSES} more" if len(missed) > _MOST_CLASSES else ""
        classes = "classes" if missed[1:] else "class"
        text += f"; it finds no row of {classes} {', '.join(missed[:_MOST_CLASSES])}{more}"
    numbers = {"difference": found.value, "low": found.low, "high": found.high}
    return text, {f"verdict_{name}": value for name, value in numbers.items()}


def score(metric: str, y: AnyArray, answers: Answers, weight: FloatArray | None = None) -> float:
    """The metric of answers, on rows that define it."""
    return METRICS[metric].value(y, answers.predicted, weight)


def difference(
    metric: str, y: AnyArray, one: Answers, other: Answers, weight: FloatArray | None = None
) -> Interval | None:
    """By how much `one` has more of the metric than `other`; None where the rows do not say.

    Args:
        metric: accuracy, balanced_accuracy or r2.
    """
    if metric == "r2":
        return _of_squares(y, one.predicted, other.predicted, weight)
    right = [_right(y, answers.predicted) for answers in (one, other)]
    gain = right[0].astype(np.int64) - right[1].astype(np.int64)
    shares = np.ones(len(y)) if weight is None else weight
    every = np.ones(len(y), bool)
    groups = [y == k for k in np.unique(y)] if metric == "balanced_accuracy" else [every]
    parts = [_paired(gain[group], shares[group]) for group in groups]
    value, middle = (float(np.mean([part[i] for part in parts])) for i in (0, 1))
    half = _Z95 * math.sqrt(sum(part[2] for part in parts)) / len(parts)
    return Interval(value, max(-1.0, middle - half), min(1.0, middle + half), len(y))


def _effective(weight: FloatArray) -> FloatArray:
    """The weights scaled to sum to Kish's effective number of rows, (Σw)² / Σw²."""
    scaled: FloatArray = weight / weight.max()
    counts: FloatArray = scaled * (scaled.sum() / (scaled**2).sum())
    return counts


def _paired(gain: AnyArray, weight: FloatArray) -> tuple[float, float, float]:
    """Mean gain of rows that are −1, 0 or 1; middle and variance of Agresti and Min's interval."""
    counts = _effective(weight)
    only_one, only_other = counts[gain > 0].sum() + 0.5, counts[gain < 0].sum() + 0.5
    n = counts.sum() + 2.0
    middle = (only_one - only_other) / n
    variance = ((only_one + only_other) / n - middle**2) / n
    return float(np.average(gain, weights=counts)), float(middle), float(variance)


def _of_squares(
    y: AnyArray, one: AnyArray, other: AnyArray, weight: FloatArray | None
) -> Interval | None:
    targets, ours, theirs = (np.asarray(a, np.float64).reshape(len(y), -1) for a in (y, one, other))
    middle = np.average(targets, axis=0, weights=weight)
    variance: FloatArray = np.average((targets - middle) ** 2, axis=0, weights=weight)
    if len(y) < 2 or not (variance > 0.0).all():
        return None
    gain = (((theirs - targets) ** 2 - (ours - targets) ** 2) / variance).mean(axis=1)
    if not np.isfinite(gain).all():
        return None
    if weight is None:
        return mean_interval(gain)
    counts = _effective(weight)
    return weighted_mean_interval(gain, counts) if counts.sum() > 1.0 else None


def _right(y: AnyArray, predicted: AnyArray) -> AnyArray:
    right: AnyArray = np.asarray(predicted == y)
    return np.asarray(right.all(axis=-1)) if right.ndim > 1 else right


def _compared(found: Interval) -> str:
    if found.low > 0.0:
        return "better than"
    if found.high < 0.0:
        return "worse than"
    return "not distinguishable from"


def _text(value: float, sign: str = "") -> str:
    return decimal(round(value, 4), sign)
