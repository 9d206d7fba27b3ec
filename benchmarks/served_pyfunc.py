"""A model file as a `python_function` of MLflow, for `serving.py`: MLflow runs this file."""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np

from qstore_ray.train.model.trained import TrainedModel


class ServedModel(mlflow.pyfunc.PythonModel):
    """Predicts what `qstore serve` predicts."""

    def load_context(self, context: Any) -> None:
        """Load the model file; called once a server."""
        self._model = TrainedModel.load(context.artifacts["model"])

    def predict(self, context, model_input, params=None):  # hints would be a schema to MLflow
        """The predictions of rows, which MLflow gives as an array or a table."""
        return self._model.predictions(np.asarray(model_input))["prediction"].tolist()


mlflow.models.set_model(ServedModel())
