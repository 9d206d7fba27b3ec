"""PennyLane's lightning.qubit with adjoint gradients: a QNode as people train it."""

from __future__ import annotations

import sys

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp
from pennylane_circuit import function
from protocol import Case, Step, serve

DEVICE_VJP = (sys.argv[1] if len(sys.argv) > 1 else "jacobian") == "vjp"


def build(case: Case) -> Step:
    """The value of the loss and its gradient by autograd through a broadcast QNode."""
    device = qml.device("lightning.qubit", wires=case.n_qubits)
    node = qml.QNode(
        function(case),
        device,
        interface="autograd",
        diff_method="adjoint",
        device_vjp=DEVICE_VJP,
    )
    columns = case.rows.T
    params = pnp.array(case.params, requires_grad=True)

    def loss(p):
        z = pnp.stack(node(columns, p, case.amplitudes)).reshape(len(case.w), -1)
        return pnp.mean((z.T @ case.w + case.c - case.y) ** 2)

    gradient = qml.grad(loss)

    def step() -> tuple[float, np.ndarray]:
        found = gradient(params)
        return float(gradient.forward), np.asarray(found)

    return step


if __name__ == "__main__":
    serve(build)
