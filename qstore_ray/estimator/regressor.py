"""A quantum regressor for scikit-learn.

QuantumRegressor(n_layers=3, random_state=0).fit(x_train, y_train).predict(x_test)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import validate_data

from qstore_ray.data.prepare import Preparation
from qstore_ray.data.steps import Standard
from qstore_ray.estimator.base import TrainedEstimator

if TYPE_CHECKING:
    from qstore_ray.track.base import Record
    from qstore_ray.types import AnyArray, FloatArray


class QuantumRegressor(RegressorMixin, TrainedEstimator):  # type: ignore[misc]  # no types
    """Values by a trained circuit: a linear function of its expectation values.

    The parameters are those of `TrainedEstimator`. Targets are standardised inside, as seen in
    `fit`, and predictions come back in the units of y; `loss_curve_` is of standardised targets.

    Attributes:
        n_features_in_, feature_names_in_: of the rows `fit` was given.
        preparation_: raw rows to the circuit's features. n_qubits_: of the circuit.
        y_preparation_: targets to standardised ones.
        model_, theta_, n_parameters_: the function, its parameters (P,), and P.
        loss_curve_: mean training loss of each epoch; n_iter_: epochs.
        validation_scores_: R² on the rows held out, each epoch, or minus the loss where that is not
            the squared error; None without early stopping.
    """

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803 - scikit-learn's name
        """Train on rows X (N, F) with values y (N,).

        Raises:
            ValueError: scikit-learn's, for rows and values that it would not take either.
            ConfigError: a wrong parameter.
            DivergenceError: the loss became NaN or infinite.
        """
        x, y = validate_data(
            self, X, y, reset=not self._continues(), dtype=np.float64, y_numeric=True
        )
        column = np.asarray(y, np.float64)[:, None]
        if not self._continues():
            self.y_preparation_ = Preparation.fit((Standard(),), column)
        self._train(x, self.y_preparation_.apply(column)[:, 0], None)
        return self

    def predict(self, X: Any) -> FloatArray:  # noqa: N803
        """Values (N,) of rows X (N, F)."""
        outputs = self._outputs(X)
        values: FloatArray = self.y_preparation_.inverse(outputs)[:, 0]
        return values

    def _validation_score(self, record: Record, y_val: AnyArray) -> float:
        if self.model_.loss_name != "mse":
            return -float(record["val_loss"])
        variance = float(y_val.var())
        return 1.0 - float(record["val_loss"]) / variance if variance else float("nan")
