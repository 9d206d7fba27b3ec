"""Our own side: values and gradients from `StatevectorBackend.vjp`, the loss in numpy.

python peer_qstore_ray.py [auto|numpy] [threads]
"""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING

from protocol import Angle, Case, Noise, Step, serve

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.observable import Observable, PauliTerm
from qstore_ray.circuits.template import Angle as OwnAngle
from qstore_ray.circuits.template import Op, Template, const, param, row

if TYPE_CHECKING:
    import numpy as np

BLOCK = 16
"""Rows whose gradients a training adds up; see `learn/step.py`."""
ENGINE = sys.argv[1] if len(sys.argv) > 1 else "auto"
THREADS = int(sys.argv[2]) if len(sys.argv) > 2 else 1


def _angle(given: Angle) -> OwnAngle:
    if given.kind == "const":
        return const(given.offset)
    return {"row": row, "param": param}[given.kind](given.slot, given.scale, given.offset)


def _noise(noise: Noise) -> dict[str, object]:
    one = {"I": 1 - 0.75 * noise.p} | dict.fromkeys("XYZ", noise.p / 4)
    two = {a + b: one[a] * one[b] for a in one for b in one}
    gates = [
        {"on": on, "channel": {"name": "pauli", "probabilities": _errors(all_)}}
        for on, all_ in (("one_qubit", one), ("two_qubit", two))
    ]
    return {"gates": gates, "readout": noise.readout}


def _errors(probabilities: dict[str, float]) -> dict[str, float]:
    return {string: p for string, p in probabilities.items() if set(string) != {"I"}}


def own_circuit(case: Case) -> tuple[Template, tuple[Observable, ...]]:
    """The case as a template and observables of ours."""
    ops = tuple(Op(op.gate, op.qubits, tuple(map(_angle, op.angles))) for op in case.ops)
    template = Template(
        case.n_qubits,
        ops,
        n_rows=case.rows.shape[1],
        n_params=len(case.params),
        initial="zeros" if case.amplitudes is None else "amplitudes",
    )
    observables = tuple(
        Observable((PauliTerm(0, sum(1 << q for q in qubits)),)) for qubits in case.observables
    )
    return template, observables


def build(case: Case) -> Step:
    """The template of the case, and the step that training runs."""
    template, observables = own_circuit(case)
    noise = None if case.noise is None else _noise(case.noise)
    backend = StatevectorBackend(engine=ENGINE, threads=THREADS, noise=noise)  # type: ignore[arg-type]
    bindings = Bindings(case.rows, case.params, case.amplitudes)
    steps = itertools.count()

    def step() -> tuple[float, np.ndarray]:
        key = DrawKey((0, next(steps))) if noise else None
        estimates, pullback = backend.vjp(template, observables, bindings, key=key, block=BLOCK)
        loss, slope = case.loss(estimates.values)
        return loss, pullback(slope[:, None] * case.w).params.sum(axis=0)

    return step


if __name__ == "__main__":
    serve(build)
