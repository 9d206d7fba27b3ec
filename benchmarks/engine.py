"""How long the exact engine takes for forward values and for values with all gradients.

Circuits (B = 32 rows, complex128, one thread), with all angles and observables of each:

    F1  RY(x); L layers of RY, RZ and a CZ ring; ⟨Z0⟩, ⟨Z1⟩           L = 2, 3, 4 for n = 4, 8, 12
    F2  RY(x); L = 4 layers of RY, RZ and a chain of CX; every ⟨Z_i⟩
    F4  RY(x); L = 3 layers of U and a CX ring of growing range; every ⟨Z_i⟩ and ⟨Z_i Z_j⟩

Run: python benchmarks/engine.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Literal

import numpy as np
from record import write

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.observable import Observable, z_observables, zz_observables
from qstore_ray.circuits.template import Op, Template, param, row

SEED, ROWS, REPEATS = 7, 32, 15
QUBITS = (4, 8, 12)
Circuit = tuple[Template, tuple[Observable, ...]]


def f1(n: int) -> Circuit:
    """RY, RZ and a CZ ring."""
    layers = {4: 2, 8: 3, 12: 4}[n]
    ring = [Op("cz", (q, (q + 1) % n)) for q in range(n)]
    return _layered(n, layers, ring), z_observables(n)[:2]


def f2(n: int) -> Circuit:
    """RY, RZ and a chain of CX."""
    return _layered(n, 4, [Op("cx", (q, q + 1)) for q in range(n - 1)]), z_observables(n)


def f4(n: int) -> Circuit:
    """U and a CX ring whose range grows with the layer."""
    ops, slot = [Op("ry", (q,), (row(q),)) for q in range(n)], 0
    for layer in range(3):
        for q in range(n):
            ops.append(Op("u", (q,), (param(slot), param(slot + 1), param(slot + 2))))
            slot += 3
        ops += [Op("cx", (q, (q + layer % (n - 1) + 1) % n)) for q in range(n)]
    return Template(n, tuple(ops), n, slot), z_observables(n) + zz_observables(n)


def _layered(n: int, layers: int, entangler: list[Op]) -> Template:
    ops, slot = [Op("ry", (q,), (row(q),)) for q in range(n)], 0
    for _ in range(layers):
        for q in range(n):
            ops += [Op("ry", (q,), (param(slot),)), Op("rz", (q,), (param(slot + 1),))]
            slot += 2
        ops += entangler
    return Template(n, tuple(ops), n, slot)


def milliseconds(call: Callable[[], object]) -> float:
    """Median of REPEATS calls, after one to warm up."""
    call()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return 1e3 * statistics.median(times)


def measure(engine: Literal["numba", "numpy"], circuit: Circuit, n: int) -> dict[str, float]:
    """Milliseconds of values alone, and of values with all gradients."""
    rng = np.random.default_rng(SEED)
    template, observables = circuit
    rows = rng.uniform(-np.pi, np.pi, (ROWS, n))
    bindings = Bindings(rows, rng.uniform(-np.pi, np.pi, template.n_params))
    cotangent = rng.normal(size=(ROWS, len(observables)))
    backend = StatevectorBackend(engine=engine, threads=1)

    def gradient() -> object:
        _, pullback = backend.vjp(template, observables, bindings)
        return pullback(cotangent)

    return {
        "forward_ms": milliseconds(lambda: backend.evaluate(template, observables, bindings)),
        "gradient_ms": milliseconds(gradient),
    }


def main() -> None:
    """Time every family at every width on both engines."""
    results = []
    for name, build in (("F1", f1), ("F2", f2), ("F4", f4)):
        for n in QUBITS:
            circuit = build(n)
            for engine in ("numba", "numpy"):
                if engine == "numpy" and n == 12:
                    continue  # seconds a call
                about = {"family": name, "n": n, "engine": engine}
                results.append(about | measure(engine, circuit, n))
    write("engine", SEED, results, batch=ROWS, threads=1, dtype="complex128")


if __name__ == "__main__":
    main()
