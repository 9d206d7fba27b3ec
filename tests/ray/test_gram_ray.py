"""A kernel's matrix from Ray tasks: the bits of this process, and its errors."""

from __future__ import annotations

import os

import numpy as np
import pytest

from qstore_ray.circuits.library.library import build_circuit
from qstore_ray.errors import BackendError, DataError, ResourceError, WorkerError
from qstore_ray.learn.kernel.kernel import FidelityKernel, ProjectedKernel, fidelities
from qstore_ray.train.config import ClusterConfig
from qstore_ray.train.ray.kernel_matrix import gram_matrix

CIRCUIT = build_circuit(encoding="zz", ansatz="basic", n_qubits=4, n_features=4, layers=1)
THETA = np.linspace(0.1, 1.0, CIRCUIT.template.n_params)
X, Y = np.random.default_rng(0).uniform(0, 2, (2, 41, 4))
KERNELS = {"fidelity": FidelityKernel, "projected": ProjectedKernel}


@pytest.mark.parametrize("name", KERNELS)
def test_any_number_of_workers_gives_the_bits_of_this_process(ray_cluster, name: str):
    kernel = KERNELS[name](CIRCUIT, THETA)
    for y in (None, Y[:23]):
        here = gram_matrix(kernel, X, y, block=16)
        for workers in (1, 2):
            there = gram_matrix(kernel, X, y, num_workers=workers, block=16)
            np.testing.assert_array_equal(there, here)
    assert gram_matrix(kernel, X[:0], num_workers=1).shape == (0, 0)
    assert gram_matrix(kernel, X, Y[:0], num_workers=1).shape == (41, 0)


def test_what_the_kernel_raises_in_a_worker_is_raised_here(ray_cluster):
    wrong = X.copy()
    wrong[20, 1] = np.nan
    with pytest.raises(DataError, match="row 20 holds NaN") as caught:
        gram_matrix(FidelityKernel(CIRCUIT, THETA), wrong, num_workers=2, block=16)
    assert caught.value.field == "x"
    with pytest.raises(BackendError, match="answers nothing"):
        gram_matrix(_Failing(), X, num_workers=1)


class _Failing:
    """A kernel that cannot answer."""

    def check(self, x): ...

    def embed(self, x):
        raise BackendError("it answers nothing")

    def comparison(self, reference):
        return fidelities


class _Leaving(_Failing):
    """A kernel whose worker ends without a word."""

    def embed(self, x):
        os._exit(1)


def test_workers_that_die_too_often_are_an_error(ray_cluster):
    with pytest.raises(WorkerError) as caught:
        gram_matrix(_Leaving(), X, num_workers=1, cluster=ClusterConfig(max_failures=0))
    assert (caught.value.field, caught.value.value) == ("cluster.max_failures", 0)
    assert "block" in caught.value.fix


def test_more_workers_than_cpus_are_refused(ray_cluster):
    with pytest.raises(ResourceError) as caught:
        gram_matrix(FidelityKernel(CIRCUIT, THETA), X, num_workers=99)
    assert caught.value.value == 99
