"""The classical models that a quantum one has to beat, tuned with equal budgets.

    logistic_regression    C                    rbf_svm    C, γ
    gradient_boosting      rate, depth          mlp        width, L2

Each is given `SETTINGS` settings and three-fold cross-validation within the training rows; the best
setting is fitted on all of them. Columns are standardised, as seen in the training rows.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray, IntArray, ReadOnlyTable

SETTINGS = 4
"""Settings that each model is tuned over."""

_FOLDS = 3

RIVALS: Mapping[str, Sequence[ReadOnlyTable]] = {
    "logistic_regression": tuple({"C": c} for c in (0.1, 1.0, 10.0, 100.0)),
    "rbf_svm": (
        {"C": 1.0, "gamma": "scale"},
        {"C": 10.0, "gamma": "scale"},
        {"C": 10.0, "gamma": 0.5},
        {"C": 100.0, "gamma": 0.02},
    ),
    "gradient_boosting": tuple(
        {"learning_rate": rate, "max_depth": depth} for rate in (0.1, 0.3) for depth in (2, 4)
    ),
    "mlp": tuple(
        {"hidden_layer_sizes": (width,), "alpha": alpha}
        for width in (16, 64)
        for alpha in (1e-4, 1e-1)
    ),
}
"""Settings by the name of the model."""


class TunedRival(NamedTuple):
    """A classical model on held-out rows.

    Attributes:
        predicted: class numbers (M,). seconds: CPU, with the tuning.
        settings: those that were chosen.
    """

    predicted: IntArray
    seconds: float
    settings: ReadOnlyTable


def tune_rival(
    name: str,
    x: FloatArray,
    y: IntArray,
    held_out: FloatArray,
    *,
    seed: int,
    tuned: bool = True,
) -> TunedRival:
    """Tune on rows x (N, F), y (N,), and answer the rows `held_out` (M, F), with one thread.

    On some hundred rows a team of OpenMP threads waits for each other longer than it computes.

    Args:
        tuned: False takes the second of the settings, a usual one.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import StratifiedKFold
    from threadpoolctl import threadpool_limits

    before = time.process_time()
    folds = min(_FOLDS, int(np.bincount(y)[np.unique(y)].min()))
    settings = RIVALS[name]
    with warnings.catch_warnings(), threadpool_limits(limits=1):
        # A small network stops at its budget of iterations, which is what a budget is.
        warnings.simplefilter("ignore", ConvergenceWarning)
        best = settings[1]
        if folds >= 2 and tuned:
            split = StratifiedKFold(folds, shuffle=True, random_state=seed)
            parts = list(split.split(x, y))
            scores = [_mean_score(name, each, x, y, parts, seed) for each in settings]
            best = settings[int(np.argmax(scores))]
        predicted = _model(name, best, seed).fit(x, y).predict(held_out)
    return TunedRival(predicted, time.process_time() - before, best)


def _mean_score(
    name: str,
    settings: ReadOnlyTable,
    x: FloatArray,
    y: IntArray,
    parts: Sequence[tuple[IntArray, IntArray]],
    seed: int,
) -> float:
    scores = [
        float(np.mean(_model(name, settings, seed).fit(x[fit], y[fit]).predict(x[rest]) == y[rest]))
        for fit, rest in parts
    ]
    return float(np.mean(scores))


def _model(name: str, settings: ReadOnlyTable, seed: int) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), _BUILDERS[name](settings, seed))


def _logistic_regression(settings: ReadOnlyTable, _seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=2000, **settings)


def _rbf_svm(settings: ReadOnlyTable, _seed: int) -> Any:
    from sklearn.svm import SVC

    return SVC(**settings)


def _gradient_boosting(settings: ReadOnlyTable, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=60, min_samples_leaf=5, early_stopping=False, random_state=seed, **settings
    )


def _mlp(settings: ReadOnlyTable, seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(max_iter=200, learning_rate_init=0.01, random_state=seed, **settings)


_BUILDERS: Mapping[str, Callable[[ReadOnlyTable, int], Any]] = {
    "logistic_regression": _logistic_regression,
    "rbf_svm": _rbf_svm,
    "gradient_boosting": _gradient_boosting,
    "mlp": _mlp,
}
