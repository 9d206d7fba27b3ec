"""Our own side: values and gradients from `StatevectorBackend.vjp`, the loss in numpy.

python peer_qstore_ray.py [auto|numpy]
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from protocol import Angle, Case, Step, serve

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.observable import Observable, PauliTerm
from qstore_ray.circuits.template import Angle as OwnAngle
from qstore_ray.circuits.template import Op, Template, const, param, row

if TYPE_CHECKING:
    import numpy as np

ENGINE = sys.argv[1] if len(sys.argv) > 1 else "auto"


def _angle(given: Angle) -> OwnAngle:
    if given.kind == "const":
        return const(given.offset)
    return {"row": row, "param": param}[given.kind](given.slot, given.scale, given.offset)


def build(case: Case) -> Step:
    """The template of the case, and the step that training runs."""
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
    backend = StatevectorBackend(engine=ENGINE, threads=1)  # type: ignore[arg-type]
    bindings = Bindings(case.rows, case.params, case.amplitudes)

    def step() -> tuple[float, np.ndarray]:
        estimates, pullback = backend.vjp(template, observables, bindings)
        loss, slope = case.loss(estimates.values)
        return loss, pullback(slope[:, None] * case.w).params.sum(axis=0)

    return step


if __name__ == "__main__":
    serve(build)
