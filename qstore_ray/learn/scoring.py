"""Scoring: what predictions are worth, by the metrics of the field, each computed by scikit-learn.

| name | goal | better | needs |
|---|---|---|---|
| `accuracy` | classes, labels | larger | predictions; of several labels, all must be right |
| `balanced_accuracy` | classes | larger | predictions; the mean recall of the classes |
| `f1_macro` | classes, labels | larger | predictions; the mean F1 of the classes or labels |
| `recall_<class>` | classes, labels | larger | predictions; the share of its rows that is found |
| `roc_auc` | classes, labels | larger | scores; the mean of each class against the rest |
| `average_precision` | classes, labels | larger | scores; the same mean |
| `log_loss` | classes, labels | smaller | probabilities |
| `hamming` | labels | larger | predictions; the share of single labels that is right |
| `r2` | numbers | larger | predictions; of several targets the mean |
| `mae`, `rmse`, `mse` | numbers | smaller | predictions, in the units of the data |

A metric that the rows do not define, such as the ROC AUC of rows of one class, is missing, with the
reason. `recall_<class>` has the class's name, with `_` for every character that is not a letter, a
digit, `-` or `.`. scikit-learn is imported when a metric is computed, not with this module.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from qstore_ray.errors import unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.learn.losses import Goal, Loss
    from qstore_ray.types import AnyArray, FloatArray

RECALL = "recall_"
SPLITS = ("train_", "val_", "test_", "baseline_", "majority_", "mean_")
"""What stands before the name of a metric in a record."""

Weight: TypeAlias = "FloatArray | None"
"""Weights of rows (N,), or None for 1 each."""
_Takes: TypeAlias = Literal["predicted", "ranking", "probabilities"]


class Answers(NamedTuple):
    """What a model says of N rows.

    Attributes:
        predicted: class numbers (N,), labels of 0 and 1 (N, T), or values (N,) or (N, T).
        ranking: scores by which rows are ranked, (N,) of two classes, else (N, C); or None.
        probabilities: (N, C), or of several labels (N, T); or None.
    """

    predicted: AnyArray
    ranking: FloatArray | None = None
    probabilities: FloatArray | None = None


class Metric(NamedTuple):
    """One metric.

    Attributes:
        goals: tasks it applies to. larger_is_better: its direction. takes: its field of `Answers`.
        value: computes the metric from targets, that field, and the weights of the rows.
        undefined: why these targets do not define it, given the classes' names; "" if they do.
    """

    goals: frozenset[Goal]
    larger_is_better: bool
    takes: _Takes
    value: Callable[[AnyArray, AnyArray, Weight], float]
    undefined: Callable[[AnyArray, Sequence[str]], str]


class Scores(NamedTuple):
    """Metrics by name, and the reasons for those that could not be computed."""

    values: dict[str, float]
    missing: dict[str, str]


@dataclass(frozen=True)
class Scoring:
    """The metrics that fit a model.

    Args:
        goal: what its loss is for.
        classes: the names of the classes or labels; empty for numbers.
    """

    goal: Goal
    classes: tuple[str, ...] = ()

    @property
    def metrics(self) -> dict[str, Metric]:
        """All of them by name."""
        found = {name: metric for name, metric in METRICS.items() if self.goal in metric.goals}
        if self.goal in {"classification", "multilabel"}:
            names = recall_names(self.classes)
            found |= {name: _recall(number) for number, name in enumerate(names)}
        return found

    def check(self, names: Iterable[str], field: str) -> None:
        """Raise unless every name is that of a metric which fits.

        Raises:
            UnknownNameError: an unknown metric; the error lists the known ones.
        """
        known = self.metrics
        for name in names:
            if name not in known:
                raise unknown_name_error("metric", name, known, field=field)

    def undefined(self, name: str, y: AnyArray) -> str:
        """Why targets y (N, …) do not define the metric; "" if they do."""
        return self.metrics[name].undefined(y, self.classes)

    def scores(
        self,
        y: AnyArray,
        answers: Answers,
        names: Iterable[str] | None = None,
        weight: Weight = None,
    ) -> Scores:
        """The metrics of answers against targets y (N,) or (N, T); all that fit, or those named.

        Args:
            weight: of the rows (N,), above 0, as scikit-learn's `sample_weight`; None for 1 each.
        """
        found, missing = dict[str, float](), dict[str, str]()
        known = self.metrics
        for name in known if names is None else names:
            metric, given = known[name], getattr(answers, known[name].takes)
            why = metric.undefined(y, self.classes)
            if given is None:
                why = f"the loss of the model gives no {metric.takes}"
            elif not np.isfinite(given).all():
                why = f"the {metric.takes} of a row are NaN or infinite"
            if why:
                missing[name] = why
            else:
                found[name] = float(metric.value(y, given, weight))
        return Scores(found, missing)


def answers_of(loss: Loss, outputs: FloatArray) -> Answers:
    """The answers that a loss reads from outputs (N, K)."""
    chances = None if loss.probabilities is None else loss.probabilities(outputs)
    if loss.goal not in {"classification", "multilabel"}:
        return Answers(loss.predict(outputs))
    if loss.goal == "classification" and outputs.shape[-1] > 1:
        ranking = outputs if chances is None else chances
    else:
        ranking = outputs if loss.goal == "multilabel" else outputs[:, 0]
    return Answers(loss.predict(outputs), ranking, chances)


def recall_names(classes: Sequence[str]) -> tuple[str, ...]:
    """`recall_<class>` of each class; names that would be equal end in the number of the class."""
    plain = [RECALL + (re.sub(r"[^\w.-]+", "_", name).strip("_") or "class") for name in classes]
    times = Counter(plain)
    return tuple(
        name if times[name] == 1 else f"{name}_{number}" for number, name in enumerate(plain)
    )


def table_direction(name: str) -> bool | None:
    """Whether larger is better for a metric of the table, with or without its split's name before.

    None for any other name, `loss` among them.
    """
    split = next((prefix for prefix in SPLITS if name.startswith(prefix)), "")
    plain = name.removeprefix(split)
    if plain in METRICS:
        return METRICS[plain].larger_is_better
    return True if plain.startswith(RECALL) else None


def of_train(metric: str) -> str:
    """The metric of train that stands for one of val; the loss if train has no such metric."""
    name = metric.removeprefix("val_")
    optional = table_direction(name) is not None and name != "accuracy"
    return "train_loss" if optional else f"train_{name}"


def nearest_metric(name: str) -> str | None:
    """The metric of the table that a misspelt name is nearest to, after the same split's name."""
    split = next((prefix for prefix in SPLITS if name.startswith(prefix)), "")
    near = difflib.get_close_matches(name.removeprefix(split), ["loss", *METRICS], n=1)
    return f"{split}{near[0]}" if near else None


def is_uneven(counts: Sequence[int]) -> bool:
    """Whether accuracy would hide a class: the largest of K classes has more than 1.5 times, or the
    smallest less than half of its even share N/K. Of two classes, both are 3 : 1.
    """
    even = sum(counts) / max(1, len(counts))
    return bool(counts) and (max(counts) > 1.5 * even or min(counts) < 0.5 * even)


def missed_classes(y: AnyArray, predicted: AnyArray, classes: Sequence[str]) -> list[str]:
    """The classes, or labels, that have rows of which none is found."""
    found = []
    for number, name in enumerate(classes):
        there = y[:, number] == 1 if y.ndim == 2 else y == number
        said = predicted[:, number] == 1 if y.ndim == 2 else predicted == number
        if there.any() and not (there & said).any():
            found.append(name)
    return found


# ------------------------------------------------------------------------- when one is not defined


def _always(_y: AnyArray, _classes: Sequence[str]) -> str:
    return ""


def _two_classes(y: AnyArray, _classes: Sequence[str]) -> str:
    return "" if len(np.unique(y)) > 1 else "all rows are of one class"


def _all_classes(y: AnyArray, classes: Sequence[str]) -> str:
    for number, name in enumerate(classes):
        there = y[:, number] == 1 if y.ndim == 2 else y == number
        if not there.any():
            return f"no row is of class {name}"
        if there.all():
            return f"every row is of class {name}"
    return ""


def _all_labels(y: AnyArray, classes: Sequence[str]) -> str:
    return "" if y.ndim == 1 else _all_classes(y, classes)


def _values_differ(y: AnyArray, _classes: Sequence[str]) -> str:
    if len(y) < 2:
        return "it takes two rows"
    return "all rows have the same target" if (y.min(axis=0) == y.max(axis=0)).any() else ""


# ------------------------------------------------------------------------------------- the metrics


def _accuracy(y: AnyArray, predicted: AnyArray, weight: Weight = None) -> float:
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(y, predicted, sample_weight=weight))


def _balanced_accuracy(y: AnyArray, predicted: AnyArray, weight: Weight = None) -> float:
    # balanced_accuracy_score warns of predicted classes that have no row; this is the same mean.
    from sklearn.metrics import recall_score

    return float(
        recall_score(y, predicted, labels=np.unique(y), average="macro", sample_weight=weight)
    )


def _f1_macro(y: AnyArray, predicted: AnyArray, weight: Weight = None) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(y, predicted, average="macro", zero_division=0.0, sample_weight=weight))


def _recall(number: int) -> Metric:
    def value(y: AnyArray, predicted: AnyArray, weight: Weight = None) -> float:
        from sklearn.metrics import recall_score

        if y.ndim == 2:
            return float(recall_score(y[:, number], predicted[:, number], sample_weight=weight))
        return float(
            recall_score(y, predicted, labels=[number], average="macro", sample_weight=weight)
        )

    def undefined(y: AnyArray, classes: Sequence[str]) -> str:
        there = y[:, number] == 1 if y.ndim == 2 else y == number
        return "" if there.any() else f"no row is of class {classes[number]}"

    return Metric(_CLASSES | _LABELS, True, "predicted", value, undefined)


def _one_hot(y: AnyArray, ranking: FloatArray) -> AnyArray:
    """Targets as scikit-learn wants them beside scores of this shape."""
    if ranking.ndim == 1 or y.ndim == 2:
        return y
    hot: AnyArray = (y[:, None] == np.arange(ranking.shape[1])).astype(np.int64)
    return hot


def _roc_auc(y: AnyArray, ranking: FloatArray, weight: Weight = None) -> float:
    from sklearn.metrics import roc_auc_score

    return float(
        roc_auc_score(_one_hot(y, ranking), ranking, average="macro", sample_weight=weight)
    )


def _average_precision(y: AnyArray, ranking: FloatArray, weight: Weight = None) -> float:
    from sklearn.metrics import average_precision_score

    return float(
        average_precision_score(
            _one_hot(y, ranking), ranking, average="macro", sample_weight=weight
        )
    )


def _log_loss(y: AnyArray, probabilities: FloatArray, weight: Weight = None) -> float:
    from sklearn.metrics import log_loss

    if y.ndim == 2:
        columns = zip(y.T, probabilities.T, strict=True)
        each = [log_loss(t, chance, labels=[0, 1], sample_weight=weight) for t, chance in columns]
        return float(np.mean(each))
    return float(
        log_loss(y, probabilities, labels=np.arange(probabilities.shape[1]), sample_weight=weight)
    )


def _hamming(y: AnyArray, predicted: AnyArray, weight: Weight = None) -> float:
    from sklearn.metrics import hamming_loss

    return 1.0 - float(hamming_loss(y, predicted, sample_weight=weight))


def _r2(y: AnyArray, predicted: AnyArray, weight: Weight = None) -> float:
    from sklearn.metrics import r2_score

    return float(r2_score(y, predicted, sample_weight=weight))


def _mae(y: AnyArray, predicted: AnyArray, weight: Weight = None) -> float:
    from sklearn.metrics import mean_absolute_error

    return float(mean_absolute_error(y, predicted, sample_weight=weight))


def _rmse(y: AnyArray, predicted: AnyArray, weight: Weight = None) -> float:
    from sklearn.metrics import root_mean_squared_error

    return float(root_mean_squared_error(y, predicted, sample_weight=weight))


def _mse(y: AnyArray, predicted: AnyArray, weight: Weight = None) -> float:
    from sklearn.metrics import mean_squared_error

    return float(mean_squared_error(y, predicted, sample_weight=weight))


_CLASSES: frozenset[Goal] = frozenset({"classification"})
_LABELS: frozenset[Goal] = frozenset({"multilabel"})
_NUMBERS: frozenset[Goal] = frozenset({"regression"})
_BOTH = _CLASSES | _LABELS

METRICS: dict[str, Metric] = {
    "accuracy": Metric(_BOTH, True, "predicted", _accuracy, _always),
    "balanced_accuracy": Metric(_CLASSES, True, "predicted", _balanced_accuracy, _two_classes),
    "f1_macro": Metric(_BOTH, True, "predicted", _f1_macro, _all_labels),
    "roc_auc": Metric(_BOTH, True, "ranking", _roc_auc, _all_classes),
    "average_precision": Metric(_BOTH, True, "ranking", _average_precision, _all_classes),
    "log_loss": Metric(_BOTH, False, "probabilities", _log_loss, _always),
    "hamming": Metric(_LABELS, True, "predicted", _hamming, _always),
    "r2": Metric(_NUMBERS, True, "predicted", _r2, _values_differ),
    "mae": Metric(_NUMBERS, False, "predicted", _mae, _always),
    "rmse": Metric(_NUMBERS, False, "predicted", _rmse, _always),
    "mse": Metric(_NUMBERS, False, "predicted", _mse, _always),
}
"""Every metric but `recall_<class>`, which is of the classes at hand."""
