#!/usr/bin/env bash
# Aer's shots of seed s + 1 are those of seed s without the first.
#
# Versions   qiskit 2.6.2, qiskit-aer 0.18.2
# Valid input  seed_simulator 1, 2 and 3 for 1,000 shots of a noisy circuit, with the method statevector;
#              the outcomes in the order of the shots (memory=True)
# Behaviour  Runs that are seeded one after another (a seed for each worker, step or repetition, counted up)
#            look independent and have 999 of 1,000 shots in common: shot i of seed s is drawn from s + i.
#            The mean over ten such runs has almost the variance of one run, not a tenth of it. The method
#            density_matrix, which draws all shots from one state, has no such overlap.
# Output seen  statevector: 999 of 999 shots of seed 2 are those of seed 1, one later
#              statevector: 998 of 998 shots of seed 3 are those of seed 1, two later
#              density_matrix: the shots of the seeds differ
#
# Fails when this changes. Installs into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "qiskit==2.6.2" "qiskit-aer==0.18.2"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, depolarizing_error

circuit = QuantumCircuit(1)
circuit.h(0)
for _ in range(5):
    circuit.x(0)
circuit.measure_all()
noise = NoiseModel()
noise.add_all_qubit_quantum_error(depolarizing_error(0.3, 1), ["h", "x"])


def shots(method, seed):
    simulator = AerSimulator(method=method, noise_model=noise)
    return simulator.run(circuit, shots=1000, memory=True, seed_simulator=seed).result().get_memory()


found = {}
for method in ("statevector", "density_matrix"):
    first, *others = (shots(method, seed) for seed in (1, 2, 3))
    assert shots(method, 1) == first, "a seed repeats its shots"
    for by, other in enumerate(others, start=1):
        same = sum(one == two for one, two in zip(first[by:], other))
        found[method, by] = same
        if same == 1000 - by:
            later = {1: "one", 2: "two"}[by]
            print(f"{method}: {same} of {same} shots of seed {1 + by} are those of seed 1, {later} later")
assert found["statevector", 1] == 999 and found["statevector", 2] == 998, found
assert max(found["density_matrix", 1], found["density_matrix", 2]) < 700, found
print("density_matrix: the shots of the seeds differ")
PYTHON
echo "as stated"
