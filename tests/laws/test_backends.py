"""The laws of a backend, on every backend."""

from __future__ import annotations

import pytest

from qstore_ray.backends.aer import AerBackend
from qstore_ray.backends.base import Backend
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.testing import BackendLaws, SamplingLaws

BACKENDS = {
    "aer": AerBackend,
    "aer density matrix": lambda: AerBackend(method="density_matrix"),
    "statevector native": lambda: StatevectorBackend(engine="native"),
    "statevector numpy": lambda: StatevectorBackend(engine="numpy"),
    "light cones": lambda: StatevectorBackend(light_cones=True),
}


class TestEveryBackend(BackendLaws):
    @pytest.fixture(params=BACKENDS)
    def backend(self, request: pytest.FixtureRequest) -> Backend:
        return BACKENDS[request.param]()


SAMPLING = {
    "aer": AerBackend,
    "aer density matrix": lambda: AerBackend(method="density_matrix"),
    "statevector native": lambda: StatevectorBackend(engine="native"),
    "statevector numpy": lambda: StatevectorBackend(engine="numpy"),
    "statevector with an option": lambda: StatevectorBackend(shots=100),
}


class TestEveryBackendWithShots(SamplingLaws):
    @pytest.fixture(params=SAMPLING)
    def backend(self, request: pytest.FixtureRequest) -> Backend:
        return SAMPLING[request.param]()
