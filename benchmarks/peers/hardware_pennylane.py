"""PennyLane on the stand-in, by its plugin's device `qiskit.remote`.

  shift   `diff_method` "parameter-shift", which is what it takes by default on a device; Adam
  spsa    `SPSAOptimizer`

The plugin takes no newer client than 0.45, which has no variables for the addresses of its sign-in:
these four are set in the library. All else is as released.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pennylane as qml
from hardware_peer import reached, task
from pennylane import numpy as pnp
from pennylane_circuit import function
from qiskit_ibm_runtime import QiskitRuntimeService
from qiskit_ibm_runtime.accounts import account
from qiskit_ibm_runtime.api import auth


def sign_in_at_the_stand_in() -> None:
    """Replace the addresses that the client computes."""
    iam, manager = os.environ["IAM_URL"], auth.IAMTokenManager

    def made(api_key: str, **more: Any) -> Any:
        return manager(api_key, **more | {"url": iam})

    auth.IAMTokenManager = made
    account.get_iam_api_url = lambda _: iam
    account.get_global_search_api_url = lambda _: os.environ["GLOBAL_SEARCH_URL"]
    account.get_global_catalog_api_url = lambda _: os.environ["GLOBAL_CATALOG_URL"]


def main() -> None:
    """Train and score."""
    given = task()
    case = given.case
    sign_in_at_the_stand_in()
    backend = QiskitRuntimeService().backend(given.device)
    device = qml.device(
        "qiskit.remote", wires=case.n_qubits, backend=backend,
        resilience_level=0, optimization_level=3, seed_transpiler=0,
    )  # fmt: skip
    quantum = function(case)

    @qml.set_shots(given.shots)
    @qml.qnode(device, diff_method="parameter-shift")
    def circuit(rows: Any, params: Any) -> Any:
        return quantum(rows, params, None)[0]

    def values(rows: Any, params: Any) -> Any:
        columns = [pnp.array(column, requires_grad=False) for column in rows.T]
        return circuit(columns, params)

    def loss(params: Any) -> Any:
        return pnp.mean((values(case.rows, params) - case.y) ** 2)

    params = pnp.array(case.params, requires_grad=True)
    if given.method == "spsa":
        optimizer: Any = qml.SPSAOptimizer(given.steps, c=given.perturbation)
    else:
        optimizer = qml.AdamOptimizer(given.learning_rate)
    reached("ready")
    for _ in range(given.steps):
        params = optimizer.step(loss, params)
    reached("trained")
    found = np.sign(np.asarray(values(given.test_rows, params)))
    reached("scored", accuracy=float(np.mean(found == given.test_y)))


if __name__ == "__main__":
    main()
