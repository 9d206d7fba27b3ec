#!/usr/bin/env bash
# Zero-noise extrapolation from two noise factors gives every value an infinite standard error.
#
# Versions   qiskit-ibm-runtime 0.51.0, qiskit-mitigation 0.1.1, qiskit 2.6.2, qiskit-aer 0.18.2
# Valid input  executor_estimator.Estimator on FakeManilaV2 with zne.noise_factors (1, 3) and the default
#            extrapolators ("exponential", "linear"); three observables of a Bell pair
# Behaviour  Both extrapolators have two parameters, so a fit to two points has no covariance. The options
#            are accepted: validation asks for as many factors as parameters, not for one more. The values
#            are finite, stds is infinite for all of them, and there is no warning. What weighs by 1/stds**2
#            counts none of the values. With (1, 3, 5) the stds of these values are finite.
# Output seen  (1, 3): 3 of 3 standard errors are infinite, 0 warnings
#              (1, 3, 5): 0 of 3 standard errors are infinite, 0 warnings
#
# Fails when this changes. Installs into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "qiskit==2.6.2" "qiskit-aer==0.18.2" \
    "qiskit-ibm-runtime==0.51.0" "qiskit-mitigation==0.1.1"
"$folder/venv/bin/python" - <<'PYTHON'
import math
import warnings

import numpy as np
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp
from qiskit_ibm_runtime.executor_estimator import Estimator
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

circuit = QuantumCircuit(5)
circuit.rz(math.pi / 2, 0)
circuit.sx(0)
circuit.rz(math.pi / 2, 0)
circuit.cx(0, 1)
observables = [SparsePauliOp(text) for text in ("IIIZZ", "IIIXX", "IIIYY")]
found = {}
for factors in ((1, 3), (1, 3, 5)):
    options = {
        "resilience_level": 0,
        "resilience": {"zne_mitigation": True, "zne": {"noise_factors": factors}},
        "simulator": {"seed_simulator": 1},
    }
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        estimator = Estimator(FakeManilaV2(), options=options)
        data = estimator.run([(circuit, observables)], precision=0.01).result()[0].data
    said = [each for each in said if not issubclass(each.category, DeprecationWarning)]
    assert np.isfinite(data.evs).all(), data.evs
    found[factors] = int(np.isinf(data.stds).sum())
    print(f"{factors}: {found[factors]} of 3 standard errors are infinite, {len(said)} warnings")
    assert not said, [str(each.message) for each in said]
assert found == {(1, 3): 3, (1, 3, 5): 0}, found
PYTHON
echo "as stated"
