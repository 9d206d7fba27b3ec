"""PennyLane's lightning.qubit with adjoint gradients, for one row and one observable Σ_o w_o O_o.

The loss is linear in the observables, so that one of them does: its adjoint sweep holds one state
for each observable.
"""

from __future__ import annotations

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp
from pennylane_circuit import function
from protocol import Case, Step, serve


def build(case: Case) -> Step:
    """The value of the loss and its gradient by autograd through a QNode."""
    device = qml.device("lightning.qubit", wires=case.n_qubits)
    node = qml.QNode(
        function(case, summed=True), device, interface="autograd", diff_method="adjoint"
    )
    (row,), (y,) = case.rows, case.y
    params = pnp.array(case.params, requires_grad=True)
    gradient = qml.grad(lambda p: (node(row, p, None) + case.c - y) ** 2)

    def step() -> tuple[float, np.ndarray]:
        found = gradient(params)
        return float(gradient.forward), np.asarray(found)

    return step


if __name__ == "__main__":
    serve(build)
