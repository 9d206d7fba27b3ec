"""A kernel's matrix on Ray: rows embedded once, then blocks compared wherever there is a worker.

    embed     one task a chunk of rows; its states stay in the object store
    compare   one task a pair of chunks (of a symmetric matrix, those on and above the diagonal)

The driver only starts tasks and puts blocks in place. Chunks and blocks do not depend on the number
of workers, so neither does the matrix, bit for bit. Without workers the same blocks are computed in
this process.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from ray.exceptions import RayError, RayTaskError

from qstore_ray.deadline import ray_result, wait_patiently
from qstore_ray.errors import ConfigError, QStoreError, WorkerError
from qstore_ray.learn.kernel.kernel import BLOCK, Comparison, Kernel, blocks, kernel_matrix, place
from qstore_ray.train.config import ClusterConfig
from qstore_ray.train.ray.beside import call_beside
from qstore_ray.train.ray.errors import meaning
from qstore_ray.train.ray.session import ray_session

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

_TASKS = "a Ray task of the kernel; it needs free CPUs"


def gram_matrix(
    kernel: Kernel,
    x: FloatArray,
    y: FloatArray | None = None,
    *,
    num_workers: int = 0,
    block: int = BLOCK,
    cluster: ClusterConfig | None = None,
) -> FloatArray:
    """k(x_i, y_j) (N, M) of features (N, F) and (M, F); without y, of the x among each other.

    Called in the driver process; with workers, embedding and comparing happen in Ray tasks.

    Args:
        num_workers: tasks that run at the same time; 0 computes in this process.
        block: rows of a chunk, and rows and columns of a block.
        cluster: where Ray runs and what a task takes.

    Raises:
        ConfigError: a negative number of workers, or blocks of no rows.
        ResourceError: more workers than the cluster has CPUs.
        WorkerError: a worker process died more often than `cluster.max_failures`.
        LostClusterError: Ray was lost.
        QStoreError: any that the kernel raises.

    Examples:
        circuit = build_circuit(
            encoding="angle", ansatz="basic", n_qubits=2, n_features=2, layers=1
        )
        kernel = FidelityKernel(circuit, np.zeros(circuit.template.n_params))
        k = gram_matrix(kernel, np.array([[0.1, 0.2], [0.3, 0.4]]))
        assert k.shape == (2, 2) and np.allclose(np.diag(k), 1.0)
    """
    for name, value, least in (("num_workers", num_workers, 0), ("block", block, 1)):
        if value < least:
            raise ConfigError(f"must be {least} or more", field=name, value=value)
    if num_workers == 0:
        return kernel_matrix(kernel, x, y, block=block)
    for rows in (x,) if y is None else (x, y):  # a task would count the rows of its chunk
        kernel.check(rows)
    cluster = cluster or ClusterConfig()
    with ray_session(cluster, num_workers):
        try:
            tasks = _Tasks(num_workers, cluster)
            return call_beside(
                lambda: tasks.matrix(kernel, x, y, block), threading.Event(), on_stop=lambda: None
            )
        except RayError as exc:
            raise _translated_error(exc, cluster) from exc


class _Tasks:
    """Ray tasks, so many at a time. In the driver process, inside a `ray_session`."""

    def __init__(self, num_workers: int, cluster: ClusterConfig) -> None:
        remote = ray.remote(num_cpus=cluster.cpus_per_worker, max_retries=cluster.max_failures)
        self._num_workers = num_workers
        self._embed = remote(_embed)
        self._compare = remote(_compare)

    def matrix(self, kernel: Kernel, x: FloatArray, y: FloatArray | None, block: int) -> FloatArray:
        """The matrix, block by block."""
        shared = ray.put(kernel)
        a = self._embedded(shared, x, block)
        b = a if y is None else self._embedded(shared, y, block)
        comparison = ray.put(kernel.comparison(lambda: np.concatenate(ray_result(b, _TASKS))))
        n, m = len(x), len(x if y is None else y)
        found = np.empty((n, m))
        places = list(blocks(n, m, block, symmetric=y is None))
        tasks = (
            self._compare.remote(comparison, a[rows.start // block], b[columns.start // block])
            for rows, columns in places
        )
        for number, ready in self._as_they_end(tasks):
            place(found, *places[number], ray_result(ready, _TASKS), symmetric=y is None)
        return found

    def _embedded(self, kernel: Any, x: FloatArray, block: int) -> list[Any]:
        """References to the embedded chunks, in order. An empty set of rows is one empty chunk."""
        starts = range(0, max(len(x), 1), block)
        tasks = (self._embed.remote(kernel, x[start : start + block]) for start in starts)
        return [reference for _, reference in sorted(self._as_they_end(tasks), key=lambda t: t[0])]

    def _as_they_end(self, tasks: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        """Number and result of each task, the first that ends first."""
        running: dict[Any, int] = {}
        for number, task in enumerate(tasks):
            running[task] = number
            if len(running) >= self._num_workers:
                yield self._ended(running)
        while running:
            yield self._ended(running)

    @staticmethod
    def _ended(running: dict[Any, int]) -> tuple[int, Any]:
        ready: list[Any] = []

        def ends_within(seconds: float) -> bool:
            ready[:] = ray.wait(list(running), timeout=seconds, fetch_local=False)[0]
            return bool(ready)

        wait_patiently(ends_within, _TASKS)
        return running.pop(ready[0]), ready[0]


def _embed(kernel: Kernel, x: FloatArray) -> AnyArray:
    """In a Ray worker: the embedded rows of a chunk."""
    return kernel.embed(x)


def _compare(comparison: Comparison, a: AnyArray, b: AnyArray) -> FloatArray:
    """In a Ray worker: one block."""
    return comparison(a, b)


def _translated_error(exc: RayError, cluster: ClusterConfig) -> QStoreError:
    """Ray's error as ours: what the kernel raised in a worker, or that workers died."""
    cause = exc.cause if isinstance(exc, RayTaskError) else None
    if isinstance(cause, QStoreError):
        return cause
    return WorkerError(
        f"a worker failed while it computed a kernel: {meaning(exc)}",
        field="cluster.max_failures",
        value=cluster.max_failures,
        fix="If it ran out of memory, take a smaller block, fewer qubits or fewer workers.",
    )
