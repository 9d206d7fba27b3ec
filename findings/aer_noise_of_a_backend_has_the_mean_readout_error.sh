#!/usr/bin/env bash
# Aer's noise model of a BackendV2 misreads 0 and 1 equally often, although the device does not.
#
# Versions   qiskit 2.6.2, qiskit-aer 0.18.2, qiskit-ibm-runtime 0.51.0
# Valid input  NoiseModel.from_backend(FakeManilaV2()), whose properties have both readout errors
# Behaviour  A Target has one error for a measurement, the mean of two, and the noise model is built from it.
#            from_backend_properties(FakeManilaV2().properties()) has the two. On qubit 0 the noise model of
#            the backend misreads 0 more than twice as often as the device, and 1 a third less often; no
#            warning. Mitigation that is tried on it corrects other errors than the device has.
# Output seen  calibration: 0 is read as 1 in 0.0158, 1 as 0 in 0.0548
#              from_backend_properties: 0.0158 0.0548
#              from_backend: 0.0353 0.0353
#
# Fails when this changes. Installs into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "qiskit==2.6.2" "qiskit-aer==0.18.2" "qiskit-ibm-runtime==0.51.0"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
from qiskit_aer.noise import NoiseModel
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

device = FakeManilaV2()
properties = device.properties()
measured = {item.name: item.value for item in properties.qubits[0]}
wanted = [measured["prob_meas1_prep0"], measured["prob_meas0_prep1"]]
print("calibration: 0 is read as 1 in", f"{wanted[0]:.4f},", "1 as 0 in", f"{wanted[1]:.4f}")


def misread(model):
    for error in model.to_dict()["errors"]:
        if error["type"] == "roerror" and error["gate_qubits"] == [(0,)]:
            (_, zero), (one, _) = error["probabilities"]
            return [zero, one]
    raise AssertionError("no readout error of qubit 0")


both = misread(NoiseModel.from_backend_properties(properties))
mean = misread(NoiseModel.from_backend(device))
print("from_backend_properties:", *(f"{value:.4f}" for value in both))
print("from_backend:", *(f"{value:.4f}" for value in mean))
assert both == wanted, both
assert abs(mean[0] - sum(wanted) / 2) < 1e-9 and abs(mean[1] - mean[0]) < 1e-9, mean
PYTHON
echo "as stated"
