"""A quantum regressor for scikit-learn.

QuantumRegressor(n_layers=3, random_state=0).fit(x_train, y_train).predict(x_test)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import RegressorMixin

from qstore_ray.estimator.base import TrainedEstimator, rows_that_count
from qstore_ray.estimator.rows import checked_pairs
from qstore_ray.train.job import TrainingRows

if TYPE_CHECKING:
    from qstore_ray.track.base import Record
    from qstore_ray.types import FloatArray


class QuantumRegressor(RegressorMixin, TrainedEstimator):  # type: ignore[misc]  # no types
    """Values by a trained circuit: a linear function of its expectation values.

    The parameters are those of `TrainedEstimator`. Targets are standardised inside, as seen in
    `fit`, and predictions come back in the units of y; `loss_curve_` is of standardised targets.

    Attributes:
        n_features_in_, feature_names_in_: of the rows `fit` was given.
        preparation_: raw rows to the circuit's features. n_qubits_: of the circuit.
        target_scaling_: targets to standardised ones; None with
            `trainer_options={"target_scaling": "none"}`.
        model_, theta_, n_parameters_: the function, its parameters (P,), and P.
        loss_curve_: mean training loss of each epoch; n_iter_: epochs.
        validation_scores_: R² on the rows held out, each epoch, or minus the loss where that is not
            the squared error; None without early stopping.

    Examples:
        x, y = np.array([[0.1, 0.2], [0.9, 0.8]] * 4), np.array([1.0, 2.0] * 4)
        model = QuantumRegressor(n_qubits=2, epochs=1, random_state=0).fit(x, y)
        assert model.predict(x[:1]).shape == (1,)
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803 - their name
        """Train on rows X (N, F) with values y (N,).

        Args:
            sample_weight: how much each row counts in the loss, and in the mean and variance by
                which targets are standardised (N,); None for equally.

        Raises:
            ValueError: scikit-learn's, for rows and values that it would not take either.
            ConfigError: a wrong parameter or weight.
            DivergenceError: the loss became NaN or infinite.
        """
        x, y = checked_pairs(self, X, y, reset=not self._continues(), y_numeric=True)
        x, y, weight, _ = rows_that_count(x, np.asarray(y, np.float64), sample_weight)
        self._train(x, y, (), weight)
        return self

    def predict(self, X: Any) -> FloatArray:  # noqa: N803
        """Values (N,) of rows X (N, F)."""
        outputs = self._outputs(X)
        scaling = self.target_scaling_
        values: FloatArray = (outputs if scaling is None else scaling.undo(outputs))[:, 0]
        return values

    def _validation_score(self, record: Record, rows: TrainingRows) -> float:
        if self.model_.loss_name != "mse":
            return -float(record["val_loss"])
        mean = np.average(rows.y_val, weights=rows.weight_val)
        variance = float(np.average((rows.y_val - mean) ** 2, weights=rows.weight_val))
        return 1.0 - float(record["val_loss"]) / variance if variance else float("nan")
