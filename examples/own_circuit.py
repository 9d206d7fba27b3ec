"""A Qiskit circuit of your own as the model: python examples/own_circuit.py

Parameters named x[...] are the features of a row; all others are trained.
"""

from qiskit.circuit import Parameter, ParameterVector, QuantumCircuit

from qstore_ray import DatasetConfig, DatasetLoader, ModelConfig, QuantumTrainer, TrainerConfig

QUBITS, LAYERS = 4, 2

x = ParameterVector("x", QUBITS)
circuit = QuantumCircuit(QUBITS)
for layer in range(LAYERS):
    for qubit in range(QUBITS):
        circuit.ry(x[qubit], qubit)
        circuit.rz(Parameter(f"z{layer}_{qubit}"), qubit)
        circuit.ry(Parameter(f"y{layer}_{qubit}"), qubit)
    for qubit in range(QUBITS):
        circuit.cx(qubit, (qubit + 1) % QUBITS)

data = DatasetLoader.load(
    DatasetConfig(
        name="iris",
        params={"dataset": "iris"},
        preprocessing=[{"name": "minmax"}],  # to [0, π], as angles want it
    )
)
trainer = QuantumTrainer(
    ModelConfig(circuit=circuit, observables="z+zz"),
    TrainerConfig(epochs=20, batch_size=16, learning_rate=0.1),
    name="own-circuit",
)
result = trainer.fit(data, existing="replace")

print(f"parameters    {result.model.model.n_parameters}")
print(f"test accuracy {result.model.evaluate(data, 'test')['accuracy']:.3f}")
print(f"run folder    {result.run_dir}")
