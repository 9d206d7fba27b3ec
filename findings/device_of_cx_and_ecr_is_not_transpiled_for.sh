#!/usr/bin/env bash
# Qiskit's transpiler finds no circuit for a device of which some pairs have cx and the others ecr.
#
# Versions   qiskit 2.6.2, qiskit-ibm-runtime 0.51.0
# Valid input  h and two cx on three qubits in a row, for FakeCairoV2, optimization levels 1 and 3, seed 0
# Behaviour  The device has cx on 12 and ecr on 14 directed pairs. The circuit is translated to cx on a pair
#            of ecr, and the step that corrects directions raises an error: it knows no rule for a gate that
#            the pair does not have. Circuits of 5 and 8 qubits with the same seed are compiled.
# Output seen  levels 1 and 3: TranspilerError: 'cx would be supported on [...] if the direction was swapped
#
# Fails when this changes. Installs into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "qiskit==2.6.2" "qiskit-ibm-runtime==0.51.0"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
from qiskit import QuantumCircuit, transpile
from qiskit.transpiler.exceptions import TranspilerError
from qiskit_ibm_runtime.fake_provider import FakeCairoV2

device = FakeCairoV2()
assert {name: len(device.target[name]) for name in ("cx", "ecr")} == {"cx": 12, "ecr": 14}
circuit = QuantumCircuit(3)
circuit.h(0)
circuit.cx(0, 1)
circuit.cx(1, 2)
for level in (1, 3):
    try:
        transpile(circuit, device, optimization_level=level, seed_transpiler=0)
    except TranspilerError as error:
        print(f"level {level}: TranspilerError:", str(error)[:75])
        assert "if the direction was swapped" in str(error)
    else:
        raise AssertionError(f"level {level}: it was transpiled")
PYTHON
echo "as stated"
