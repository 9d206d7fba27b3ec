"""From data to a registered model that predicts: python examples/workflow.py

    load → prepare → search → train the best once more → register in MLflow → load → predict

Three kinds of wine by thirteen measurements, which come with scikit-learn, on four qubits. What
comes out is `models:/wine@champion`. It holds the preparation too, so it takes raw measurements;
whoever loads it needs neither the data nor this program.
"""

import argparse
from pathlib import Path

from sklearn.datasets import load_wine

from qstore_ray import (
    DatasetConfig,
    DatasetLoader,
    JobConfig,
    ModelConfig,
    TrainedModel,
    TrainerConfig,
    Tuner,
)
from qstore_ray.track.mlflow.model import download_model

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--trials", type=int, default=6, help="of the search (%(default)s)")
parser.add_argument("--epochs", type=int, default=10, help="of a trial (%(default)s)")
parser.add_argument("--storage", default="runs", help="the folder of the study (%(default)s)")
options = parser.parse_args()

wine = DatasetConfig(
    name="wine",
    params={"dataset": "wine"},
    split={"train": 0.6, "val": 0.2, "test": 0.2},
    preprocessing=[{"name": "standard"}, {"name": "pca", "components": 4}],
)
data = DatasetLoader.load(wine)
print(f"data          {data.sizes}, {data.schema.n_raw_features} measurements → 4 angles")

job = JobConfig(
    name="wine",
    storage=options.storage,
    dataset=wine,
    model=ModelConfig(n_qubits=4, input_scaling=True),
    trainer=TrainerConfig(epochs=options.epochs, batch_size=16),
)
space = {
    "trainer.learning_rate": {"type": "float", "low": 0.02, "high": 0.4, "log": True},
    "model.layers": {"type": "int", "low": 1, "high": 4},
}
result = Tuner(
    job,
    space,
    data,
    objectives=[{"metric": "val_loss"}],
    trials=options.trials,
    refit=True,  # on train and val together
    register_as="wine",  # the model of that training becomes the champion
).fit()
best = result.best_trials()[0]
print(f"best trial    {best.number}: {best.objectives}, {best.parameters}")

refit = Path(options.storage).resolve() / "wine" / "refit"
file = download_model("models:/wine@champion", refit, storage=options.storage)
champion = TrainedModel.load(file)
held_out = DatasetLoader.load(JobConfig.load(refit / "config.toml").dataset)
scores = champion.evaluate(held_out, "test")
print("champion      models:/wine@champion")
print(f"test accuracy {scores['accuracy']:.3f}")

x, y = load_wine(return_X_y=True)
print(f"predicted     {champion.predict(x[::40])} for wines of the kinds {y[::40]}")
print(f"run folder    {refit}")
