#!/usr/bin/env bash
# The client-side Sampler runs a circuit without parameters once, however many rows of values it is given.
#
# Versions   qiskit 2.6.2, qiskit-ibm-runtime 0.51.0
# Valid input  The program (PUB) of x and a measurement, with values of shape (7, 0): seven rows of no values
# Behaviour  A PUB has the shape of its values without their last axis. Qiskit's StatevectorSampler and the
#            deprecated SamplerV2 return outcomes of shape (7,). The Sampler of executor_sampler, which
#            replaces SamplerV2, returns outcomes of shape (): six of seven rows are missing, and no error.
# Output seen  StatevectorSampler: (7,), 70 shots
#              SamplerV2: (7,), 70 shots
#              executor_sampler.Sampler: (), 10 shots
#
# Fails when this changes. Installs into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "qiskit==2.6.2" "qiskit-aer==0.18.2" "qiskit-ibm-runtime==0.51.0"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from qiskit import QuantumCircuit
from qiskit.primitives import StatevectorSampler
from qiskit_ibm_runtime import SamplerV2
from qiskit_ibm_runtime.executor_sampler import Sampler
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

circuit = QuantumCircuit(5, 1)
circuit.x(0)
circuit.measure(0, 0)
device = FakeManilaV2()
found = {}
for name, sampler in (
    ("StatevectorSampler", StatevectorSampler()),
    ("SamplerV2", SamplerV2(device)),
    ("executor_sampler.Sampler", Sampler(device)),
):
    bits = sampler.run([(circuit, np.zeros((7, 0)))], shots=10).result()[0].data.c
    found[name] = bits.shape
    print(f"{name}: {bits.shape}, {bits.array.size} shots")
assert list(found.values()) == [(7,), (7,), ()], found
PYTHON
echo "as stated"
