"""What a classical model reaches on the same features and the same splits.

A quantum model's accuracy means little without it, so every job prints both. The baseline is honest
rather than weak: standardised features, and the strength of the regularisation chosen on the
validation rows, as the quantum model's settings are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from qstore_ray.data.dataset import Dataset

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from qstore_ray.types import AnyArray

_STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)


def linear_baseline(dataset: Dataset, split: str = "test") -> dict[str, float]:
    """Scores of a linear model fitted on train, chosen on val, on `split`.

    Logistic regression gives `baseline_accuracy`, one for each of several labels the share of rows
    with all of them right; for a regression, ridge gives `baseline_loss`,
    the mean squared error. Without a val split the usual strength 1 is taken.

    Raises:
        UnknownNameError: the dataset has no such split.
    """
    classifies = bool(dataset.classes)
    x, y = dataset.materialize(split)
    model = _chosen(dataset, classifies)
    if classifies:
        return {"baseline_accuracy": float(model.score(x, y))}
    return {"baseline_loss": float(((model.predict(x) - y) ** 2).mean())}


def _chosen(dataset: Dataset, classifies: bool) -> Pipeline:
    x, y = dataset.materialize("train")
    if "val" not in dataset.plans:
        return _fitted(1.0, classifies, x, y)
    x_val, y_val = dataset.materialize("val")
    candidates = [_fitted(strength, classifies, x, y) for strength in _STRENGTHS]
    return max(candidates, key=lambda model: model.score(x_val, y_val))


def _fitted(strength: float, classifies: bool, x: AnyArray, y: AnyArray) -> Pipeline:
    linear = LogisticRegression(C=strength, max_iter=5000) if classifies else Ridge(1.0 / strength)
    if classifies and y.ndim == 2:
        linear = OneVsRestClassifier(linear)
    return make_pipeline(StandardScaler(), linear).fit(x, y)


def better_or_not(metrics: Mapping[str, float]) -> str:
    """One honest sentence that compares `test_…` with `baseline_…`; empty where one is missing."""
    if "test_accuracy" in metrics and "baseline_accuracy" in metrics:
        ours, theirs = metrics["test_accuracy"], metrics["baseline_accuracy"]
        better, name = ours > theirs, "logistic regression"
        numbers = f"{ours:.4f} against {theirs:.4f}"
    elif "test_loss" in metrics and "baseline_loss" in metrics:
        ours, theirs = metrics["test_loss"], metrics["baseline_loss"]
        better, name = ours < theirs, "ridge regression"
        numbers = f"mean squared error {ours:.4g} against {theirs:.4g}"
    else:
        return ""
    verdict = "as good as" if ours == theirs else "better than" if better else "worse than"
    return f"{verdict} {name} on the same features: {numbers}"
