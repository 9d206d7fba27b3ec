"""Where Aer runs: the CPU, or a GPU that has proved in this process that it computes correctly.

Aer's `available_devices` lists what its build was made for, not what the machine has, so a GPU is
found by running a circuit on it. Before a backend uses it, the values of a random circuit are
compared with those of the CPU. Both happen once in a process; `qstore doctor --gpu` prints them.
"""

from __future__ import annotations

import logging
import time
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from qiskit import QuantumCircuit
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator

from qstore_ray.backends.aer.options import PRECISIONS, Device, Precision
from qstore_ray.errors import BackendError, first_line

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

TOLERANCES: dict[Precision, float] = {"complex128": 1e-10, "complex64": 1e-4}
"""How far a GPU's value may be from the CPU's."""

_log = logging.getLogger(__name__)


class SelfCheck(NamedTuple):
    """The same circuit on CPU and GPU: largest difference of a value, and seconds of each."""

    difference: float
    cpu_seconds: float
    gpu_seconds: float


@lru_cache(maxsize=1)
def gpu_failure() -> str:
    """Why no circuit runs on a GPU in this process; "" if one has run."""
    circuit = QuantumCircuit(1)
    circuit.h(0)
    circuit.save_statevector()
    try:
        result = AerSimulator(method="statevector", device="GPU").run(circuit).result()
    except (QiskitError, RuntimeError) as exc:
        return first_line(exc)
    if not result.success:
        return first_line(result.status)
    used = result.results[0].metadata.get("device", "an unknown device")
    return "" if used == "GPU" else f"Aer ran the circuit on {used}"


def resolve_device(device: Device, method: str, precision: Precision) -> str:
    """Aer's name of the device, "CPU" or "GPU"; asks the machine of the process that calls it.

    Raises:
        BackendError: a GPU was asked for and cannot run circuits, or computes other values than
            the CPU.
    """
    if device == "cpu":
        return "CPU"
    if method == "matrix_product_state":
        _log.info("device auto: CPU, because Aer has no %s on GPUs", method)
        return "CPU"
    failure = gpu_failure()
    if not failure:
        check_gpu(method, precision)
        _log.info("device %s: GPU, which computes what the CPU computes", device)
        return "GPU"
    if device == "gpu":
        raise no_gpu_error(failure)
    _log.info("device auto: CPU, because no GPU runs circuits here: %s", failure)
    return "CPU"


def no_gpu_error(reason: str) -> BackendError:
    """The error for a GPU that does not run circuits."""
    return BackendError(
        f"no GPU runs circuits in this process: {reason}",
        field="device",
        value="gpu",
        fix="Take device = 'cpu' or 'auto', or install qiskit-aer-gpu (extra gpu) on a machine "
        "with an NVIDIA GPU; docs/gpu.md.",
    )


@lru_cache(maxsize=8)
def check_gpu(method: str, precision: Precision, n_qubits: int = 6) -> SelfCheck:
    """Compare the values of a random circuit on the GPU with those of the CPU.

    Raises:
        BackendError: they differ, or the GPU cannot run the circuit.
    """
    cpu, cpu_seconds = _random_values("CPU", method, precision, n_qubits)
    gpu, gpu_seconds = _random_values("GPU", method, precision, n_qubits)
    return SelfCheck(compare(cpu, gpu, precision), cpu_seconds, gpu_seconds)


def compare(cpu: FloatArray, gpu: FloatArray, precision: Precision) -> float:
    """The largest difference of two arrays of values.

    Raises:
        BackendError: it is larger than rounding can make it.
    """
    difference = float(np.abs(cpu - gpu).max())
    if not difference <= TOLERANCES[precision]:
        raise BackendError(
            f"the GPU computes other values than the CPU: they differ by {difference:.3g}, and "
            f"{precision} allows {TOLERANCES[precision]:g}",
            field="device",
            value="gpu",
            fix="Take device = 'cpu'; docs/gpu.md says how to examine the GPU.",
        )
    return difference


def _random_values(
    device: str, method: str, precision: Precision, n_qubits: int
) -> tuple[FloatArray, float]:
    """⟨Y_0⟩ and every ⟨X_0 Z_q⟩ of a random circuit, and the seconds of the second run of two."""
    simulator = AerSimulator(
        method=method, device=device, precision=PRECISIONS[precision], zero_threshold=0.0
    )
    circuit = _random_circuit(n_qubits)
    for qubit in range(n_qubits):
        term = ("XZ", [0, qubit], 1.0) if qubit else ("Y", [0], 1.0)
        operator = SparsePauliOp.from_sparse_list([term], n_qubits)
        circuit.save_expectation_value(operator, range(n_qubits), label=str(qubit))
    seconds = 0.0
    for _ in range(2):
        began = time.perf_counter()
        try:
            result = simulator.run(circuit).result()
        except (QiskitError, RuntimeError) as exc:
            raise no_gpu_error(first_line(exc)) from exc
        seconds = time.perf_counter() - began
        if not result.success:
            raise no_gpu_error(first_line(result.status))
    values = [result.data(0)[str(qubit)] for qubit in range(n_qubits)]
    return np.array(values, dtype=float), seconds


def _random_circuit(n_qubits: int) -> QuantumCircuit:
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, (3, n_qubits, 2))
    circuit = QuantumCircuit(n_qubits)
    for layer in angles:
        for qubit, (first, second) in enumerate(layer):
            circuit.ry(first, qubit)
            circuit.rz(second, qubit)
        for qubit in range(n_qubits - 1):
            circuit.cx(qubit, qubit + 1)
    return circuit
