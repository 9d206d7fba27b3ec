"""Search with Ray Tune and show the result: python examples/tuning.py

Benign or malignant: 569 biopsies from scikit-learn on four qubits. Eight trials choose a learning
rate, an optimizer and a depth by the validation rows; after two epochs, and after six, asha stops
the worse two thirds. The final training uses the best configuration on train and val together, and
only then evaluates the test rows. --resume with more trials continues the search.
"""

import argparse
from pathlib import Path

from qstore_ray import (
    DatasetConfig,
    DatasetLoader,
    JobConfig,
    ModelConfig,
    TrackConfig,
    TrainedModel,
    TrainerConfig,
    Tuner,
)

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--trials", type=int, default=8, help="how many count (%(default)s)")
parser.add_argument("--epochs", type=int, default=8, help="of a trial (%(default)s)")
parser.add_argument("--resume", action="store_true", help="continue the study of this name")
parser.add_argument("--storage", default="runs", help="the folder of the study (%(default)s)")
options = parser.parse_args()

job = JobConfig(
    name="biopsies-tune",
    storage=options.storage,
    dataset=DatasetConfig(
        name="breast_cancer",
        params={"dataset": "breast_cancer"},
        split={"train": 0.6, "val": 0.2, "test": 0.2},
        preprocessing=[{"name": "standard"}, {"name": "pca", "components": 4}],
    ),
    model=ModelConfig(n_qubits=4, input_scaling=True),
    trainer=TrainerConfig(epochs=options.epochs, batch_size=32),
    track=TrackConfig(mlflow=False),
)
space = {
    "trainer.learning_rate": {"type": "float", "low": 0.01, "high": 0.5, "log": True},
    "trainer.optimizer": {"type": "categorical", "choices": ["adam", "sgd"]},
    "trainer.optimizer_options.momentum": {
        "type": "float",
        "low": 0.0,
        "high": 0.95,
        "when": {"trainer.optimizer": "sgd"},
    },
    "model.layers": {"type": "int", "low": 1, "high": 4},
}
tuner = Tuner(
    job,
    space,
    objectives=[{"metric": "val_loss"}],
    trials=options.trials,
    sampler_options={"startup": 4},
    scheduler="asha",
    scheduler_options={"grace_period": 2},
    refit=True,
)
result = tuner.fit(existing="resume" if options.resume else "error")

print("trial  status     epochs  val loss  tried")
for trial in result.trials:
    loss = trial.objectives.get("val_loss", float("nan"))
    tried = [
        f"{field.rpartition('.')[2]} {f'{value:.3g}' if isinstance(value, float) else value}"
        for field, value in trial.parameters.items()
    ]
    row = f"{trial.number:5}  {trial.status:9}  {len(trial.epochs):6}  {loss:8.4f}"
    print(row, "  ".join(tried), sep="  ")

refit = Path(options.storage) / result.study / "refit"
data = DatasetLoader.load(JobConfig.load(refit / "config.toml").dataset)
print(f"best trial    {result.best[0]}")
print(f"test accuracy {TrainedModel.load(refit).evaluate(data, 'test')['accuracy']:.3f}")
print(f"run folder    {refit.resolve()}")
