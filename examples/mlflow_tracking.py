"""Runs in MLflow, and the better model in its registry: python examples/mlflow_tracking.py

Three kinds of iris on four qubits, at two learning rates. Both runs are recorded while they train;
MLflow is asked which did better on the validation rows, and its model becomes the champion of the
registered model "iris". Whoever wants to predict asks for the champion, not for a run. The store is
a file beside the run folders, `qstore ui` shows it.
"""

import argparse
from pathlib import Path

from mlflow.tracking import MlflowClient

from qstore_ray import (
    DatasetConfig,
    DatasetLoader,
    ModelConfig,
    QuantumTrainer,
    TrackConfig,
    TrainedModel,
    TrainerConfig,
    register_model,
)
from qstore_ray.track.mlflow.model import download_model

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=12, help="of a run (%(default)s)")
parser.add_argument("--storage", default="runs", help="the folder of run folders (%(default)s)")
options = parser.parse_args()

data = DatasetLoader.load(
    DatasetConfig(
        name="iris",
        params={"dataset": "iris"},
        split={"train": 0.6, "val": 0.2, "test": 0.2},
        preprocessing=[{"name": "minmax"}],
    )
)
for rate in (0.02, 0.2):
    QuantumTrainer(
        ModelConfig(n_qubits=4, layers=2),
        TrainerConfig(epochs=options.epochs, batch_size=16, learning_rate=rate),
        name=f"iris-{rate}",
        storage=options.storage,
        track=TrackConfig(experiment="iris", tags={"example": "mlflow_tracking"}),
    ).fit(data)

store = f"sqlite:///{Path(options.storage).resolve()}/mlflow.db"
client = MlflowClient(store)
experiment = client.get_experiment_by_name("iris")
assert experiment is not None
runs = client.search_runs(
    [experiment.experiment_id],
    filter_string="tags.example = 'mlflow_tracking'",
    order_by=["metrics.`summary.val_loss`"],
)
for run in runs:
    print(f"{run.info.run_name:9}  val loss {run.data.metrics['summary.val_loss']:.4f}")

best = Path(runs[0].data.tags["run_dir"])
version = register_model(best, "iris", model=TrainedModel.load(best))
print(f"champion      models:/iris@champion is version {version.version}")
file = download_model("models:/iris@champion", best, storage=options.storage)
champion = TrainedModel.load(file)
print(f"test accuracy {champion.evaluate(data, 'test')['accuracy']:.3f}")
print(f"run folder    {best}")
