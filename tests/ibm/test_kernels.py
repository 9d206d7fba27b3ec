"""Kernel matrices on hardware: users reported a job for each pair, and too many circuits in one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qiskit.circuit.library import zz_feature_map

from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.gateway.access import close_gateways
from qstore_ray.backends.keys import DrawKey, KeyedBackend
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
