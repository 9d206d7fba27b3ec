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

It covers chance in the choice of the rows that were scored; not another choice of training rows or
seed. If the interval contains 0, the verdict is that the rows do not distinguish the models.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.baseline import Baseline
from qstore_ray.learn.scoring import METRICS, Answers, missed_classes
from qstore_ray.track.reading.statistics import Interval, mean_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qstore_ray.types import AnyArray, FloatArray

_Z95 = 1.959963984540054
"""The normal distribution's two-sided 95 % point."""

_WORDS = {"balanced_accuracy": "balanced accuracy", "accuracy": "accuracy", "r2": "R²"}
_MOST_CLASSES = 5


def verdict(
    y: AnyArray, model: Answers, baseline: Baseline, class_names: Sequence[str] = ()
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

    Returns:
        The sentence, and `verdict_difference`, `verdict_low`, `verdict_high`. Both are empty if the
        rows do not define the metric.
    """
    metric = baseline.metric
    if metric == "balanced_accuracy" and len(np.unique(y)) < 2:
        metric = "accuracy"
    other = baseline.constant if baseline.linear is None else baseline.linear
    found = difference(metric, y, model, other)
    constant = difference(metric, y, model, baseline.constant)
    if found is None or constant is None:
        return "", {}
    simple = "the mean of the targets" if metric == "r2" else "the majority class"
    rival = simple if baseline.linear is None else f"{baseline.name} on the same features"
    ours, theirs = score(metric, y, model), score(metric, y, other)
    text = (
        f"{_compared(found)} {rival}: {_WORDS[metric]} {ours:.4f} "
        f"against {theirs:.4f} (difference {found.value:+.4f}, 95 % interval {found.low:+.4f} to "
        f"{found.high:+.4f}, {found.n} rows)"
    )
    if baseline.linear is not None and constant.low <= 0.0:
        at = score(metric, y, baseline.constant)
        text += f"; it is {_compared(constant)} {simple}, which has {at:.4f}"
    missed = missed_classes(y, model.predicted, class_names)
    if missed:
        more = f" and {len(missed) - _MOST_CLASSES} more" if len(missed) > _MOST_CLASSES else ""
        classes = "classes" if missed[1:] else "class"
        text += f"; it finds no row of {classes} {', '.join(missed[:_MOST_CLASSES])}{more}"
    numbers = {"difference": found.value, "low": found.low, "high": found.high}
    return text, {f"verdict_{name}": value for name, value in numbers.items()}


def score(metric: str, y: AnyArray, answers: Answers) -> float:
    """The metric of answers, on rows that define it."""
    return METRICS[metric].value(y, answers.predicted)


def difference(metric: str, y: AnyArray, one: Answers, other: Answers) -> Interval | None:
    """By how much `one` has more of the metric than `other`; None where the rows do not say.

    Args:
        metric: accuracy, balanced_accuracy or r2.
    """
    if metric == "r2":
        return _of_squares(y, one.predicted, other.predicted)
    right = [_right(y, answers.predicted) for answers in (one, other)]
    gain = right[0].astype(np.int64) - right[1].astype(np.int64)
    groups = [gain[y == k] for k in np.unique(y)] if metric == "balanced_accuracy" else [gain]
    parts = [_paired(group) for group in groups]
    value, middle = (float(np.mean([part[i] for part in parts])) for i in (0, 1))
    half = _Z95 * math.sqrt(sum(part[2] for part in parts)) / len(parts)
    return Interval(value, max(-1.0, middle - half), min(1.0, middle + half), len(y))


def _paired(gain: AnyArray) -> tuple[float, float, float]:
    """Mean gain of rows that are −1, 0 or 1; middle and variance of Agresti and Min's interval."""
    only_one, only_other, n = (gain > 0).sum() + 0.5, (gain < 0).sum() + 0.5, len(gain) + 2.0
    middle = (only_one - only_other) / n
    variance = ((only_one + only_other) / n - middle**2) / n
    return float(gain.mean()), float(middle), float(variance)


def _of_squares(y: AnyArray, one: AnyArray, other: AnyArray) -> Interval | None:
    targets, ours, theirs = (np.asarray(a, np.float64).reshape(len(y), -1) for a in (y, one, other))
    variance: FloatArray = targets.var(axis=0)
    if len(y) < 2 or not (variance > 0.0).all():
        return None
    gain = (((theirs - targets) ** 2 - (ours - targets) ** 2) / variance).mean(axis=1)
    return mean_interval(gain) if np.isfinite(gain).all() else None


def _right(y: AnyArray, predicted: AnyArray) -> AnyArray:
    right: AnyArray = np.asarray(predicted == y)
    return np.asarray(right.all(axis=-1)) if right.ndim > 1 else right


def _compared(found: Interval) -> str:
    if found.low > 0.0:
        return "better than"
    if found.high < 0.0:
        return "worse than"
    return "not distinguishable from"
