"""What is Aer's own: its installation, its options, and errors said in our words."""

from __future__ import annotations

import importlib.metadata

import numpy as np
import pytest

from qstore_ray.backends.aer import AerBackend
from qstore_ray.backends.aer.circuits import exact_circuit
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.keys import DrawKey
from qstore_ray.circuits.observable import z_observables
from qstore_ray.circuits.template import Op, Template, row
from qstore_ray.errors import (
    BackendError,
    CircuitError,
    ConfigError,
    MissingDependencyError,
    UnknownNameError,
)

TURN = Template(1, (Op("ry", (0,), (row(0),)),), n_rows=1)


@pytest.mark.parametrize(
    ("installed", "fix"),
    [((), r"qstore-ray\[cpu\]"), (("qiskit-aer", "qiskit-aer-gpu"), "uninstall")],
)
def test_none_or_two_builds_are_refused(monkeypatch, installed: tuple[str, ...], fix: str):
    def version(name: str) -> str:
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return "0.18.2"

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(MissingDependencyError, match=fix):
        AerBackend()


def test_wrong_options_are_refused():
    with pytest.raises(UnknownNameError, match="'statevector'"):
        AerBackend(method="state_vector")
    with pytest.raises(ConfigError, match="thread"):
        AerBackend(threads=0)


def test_threads_are_those_that_were_given_to_this_process(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert AerBackend().threads == 3
    assert AerBackend(threads=2).threads == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    assert AerBackend().threads >= 1


def test_a_circuit_is_prepared_once():
    backend, misses = AerBackend(), exact_circuit.cache_info().misses
    for angle in (0.1, 0.2, 0.3):
        bindings = Bindings(np.array([[angle]]), np.zeros(0))
        values = backend.evaluate(TURN, z_observables(1), bindings).values
        assert values[0, 0] == pytest.approx(np.cos(angle))
    assert exact_circuit.cache_info().misses == misses + 1


def test_matrix_product_states():
    backend = AerBackend(method="matrix_product_state")
    bindings = Bindings(np.array([[0.4]]), np.zeros(0))
    found = backend.evaluate(TURN, z_observables(1), bindings).values
    assert found[0, 0] == pytest.approx(np.cos(0.4))
    loading = Template(1, (), initial="amplitudes")
    with pytest.raises(CircuitError, match="statevector"):
        backend.evaluate(
            loading, z_observables(1), Bindings(np.zeros((1, 0)), np.zeros(0), np.eye(1, 2))
        )


def test_a_circuit_beyond_the_memory_is_an_error_not_a_value():
    wide = Template(45, tuple(Op("h", (q,)) for q in range(45)))
    with pytest.raises(BackendError, match="memory"):
        AerBackend().evaluate(wide, z_observables(45)[:1], Bindings(np.zeros((1, 0)), np.zeros(0)))


def test_shots_of_the_options_are_those_of_every_evaluation():
    backend = AerBackend(shots=200)
    args = Template(1, (Op("h", (0,)),)), z_observables(1), Bindings(np.zeros((2, 0)), np.zeros(0))
    assert backend.draws
    assert not AerBackend().draws
    assert backend.for_testing().options.shots == 200
    found = backend.evaluate(*args, key=DrawKey((1,)))
    asked = AerBackend().evaluate(*args, shots=200, key=DrawKey((1,)))
    assert found.usage == asked.usage == (2, 400)
    assert found.values.tobytes() == asked.values.tobytes()
    assert backend.evaluate(*args, shots=10, key=DrawKey((1,))).usage.shots == 20
    with pytest.raises(BackendError, match="key"):
        backend.evaluate(*args)
    with pytest.raises(ConfigError, match="shots"):
        AerBackend(shots=0)


def test_copies_of_a_row_draw_shots_of_their_own():
    args = Template(1, (Op("h", (0,)),)), z_observables(1)
    three, six = (Bindings(np.zeros((n, 0)), np.zeros(0)) for n in (3, 6))
    once = AerBackend().evaluate(*args, three, shots=100, key=DrawKey((1,)))
    twice = AerBackend().evaluate(*args, six, shots=100, key=DrawKey((1,), n_rows=3))
    assert twice.values[:3].tolist() == once.values.tolist()
    assert twice.values[3:].tolist() != once.values.tolist()
