"""What simple models reach on the same features and the same splits.

A quantum model's score means little without them, so every job prints them: the majority class (of
a regression, the mean), which looks at no feature, and a linear model. The linear one is honest
rather than weak: standardised features, the weights of rows that the quantum model is trained with,
and the strength of the regularisation chosen on the validation rows by the metric of the verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qstore_ray.learn.scoring import Answers, Scoring, is_uneven
from qstore_ray.learn.weights import ClassWeight, row_weights

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.learn.losses import Goal
    from qstore_ray.types import AnyArray, FloatArray

LOGISTIC, RIDGE = "logistic regression", "ridge regression"
_STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)


@dataclass(frozen=True)
class Baseline:
    """Two simple models on the rows of a split.

    Attributes:
        name: name of the linear model. metric: metric of the verdict, a name in `learn.scoring`.
        linear, constant: answers of the linear model (None if it was not fitted), and of the
            majority class or the mean.
        metrics: their scores, as `baseline_<metric>` and `majority_<metric>` (`mean_` without
            classes).
    """

    name: str
    metric: str
    linear: Answers | None
    constant: Answers
    metrics: dict[str, float]


class _Rows(NamedTuple):
    """Features (N, F), None for labels alone; targets (N, …); weights of the rows (N,), if any."""

    x: FloatArray | None
    y: AnyArray
    weight: FloatArray | None


class BaselineTask(NamedTuple):
    """What the simple models are fitted and scored on: names and arrays, no dataset.

    Attributes:
        metric: of the verdict. y, weight: of train, for the majority class or the mean.
        test: the rows to score. train, val: of the linear model; None without one, or without
            validation.
    """

    goal: Goal
    class_names: tuple[str, ...]
    metric: str
    y: AnyArray
    weight: FloatArray | None
    test: _Rows
    train: _Rows | None = None
    val: _Rows | None = None


def linear_baseline(
    dataset: Dataset,
    split: str = "test",
    *,
    class_weight: ClassWeight = None,
    sample_weight: FloatArray | None = None,
) -> Baseline:
    """Simple models fitted on train, the linear one chosen on val, on `split`.

    Without a val split the usual strength 1 is taken.

    Args:
        class_weight, sample_weight: of the training rows, see `learn.weights`; the weights of rows
            are by default those of the dataset. Val and `split` are scored with the weights of the
            dataset.

    Raises:
        UnknownNameError: the dataset has no such split, or a weight is of no class.
    """
    return fit_baseline(
        linear_task(dataset, split, class_weight=class_weight, sample_weight=sample_weight)
    )


def linear_task(
    dataset: Dataset,
    split: str = "test",
    *,
    class_weight: ClassWeight = None,
    sample_weight: FloatArray | None = None,
) -> BaselineTask:
    """What `fit_baseline` needs for the linear model, as arrays; the arguments of
    `linear_baseline`.

    Raises:
        UnknownNameError: the dataset has no such split, or a weight is of no class.
        ResourceError: the rows are streamed, and do not fit into memory.
    """
    x, y = dataset.materialize("train")
    weight = sample_weight = dataset.weights("train") if sample_weight is None else sample_weight
    goal: Goal = dataset.config.task
    if goal == "classification" and (class_weight is not None or sample_weight is not None):
        weight = row_weights(
            y, dataset.classes, class_weight, sample_weight, field="trainer.class_weight"
        )
    val = None
    if "val" in dataset.plans:
        x_val, y_val = dataset.materialize("val")
        val = _Rows(x_val, y_val, dataset.weights("val"))
    test = _Rows(*dataset.materialize(split), dataset.weights(split))
    return _task(dataset, test)._replace(train=_Rows(x, y, weight), val=val)


def constant_baseline(dataset: Dataset, split: str = "test") -> Baseline:
    """The majority class, or the mean, of train on `split`; nothing is fitted.

    Raises:
        UnknownNameError: the dataset has no such split.
    """
    return fit_baseline(constant_task(dataset, split))


def constant_task(dataset: Dataset, split: str = "test") -> BaselineTask:
    """What `fit_baseline` needs for the majority class or the mean alone.

    Raises:
        UnknownNameError: the dataset has no such split.
    """
    return _task(dataset, _Rows(None, dataset.labels(split), dataset.weights(split)))


def fit_baseline(task: BaselineTask) -> Baseline:
    """Fit the simple models and score them. It needs no dataset, so any process can run it."""
    goal, scoring = task.goal, Scoring(task.goal, task.class_names)
    constant = Answers(_constant(task.y, goal, len(task.test.y), task.weight))
    of_labels = [name for name, known in scoring.metrics.items() if known.takes == "predicted"]
    first = "mean" if goal == "regression" else "majority"
    found = scoring.scores(task.test.y, constant, of_labels, task.test.weight).values
    metrics = {f"{first}_{k}": v for k, v in found.items() if not k.startswith("recall_")}
    name = RIDGE if goal == "regression" else LOGISTIC
    simple = Baseline(name, task.metric, None, constant, metrics)
    if task.train is None or task.test.x is None:
        return simple
    linear = _answers(_chosen(task, scoring), task.test.x, goal, len(task.class_names))
    scores = scoring.scores(task.test.y, linear, weight=task.test.weight).values
    metrics = {f"baseline_{k}": v for k, v in scores.items()}
    return replace(simple, linear=linear, metrics=metrics | simple.metrics)


def _chosen(task: BaselineTask, scoring: Scoring) -> Any:
    """The linear model whose strength of regularisation is best on the validation rows."""
    strengths = (1.0,) if task.val is None else _STRENGTHS
    candidates = [_fitted(strength, task) for strength in strengths]
    if task.val is None:
        return candidates[0]
    x, y, weight = task.val
    assert x is not None, "the linear model has rows to answer"
    by = task.metric if not scoring.undefined(task.metric, y) else _always(task.goal)
    sign = 1.0 if scoring.metrics[by].larger_is_better else -1.0

    def worth(model: Any) -> float:
        answers = _answers(model, x, task.goal, len(task.class_names))
        return sign * scoring.scores(y, answers, (by,), weight).values[by]

    return max(candidates, key=worth)


def _task(dataset: Dataset, test: _Rows) -> BaselineTask:
    return BaselineTask(
        goal=dataset.config.task,
        class_names=tuple(map(str, dataset.schema.class_names)),
        metric=verdict_metric(dataset),
        y=dataset.labels("train"),
        weight=dataset.weights("train"),
        test=test,
    )


def verdict_metric(dataset: Dataset) -> str:
    """The metric by which models of this data are compared.

    Balanced accuracy where the classes of train are uneven, see `learn.scoring.is_uneven`, else
    accuracy; of several labels the share of rows with all of them right; R² for numbers.
    """
    if dataset.config.task == "regression":
        return "r2"
    one_class = dataset.config.task == "classification"
    uneven = one_class and is_uneven(dataset.class_counts["train"])
    return "balanced_accuracy" if uneven else "accuracy"


def _always(goal: Goal) -> str:
    """The metric of the same kind that any rows define."""
    return "mse" if goal == "regression" else "accuracy"


def _fitted(strength: float, task: BaselineTask) -> Any:
    assert task.train is not None, "there are rows to fit"
    x, y, weight = task.train
    goal = task.goal
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if goal == "regression":
        pipeline = make_pipeline(StandardScaler(), Ridge(1.0 / strength))
        return pipeline.fit(x, y, ridge__sample_weight=weight)
    linear = LogisticRegression(C=strength, max_iter=5000)
    if goal == "multilabel":
        return make_pipeline(StandardScaler(), OneVsRestClassifier(linear)).fit(x, y)
    pipeline = make_pipeline(StandardScaler(), linear)
    return pipeline.fit(x, y, logisticregression__sample_weight=weight)


def _answers(model: Any, x: FloatArray, goal: Goal, n_classes: int) -> Answers:
    predicted = np.asarray(model.predict(x))
    if goal == "regression":
        return Answers(predicted)
    chances = np.asarray(model.predict_proba(x), np.float64)
    if goal == "multilabel":
        return Answers(predicted, chances, chances)
    every = np.zeros((len(x), n_classes))
    every[:, model.classes_] = chances  # a class without a training row has no score
    return Answers(predicted, every[:, 1] if n_classes == 2 else every, every)


def _constant(y: AnyArray, goal: Goal, n_rows: int, weight: FloatArray | None) -> AnyArray:
    """What a model that looks at no feature says of so many rows (n_rows, …)."""
    if goal == "classification":
        return np.full(n_rows, np.bincount(y, weights=weight).argmax())
    mean = y.mean(axis=0) if weight is None else np.average(y, axis=0, weights=weight)
    row = (mean > 0.5).astype(np.int64) if goal == "multilabel" else mean
    return np.repeat(row[None], n_rows, axis=0)
