"""A quantum classifier for scikit-learn.

QuantumClassifier(n_layers=3, random_state=0).fit(x_train, y_train).predict(x_test)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets

from qstore_ray.errors import ConfigError, UsageError
from qstore_ray.estimator.base import TrainedEstimator, rows_that_count
from qstore_ray.estimator.rows import checked_pairs
from qstore_ray.learn.losses import LOSSES
from qstore_ray.train.job import TrainingRows

if TYPE_CHECKING:
    from qstore_ray.track.base import Record
    from qstore_ray.types import AnyArray, FloatArray


def _gives_probabilities(estimator: QuantumClassifier) -> bool:
    """True if the loss gives probabilities: meta-estimators look for the method before they fit.

    Raises:
        UsageError: it gives none.
    """
    asked = "auto" if estimator.model_options is None else estimator.model_options.get("loss")
    fitted = hasattr(estimator, "model_")
    loss = estimator.model_.loss if fitted else LOSSES.get(str(asked or "auto"))
    if loss is not None and loss.probabilities is None:
        raise UsageError(
            f"a model with the loss {estimator.model_.loss_name if fitted else asked} has no class "
            "probabilities",
            field="model_options",
            value=estimator.model_options,
            fix="Use decision_function, or leave the loss out.",
        )
    return True


class QuantumClassifier(ClassifierMixin, TrainedEstimator):  # type: ignore[misc]  # no types
    """Classes by a trained circuit: softmax of a linear function of its expectation values.

    The parameters are those of `TrainedEstimator`. Two classes share one output.

    Attributes:
        classes_: the labels (C,), sorted.
        n_features_in_, feature_names_in_: of the rows `fit` was given.
        preparation_: raw rows to the circuit's features. n_qubits_: of the circuit.
        model_, theta_, n_parameters_: the function, its parameters (P,), and P.
        loss_curve_: mean training loss of each epoch; n_iter_: epochs.
        validation_scores_: accuracy on the rows held out, weighted if `fit` had weights, each
            epoch; None without early stopping.

    Examples:
        x, y = np.array([[0.1, 0.2], [0.9, 0.8]] * 4), np.array(["no", "yes"] * 4)
        model = QuantumClassifier(n_qubits=2, epochs=1, random_state=0).fit(x, y)
        assert model.predict_proba(x[:1]).shape == (1, 2)
    """

    classes_: AnyArray

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803 - their name
        """Train on rows X (N, F) with labels y (N,) of any kind.

        Args:
            sample_weight: how much each row counts in the loss (N,); None for equally.

        Raises:
            ValueError: scikit-learn's, for rows and labels that it would not take either.
            ConfigError: a wrong parameter or weight, or one class only.
            DivergenceError: the loss became NaN or infinite.
        """
        x, y = checked_pairs(self, X, y, reset=not self._continues())
        x, y, weight, _ = rows_that_count(x, y, sample_weight)
        classes, numbers = class_numbers(y)
        if self._continues() and not np.array_equal(classes, self.classes_):
            raise ConfigError(
                "the labels have other classes than those of the last fit",
                field="warm_start",
                value=classes.tolist(),
                fix="Set warm_start=False to begin anew.",
            )
        self._train(x, numbers, classes.tolist(), weight)
        self.classes_ = classes
        return self

    def predict(self, X: Any) -> AnyArray:  # noqa: N803
        """The likeliest labels (N,) of rows X (N, F)."""
        outputs = self._outputs(X)
        labels: AnyArray = self.classes_[self.model_.loss.predict(outputs)]
        return labels

    @available_if(_gives_probabilities)  # type: ignore[untyped-decorator]  # no types
    def predict_proba(self, X: Any) -> FloatArray:  # noqa: N803
        """Probabilities (N, C) of rows X (N, F), in the order of `classes_`.

        Raises:
            AttributeError: the loss gives none, as of scikit-learn's estimators.
        """
        outputs = self._outputs(X)
        probabilities = self.model_.loss.probabilities
        assert probabilities is not None, "the method is available"
        return probabilities(outputs)

    def decision_function(self, X: Any) -> FloatArray:  # noqa: N803
        """Scores of rows X (N, F): (N, C), of two classes the log-odds of the second (N,)."""
        outputs = self._outputs(X)
        return outputs[:, 0] if len(self.classes_) == 2 else outputs

    def _validation_score(self, record: Record, rows: TrainingRows) -> float:
        return float(record["val_accuracy"])


def class_numbers(y: AnyArray) -> tuple[AnyArray, AnyArray]:
    """The sorted labels (C,) in `y` (N,), and the number of each row's (N,).

    Raises:
        ValueError: labels that are quantities (scikit-learn's).
        ConfigError: one class only.
    """
    check_classification_targets(y)
    classes, numbers = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ConfigError(
            "a classifier needs 2 classes or more, y holds one class",
            field="y",
            value=classes.tolist(),
            fix="Give rows of another class too.",
        )
    return classes, numbers
