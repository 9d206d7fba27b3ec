"""The real client against the stand-in, in this process."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.ibm import executor
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


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client retries as often as ever, but without waiting."""
    from urllib3.util.retry import Retry

    monkeypatch.setattr(Retry, "get_backoff_time", lambda retry: 0.0)


@pytest.fixture(scope="session")
def bell() -> QuantumCircuit:
    """A measured Bell pair in the instructions of fake_manila."""
    from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister

    circuit = QuantumCircuit(QuantumRegister(5, "q"), ClassicalRegister(2, "c"))
    circuit.rz(math.pi / 2, 0)
    circuit.sx(0)
    circuit.rz(math.pi / 2, 0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    return circuit


@pytest.fixture(scope="session")
def rotation() -> QuantumCircuit:
    """RX(θ), measured in register "c", in the instructions of fake_manila; P(1) = sin²(θ/2)."""
    from qiskit import QuantumCircuit
    from qiskit.circuit import Parameter

    circuit = QuantumCircuit(5, 1)
    circuit.rz(math.pi / 2, 0)
    circuit.sx(0)
    circuit.rz(Parameter("θ") + math.pi, 0)
    circuit.sx(0)
    circuit.rz(math.pi / 2, 0)
    circuit.measure(0, 0)
    return circuit


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, int]]:
    """The circuits that the stand-in runs, each with its number of rows."""
    found: list[tuple[Any, int]] = []
    run = executor._run

    def recorded(shots: int, item: Any, *rest: Any) -> Any:
        found.append((item.circuit, int(np.prod(item.shape))))
        return run(shots, item, *rest)

    monkeypatch.setattr(executor, "_run", recorded)
    return found
