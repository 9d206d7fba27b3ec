"""A model that was trained in simulation by light cones, on a device that is as wide."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.gateway.access import close_gateways
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.library.coupling import joined_pairs
from qstore_ray.circuits.library.library import build_circuit
from qstore_ray.circuits.observable import named_observables
from tests.ibm.launch import Loopback
from tests.ibm.test_gateway import POLICY

SHOTS = 512


@pytest.fixture
def device(start: Callable[..., Loopback], tmp_path: Path) -> Iterator[IbmBackend]:
    start(backend=("fake_sherbrooke",))
    hardware = IbmBackend(
        "fake_sherbrooke", SHOTS, where="process", ledger=str(tmp_path), policy=POLICY
    )
    yield hardware.for_run("run")
    close_gateways()


def test_a_device_of_127_qubits_gives_the_values_of_the_light_cones(device):
    n = 32
    circuit = build_circuit(
        encoding="angle", ansatz="hardware_efficient", n_qubits=n, n_features=n, layers=1,
        entanglement="heavy_hex",
    )  # fmt: skip
    template = circuit.template
    observables = named_observables("z+zz_neighbours", n, joined_pairs(template))
    rng = np.random.default_rng(0)
    bindings = Bindings(rng.uniform(-1, 1, (1, n)), rng.uniform(-1, 1, template.n_params))
    expected = StatevectorBackend().evaluate(template, observables, bindings).values
    found = device.evaluate(template, observables, bindings, key=DrawKey((0,)))
    error = np.sqrt(np.maximum(found.variances, 1.0 / SHOTS**2))
    deviations = (found.values - expected) / error
    assert np.abs(deviations).max() < 5
    assert np.sqrt((deviations**2).mean()) < 1.4
