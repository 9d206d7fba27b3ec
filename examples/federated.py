"""Ten owners of digits with uneven classes, and what each strategy makes of it, in this process:
python examples/federated.py

The best one trains again with secure sums: the server sees the sum of a round's updates alone. The
run folder, with checkpoints, figures and a report, is runs/digits-hidden.
"""

from qstore_ray import (
    DatasetConfig,
    DatasetLoader,
    FederatedTrainer,
    FederationConfig,
    ModelConfig,
    PartitionConfig,
    TrackConfig,
    TrainerConfig,
    divide,
)

data = DatasetLoader.load(
    DatasetConfig(
        name="digits",
        params={"dataset": "digits"},
        split={"train": 0.8, "test": 0.2},
        preprocessing=[{"name": "pca", "components": 16}, {"name": "scale", "factor": 0.03}],
    )
)
clients = divide(data, PartitionConfig(kind="dirichlet", clients=10, alpha=0.5))
model = ModelConfig(
    encoding="dense_angle", n_qubits=8, layers=3, reuploading=True, input_scaling=True,
    observables="z+zz", initial_spread=0.5,
)  # fmt: skip
local = TrainerConfig(batch_size=32, learning_rate=0.1, optimizer="adam", schedule="constant")
quiet = TrackConfig(mlflow=False, figures=False)

scores = {}
for strategy in ("fedavg", "fedprox"):
    federation = FederationConfig(
        rounds=6, local_epochs=2, local_state="kept", strategy=strategy,
        strategy_options={"weights": "uniform"},
    )  # fmt: skip
    trainer = FederatedTrainer(model, local, federation, name=f"digits-{strategy}", track=quiet)
    scores[strategy] = trainer.fit(clients, test=data).metrics["test_accuracy"]
    print(f"{strategy:8} {scores[strategy]:.3f} after {federation.rounds} rounds")

best = max(scores, key=lambda name: scores[name])
federation = FederationConfig(
    rounds=12, local_epochs=2, local_state="kept", strategy=best, secure_sum=True,
    strategy_options={"weights": "uniform"},
)  # fmt: skip
trainer = FederatedTrainer(
    model, local, federation, name="digits-hidden", track=TrackConfig(mlflow=False)
)
result = trainer.fit(clients, test=data)

moved = sum(record.sent + record.received for record in result.history)
print(f"secure sums   {best}, {moved / len(result.history):,.0f} bytes a round")
print(f"test accuracy {result.metrics['test_accuracy']:.3f}")
print(f"run folder    {result.run_dir}")
