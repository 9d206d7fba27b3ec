"""Training with callbacks, then the best model: python examples/callbacks.py

Benign or malignant: 569 biopsies from scikit-learn on four qubits. Early stopping ends the run when
the validation loss has not improved for some epochs, `model_checkpoint` keeps the best models,
`gradient_stats` records the gradient, and a custom callback measures the distance of the parameters
from their initial values. The example scores the best model that was kept.
"""

import argparse
import json
from collections.abc import Mapping

import numpy as np

from qstore_ray import (
    Callback,
    DatasetConfig,
    DatasetLoader,
    EarlyStopping,
    GradientStats,
    ModelCheckpoint,
    ModelConfig,
    QuantumTrainer,
    TrackConfig,
    TrainedModel,
    TrainerConfig,
)
from qstore_ray.track.base import Record
from qstore_ray.train.callbacks import Run


class Distance(Callback):
    """Logs the distance of the parameters from their initial values. Runs in worker 0."""

    def __init__(self) -> None:
        self.start = np.zeros(0)

    def on_train_begin(self, run: Run) -> None:
        if not len(self.start):  # a resumed run has the beginning from its checkpoint
            self.start = run.theta.copy()

    def on_epoch_end(self, run: Run, record: Record) -> None:
        run.log(distance=float(np.linalg.norm(run.theta - self.start)))

    def state(self) -> Mapping[str, np.ndarray]:
        return {"start": self.start}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        self.start = state["start"]


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=60, help="the most epochs (%(default)s)")
parser.add_argument("--patience", type=int, default=5, help="epochs without a better one")
parser.add_argument("--storage", default="runs", help="the folder of run folders (%(default)s)")
options = parser.parse_args()

data = DatasetLoader.load(
    DatasetConfig(
        name="breast_cancer",
        params={"dataset": "breast_cancer"},
        split={"train": 0.6, "val": 0.2, "test": 0.2},
        preprocessing=[{"name": "standard"}, {"name": "pca", "components": 4}],
    )
)
trainer = QuantumTrainer(
    ModelConfig(n_qubits=4, layers=2, input_scaling=True),
    TrainerConfig(
        epochs=options.epochs, batch_size=32, learning_rate=0.1, schedule="constant",
        callbacks=[EarlyStopping(patience=options.patience), GradientStats()],
    ),
    storage=options.storage,
    track=TrackConfig(mlflow=False),
    callbacks=[ModelCheckpoint(best=3), Distance()],
)  # fmt: skip
result = trainer.fit(data)

print("epoch  val loss  gradient  distance")
for record in result.history:
    print(
        f"{record['epoch']:5}  {record['val_loss']:8.4f}"
        f"  {record['gradient_norm_circuit']:8.4f}  {record['distance']:8.3f}"
    )
models = result.run_dir / "models"
best = min(json.loads((models / "index.json").read_text()), key=lambda entry: entry["value"])
scores = TrainedModel.load(models / best["model"]).evaluate(data, "test")

print(f"best model    after {best['epoch']} epochs, validation loss {best['value']:.4f}")
print(f"test accuracy {scores['accuracy']:.3f}")
print(f"run folder    {result.run_dir}")
