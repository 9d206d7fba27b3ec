"""Kernel matrices on hardware: users reported a job for each pair, and too many circuits in one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qiskit.circuit.library import zz_feature_map
from sklearn.base import clone

from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.gateway.access import close_gateways
from qstore_ray.backends.keys import DrawKey, KeyedBackend
from qstore_ray.estimator.kernel import QuantumKernelClassifier
from qstore_ray.learn.kernel.kernel import FidelityKernel, ProjectedKernel, kernel_matrix
from tests.ibm.test_gateway import POLICY

N, SHOTS = 6, 2000
X = np.random.default_rng(0).uniform(0.0, 1.0, (N, 2))


@pytest.mark.parametrize(
    ("kind", "caps", "jobs", "executions"),
    [
        (FidelityKernel, {}, 1, N * (N - 1) // 2 * SHOTS),
        (FidelityKernel, {"executions": 5 * SHOTS}, 3, N * (N - 1) // 2 * SHOTS),
        (ProjectedKernel, {}, 1, 3 * N * SHOTS),
    ],
)
def test_a_matrix_is_as_few_jobs_as_the_caps_allow(
    ibm, tmp_path: Path, kind, caps, jobs, executions
):
    """No circuit for a row with itself, none for the lower triangle; a second matrix is free."""
    circuit = zz_feature_map(2, reps=1)
    hardware = IbmBackend(
        "fake_manila", SHOTS, where="process", ledger=str(tmp_path / "ledgers"),
        policy=POLICY | {"caps": caps},
    ).for_run("run")  # fmt: skip
    kernel = kind(circuit, backend=KeyedBackend(hardware, DrawKey((1,))))
    found = kernel_matrix(kernel, X)
    again = kernel_matrix(kernel, X)
    close_gateways()
    assert np.allclose(found, kernel_matrix(kind(circuit), X), atol=0.15)
    assert (found == found.T).all()
    assert (np.diag(found) == 1.0).all()
    assert (again == found).all()
    accepted = ibm.accepted().values()
    assert (len(accepted), sum(job.executions for job in accepted)) == (jobs, executions)


def test_a_support_vector_machine_is_trained_on_a_device(ibm, tmp_path: Path):
    """A job for the training rows, one for others, none for the same a second time."""
    hardware = IbmBackend(
        "fake_manila", SHOTS, where="process", ledger=str(tmp_path / "ledgers"), policy=POLICY
    )
    keyed = KeyedBackend(hardware.for_run("svm"), DrawKey((1,)))
    x = np.linspace(0.0, 1.0, 2 * N).reshape(N, 2)
    y = np.array([0, 0, 0, 1, 1, 1])
    machine = clone(QuantumKernelClassifier(backend=keyed)).fit(x, y)
    assert len(ibm.accepted()) == 1
    for _ in range(2):
        assert machine.score(x + 0.01, y) == 1.0
        assert len(ibm.accepted()) == 2
    QuantumKernelClassifier(backend=keyed).fit(x, y)
    close_gateways()
    assert len(ibm.accepted()) == 2
