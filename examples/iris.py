"""Three kinds of iris on four qubits, in this process: python examples/iris.py

The data come with scikit-learn. The run folder, with checkpoints and figures, is runs/iris-<time>.
"""

from qstore_ray import DatasetConfig, DatasetLoader, ModelConfig, QuantumTrainer, TrainerConfig

data = DatasetLoader.load(
    DatasetConfig(
        name="iris",
        params={"dataset": "iris"},
        preprocessing=[{"name": "minmax"}],  # to [0, π], as angles want it
    )
)
model = ModelConfig(encoding="angle", ansatz="strongly_entangling", n_qubits=4, layers=2)
trainer = QuantumTrainer(model, TrainerConfig(epochs=20, batch_size=16, learning_rate=0.1))
result = trainer.fit(data)

print(f"test accuracy {result.model.evaluate(data, 'test')['accuracy']:.3f}")
print(f"run folder    {result.run_dir}")
print(f"one flower    {result.model.predict([[5.1, 3.5, 1.4, 0.2]])}")
