"""Who is compared with us."""

from __future__ import annotations

from environments import OWN
from process import Peer


def ours(engine: str) -> Peer:
    """Our own side, on one of its engines."""
    return Peer("qstore_ray", "qstore_ray", "ours", "peer_qstore_ray.py", OWN, (engine,))


PEERS: tuple[Peer, ...] = (
    Peer(
        "pennylane_default",
        "PennyLane default.qubit, jitted by JAX",
        "library",
        "peer_pennylane_default.py",
        "pennylane",
        compiles=True,
    ),
    Peer(
        "pennylane_lightning",
        "PennyLane lightning.qubit, adjoint",
        "library",
        "peer_pennylane_lightning.py",
        "pennylane",
    ),
    Peer("qulacs", "qulacs, backprop", "library", "peer_qulacs.py", "qulacs"),
    Peer(
        "tensorcircuit",
        "TensorCircuit-NG on JAX",
        "library",
        "peer_tensorcircuit.py",
        "tensorcircuit",
        compiles=True,
    ),
    Peer(
        "qiskit_ml",
        "qiskit-machine-learning EstimatorQNN",
        "library",
        "peer_qiskit_ml.py",
        "qiskit",
        shifts=True,
    ),
    Peer("aer", "Aer, parameter shift", "library", "peer_aer.py", "qiskit", shifts=True),
    Peer(
        "jax_gates",
        "JAX by hand, gate by gate",
        "expert",
        "peer_jax_gates.py",
        "jax",
        compiles=True,
    ),
    Peer(
        "jax_tiled",
        "JAX by hand, tiled blocks",
        "expert",
        "peer_jax_tiled.py",
        "jax",
        compiles=True,
    ),
)
