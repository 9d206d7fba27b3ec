"""A kernel matrix of 2,000 rows, ours and others': ZZ feature map on 8 features, exact.

    python benchmarks/kernels.py     everything, into results/kernels.json

The section of docs/performance.md is written with the rest of that page, by `python
benchmarks/peers/run.py --page`.

Each library runs in a process of its own with one thread on one core, in the environments of
`peers/`. First its matrix of 8 rows must agree with ours to 1e-8. Then it and ours take turns.
Times are CPU seconds of that process: others may use the machine meanwhile.

A matrix of 2,000 rows has 1,999,000 pairs. Where it would take minutes or days, matrices of two
sizes are timed, and c·N(N−1)/2 + d for one circuit a pair, or c·N² + d·N for one state a row, is
put through both: what is spent once is not held against anybody.

With more workers the time is that of `gram_matrix` in Ray tasks on the clock, Ray already started.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE / "peers"), str(HERE.parent)]
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # before numpy is loaded

import numpy as np  # noqa: E402
from environments import OWN, make, versions  # noqa: E402
from process import Failure, Peer, Server  # noqa: E402
from record import write  # noqa: E402

SEED, ROWS, FEATURES, SUBSET = 7, 2000, 8, 8
AGREEMENT, LIMIT_S = 1e-8, 400.0
RAY_ROWS, RAY_FEATURES, RAY_ROUNDS = 2000, 10, 5
TARGETS = {"FidelityQuantumKernel": 20.0, "PennyLane kernel matrix": 3.0}


class Method(NamedTuple):
    """One way to a kernel matrix: who, how, and on which sizes it is timed."""

    title: str
    file: str
    environment: str
    method: str
    sizes: tuple[int, ...]
    rounds: int
    by_row: bool = False


OURS = Method("qstore_ray", "kernel_qstore_ray.py", OWN, "fidelity", (ROWS,), 1)
_QISKIT, _PENNYLANE = "kernel_qiskit.py", "kernel_pennylane.py"
PEERS = (
    Method("PennyLane kernel matrix", _PENNYLANE, "pennylane", "circuits", (8, 20), 3),
    Method("PennyLane states, one execution", _PENNYLANE, "pennylane", "states", (ROWS,), 2),
    Method("FidelityStatevectorKernel", _QISKIT, "qiskit", "states", (100, 300), 1, by_row=True),
    Method("FidelityQuantumKernel", _QISKIT, "qiskit", "circuits", (4, 8), 1),
)


class Side:
    """A process that computes kernel matrices of the same rows."""

    def __init__(self, how: Method, folder: Path, core: int) -> None:
        self._how, self._folder = how, folder
        peer = Peer(how.title, how.title, "library", how.file, how.environment)
        self._server = Server(peer, folder / f"{how.method}-{how.environment}.log")
        self._server.pin(core)
        self._ask(f"rows {folder / 'rows.npy'}")

    def _ask(self, command: str) -> dict[str, Any]:
        return self._server.ask(command, LIMIT_S, f"over {LIMIT_S:g} s")

    def gram(self, size: int) -> tuple[float, np.ndarray]:
        """Seconds and the matrix (size, size)."""
        target = self._folder / f"{self._how.environment}-{self._how.method}.npy"
        seconds = self._ask(f"gram {self._how.method} {size} {target}")["seconds"]
        return seconds, np.load(target)

    def stop(self) -> None:
        """End the process."""
        self._server.stop()


def _pairs(size: int) -> int:
    return size * (size - 1) // 2


def _seconds(side: Side, how: Method) -> float:
    """For the whole matrix: measured, or from two smaller ones."""
    if len(how.sizes) == 1:
        return side.gram(ROWS)[0]
    small, large = how.sizes
    first, second = side.gram(small)[0], side.gram(large)[0]
    if not how.by_row:
        by_pair = (second - first) / (_pairs(large) - _pairs(small))
        return by_pair * _pairs(ROWS)
    by_pair = (second / large - first / small) / (large - small)
    return ROWS * (first / small + by_pair * (ROWS - small))


def compare(how: Method, ours: Side, folder: Path, core: int) -> dict[str, Any]:
    """One peer beside ours: times, their ratio, how far the matrices differ."""
    row: dict[str, Any] = {"peer": how.title}
    try:
        side = Side(how, folder, core)
    except Failure as exc:
        return row | {"status": exc.status, "reason": str(exc)}
    try:
        difference = float(np.abs(side.gram(SUBSET)[1] - ours.gram(SUBSET)[1]).max())
        if difference > AGREEMENT:
            return row | {"status": "wrong", "reason": f"differs by {difference:.2g}"}
        own, theirs = [ours.gram(ROWS)[0]], []
        for _ in range(how.rounds):
            theirs.append(_seconds(side, how))
            own += [ours.gram(ROWS)[0], ours.gram(ROWS)[0]]
    except Failure as exc:
        return row | {"status": exc.status, "reason": str(exc)}
    finally:
        side.stop()
    found, peer = statistics.median(own), statistics.median(theirs)
    wanted = TARGETS.get(how.title)
    return row | {
        "status": "measured" if len(how.sizes) == 1 else "extrapolated",
        "timed_rows": list(how.sizes), "ours_s": found, "peer_s": peer, "ratio": peer / found,
        "target": wanted, "difference": difference, "ours_all_s": own, "peer_all_s": theirs,
    }  # fmt: skip


def scaling() -> list[dict[str, Any]]:
    """Seconds of the same matrix in this process, with one Ray worker, and with two; in turns."""
    import ray
    from kernel_qstore_ray import zz_circuit

    from qstore_ray.learn.kernel.kernel import FidelityKernel
    from qstore_ray.train.config import ClusterConfig
    from qstore_ray.train.ray.kernel_matrix import gram_matrix
    from qstore_ray.train.ray.session import ray_session

    x = np.random.default_rng(SEED).uniform(0, 2, (RAY_ROWS, RAY_FEATURES))
    kernel, bits = FidelityKernel(zz_circuit(RAY_FEATURES)), set()
    times: dict[int, list[float]] = {0: [], 1: [], 2: []}
    with ray_session(ClusterConfig(object_store_mb=512), 2):
        assert ray.is_initialized()
        gram_matrix(kernel, x[:64], num_workers=2, block=16)  # starts the workers
        for _ in range(RAY_ROUNDS):
            for workers, seconds in times.items():
                began = time.perf_counter()
                found = gram_matrix(kernel, x, num_workers=workers)
                seconds.append(time.perf_counter() - began)
                bits.add(found.tobytes())
    assert len(bits) == 1, "the matrix depends on the number of workers"
    return [
        {"workers": workers, "rows": RAY_ROWS, "qubits": RAY_FEATURES,
         "seconds": statistics.median(seconds), "all_s": seconds}
        for workers, seconds in times.items()
    ]  # fmt: skip


def main() -> None:
    """Compare with each peer, then with more workers; write the numbers."""
    environments = {name: make(name) for name in ("qiskit", "pennylane")}
    core = max(os.sched_getaffinity(0))
    x = np.random.default_rng(SEED).uniform(0, 2, (ROWS, FEATURES))
    rows = []
    with tempfile.TemporaryDirectory(prefix="kernels-") as scratch:
        folder = Path(scratch)
        np.save(folder / "rows.npy", x)
        ours = Side(OURS, folder, core)
        try:
            ours.gram(ROWS)
            for how in PEERS:
                rows.append(compare(how, ours, folder, core))
                print(rows[-1], flush=True)
        finally:
            ours.stop()
    write(
        "kernels", SEED, rows, matrix_rows=ROWS, features=FEATURES, feature_map="ZZ, 2 repetitions",
        workers=scaling(), environments={name: versions(name) for name in environments},
    )  # fmt: skip


if __name__ == "__main__":
    main()
