"""The real client against the stand-in, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.ibm.launch import Loopback, in_thread

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit_ibm_runtime import QiskitRuntimeService


@pytest.fixture
def start(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Loopback]]:
    """Starts a stand-in with settings, and points the client's environment variables at it."""
    with ExitStack() as running:

        def started(**settings: Any) -> Loopback:
            ibm = running.enter_context(in_thread(**settings))
            for name, value in ibm.environment(tmp_path_factory.mktemp("home")).items():
                monkeypatch.setenv(name, value)
            return ibm

        yield started


@pytest.fixture
def ibm(start: Callable[..., Loopback]) -> Loopback:
    """A stand-in with a pay-as-you-go plan, without noise."""
    return start()


@pytest.fixture
def service(ibm: Loopback) -> QiskitRuntimeService:
    """The client, built from nothing but environment variables."""
    from qiskit_ibm_runtime import QiskitRuntimeService

    return QiskitRuntimeService()


@pytest.fixture(scope="session")
def bell() -> QuantumCircuit:
    """A measured Bell pair in the instructions of fake_manila."""
    from qiskit import QuantumCircuit, QuantumRegister

    circuit = QuantumCircuit(QuantumRegister(5, "q"))
    circuit.rz(1.5707963267948966, 0)
    circuit.sx(0)
    circuit.rz(1.5707963267948966, 0)
    circuit.cx(0, 1)
    measured = circuit.copy()
    from qiskit import ClassicalRegister

    measured.add_register(ClassicalRegister(2, "c"))
    measured.measure([0, 1], [0, 1])
    return measured


@pytest.fixture(scope="session")
def rotation() -> QuantumCircuit:
    """RX(θ), measured in register "c", in the instructions of fake_manila; P(1) = sin²(θ/2)."""
    from qiskit import QuantumCircuit
    from qiskit.circuit import Parameter

    circuit = QuantumCircuit(5, 1)
    circuit.rz(1.5707963267948966, 0)
    circuit.sx(0)
    circuit.rz(Parameter("θ") + 3.141592653589793, 0)
    circuit.sx(0)
    circuit.rz(1.5707963267948966, 0)
    circuit.measure(0, 0)
    return circuit
