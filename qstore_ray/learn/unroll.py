"""A circuit with one parameter for every gate, so that each gate can be shifted by itself.

A slot may feed several gates, with scales, and a controlled rotation is several gates. Rules about
a single gate exp(−iφP/2), such as a shift of its angle, hold for the unrolled circuit; the chain
rule then adds scale · derivative of each gate to the slot that feeds it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.backends.base import Bindings
from qstore_ray.circuits.lower import lower
from qstore_ray.circuits.template import Angle, Op, Template, param

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


@lru_cache(maxsize=64)
def unroll(template: Template, *, rows: bool = False) -> tuple[Template, tuple[Angle, ...]]:
    """The lowered circuit with a parameter for each of G gates, and those gates' angles before.

    Args:
        rows: also give gates whose angle comes from a row alone a parameter.
    """
    ops: list[Op] = []
    angles: list[Angle] = []
    for op in lower(template).ops:
        if op.angles and (op.angles[0].depends_on("param") or (rows and op.angles[0].terms)):
            ops.append(op._replace(angles=(param(len(angles)),)))
            angles.append(op.angles[0])
        else:
            ops.append(op)
    unrolled = Template(
        template.n_qubits, tuple(ops), template.n_rows, len(angles), template.initial
    )
    return unrolled, tuple(angles)


def gate_angles(angles: tuple[Angle, ...], bindings: Bindings) -> FloatArray:
    """The value of each unrolled gate's angle for each row, (N, G)."""
    n = len(bindings)
    params = np.broadcast_to(bindings.params, (n, bindings.params.shape[-1]))
    slots = {"row": bindings.rows, "param": params}
    values = np.zeros((n, len(angles)))
    for gate, angle in enumerate(angles):
        for term in angle.terms:
            values[:, gate] += term.scale * slots[term.kind][:, term.slot]
        values[:, gate] += angle.offset
    return values
