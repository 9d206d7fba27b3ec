"""The exact engine on its own: how long a step takes, on which engine, with how many threads.

For the circuit families F1 to F6 of `peers/families.py`: milliseconds of values and of values with
all gradients (one thread, complex128), beside what the cost model predicts, beside two threads from
12 qubits on, beside complex64, and beside the fastest peers of the last `make bench-peers`. Then
the accuracy that complex64 loses, and whether memory stays flat over 2,000 steps.

Run: python benchmarks/engine.py (about 50 seconds)
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from record import RESULTS, write

sys.path.insert(0, str(Path(__file__).parent / "peers"))
import families

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.learn.step import BLOCK
from qstore_ray.simulate.compile.compiler import compile_program
from qstore_ray.simulate.cost import cost, measure

SECONDS_A_CASE = 0.15
STEPS = 2000
CASES = [
    *((family, n) for family in families.FAMILIES for n in (4, 8, 12)),
    ("F2", 16), ("F2", 20), ("F3", 16), ("F4", 16),
]  # fmt: skip


def milliseconds(call: Callable[[], object]) -> float:
    """Median over SECONDS_A_CASE, after one to warm up."""
    call()
    times: list[float] = []
    while len(times) < 3 or sum(times) < SECONDS_A_CASE:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return 1e3 * statistics.median(times)


class Case:
    """A family's circuit with the values it is timed on."""

    def __init__(self, family: str, n: int) -> None:
        built = families.build(family, n)
        self.template, self.observables = built.circuit.template, built.observables
        arrays = families.arrays(built, family, n)
        amplitudes = arrays["amplitudes"] if arrays["amplitudes"].size else None
        self.bindings = Bindings(arrays["rows"], arrays["params"], amplitudes)
        self.cotangent = np.outer(arrays["y"], arrays["w"])
        self.program = compile_program(self.template, self.observables)

    def values(self, backend: StatevectorBackend) -> np.ndarray:
        """Expectation values (B, O)."""
        return backend.evaluate(self.template, self.observables, self.bindings).values

    def gradient(self, backend: StatevectorBackend) -> np.ndarray:
        """Gradients (blocks of rows, P), as a training asks for them."""
        _, pullback = backend.vjp(self.template, self.observables, self.bindings, block=BLOCK)
        return pullback(self.cotangent).params


def peers() -> dict[tuple[str, int, str], float]:
    """Milliseconds of the fastest library and expert in the last comparison."""
    path = RESULTS / "peers.json"
    found: dict[tuple[str, int, str], float] = {}
    for row in json.loads(path.read_text())["rows"] if path.exists() else ():
        key = (row["family"], row["n"], row["peer_kind"])
        if row.get("peer_ms"):
            found[key] = min(row["peer_ms"], found.get(key, np.inf))
    return found


def measure_case(family: str, n: int, known: dict[tuple[str, int, str], float]) -> dict[str, Any]:
    """One row of the result."""
    case, native = Case(family, n), StatevectorBackend("native")
    row: dict[str, Any] = {"family": family, "n": n, "batch": len(case.bindings)}
    row["forward_ms"] = milliseconds(lambda: case.values(native))
    row["gradient_ms"] = milliseconds(lambda: case.gradient(native))
    predicted = cost(case.program, len(case.bindings), calibration=SPEED)
    row["predicted_ms"] = 1e3 * predicted.seconds
    row["predicted_over_measured"] = row["predicted_ms"] / row["gradient_ms"]
    for kind in ("library", "expert"):
        if (family, n, kind) in known:
            row[f"{kind}_over_ours"] = known[family, n, kind] / row["gradient_ms"]
    if n >= 12 and len(case.bindings) > 1:
        two = StatevectorBackend("native", threads=2)
        one_ms, two_ms = [], []
        for _ in range(3):  # in turns: the host's speed drifts
            one_ms.append(milliseconds(lambda: case.gradient(native)))
            two_ms.append(milliseconds(lambda: case.gradient(two)))
        row["two_threads_speedup"] = statistics.median(
            a / b for a, b in zip(one_ms, two_ms, strict=True)
        )
    if n in (12, 16):
        single = StatevectorBackend("native", precision="complex64")
        row["complex64_ms"] = milliseconds(lambda: case.gradient(single))
        right, rough = case.gradient(native).sum(axis=0), case.gradient(single).sum(axis=0)
        row["complex64_error"] = float(np.linalg.norm(rough - right) / np.linalg.norm(right))
    return row


def memory_growth() -> float:
    """Bytes that the process grows by in a step, over STEPS steps of a small circuit."""
    case, backend, process = Case("F2", 8), StatevectorBackend("native"), psutil.Process()
    sizes = []
    for _ in range(STEPS):
        case.gradient(backend)
        sizes.append(process.memory_info().rss)
    return float(np.polyfit(np.arange(STEPS // 2), sizes[STEPS // 2 :], 1)[0])


SPEED = measure("native")


def main() -> None:
    """Time every case, and write them down."""
    known = peers()
    results = [measure_case(family, n, known) for family, n in CASES]
    speedups = [row["two_threads_speedup"] for row in results if "two_threads_speedup" in row]
    ratios = [row["predicted_over_measured"] for row in results]
    write(
        "engine", families.SEED, results, threads=1, dtype="complex128",
        two_threads_speedup=statistics.median(speedups), two_threads_target="at least 1.7",
        predicted_over_measured=[min(ratios), max(ratios)], predicted_target="0.5 to 2",
        complex64_error=max(row.get("complex64_error", 0.0) for row in results),
        complex64_target="below 1e-6 at n = 16",
        growth_bytes_a_step=memory_growth(), growth_target="below 1000",
    )  # fmt: skip


if __name__ == "__main__":
    main()
