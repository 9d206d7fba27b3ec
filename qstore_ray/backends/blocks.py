"""Sums of gradients over blocks of rows, from rows or from the two programs of a circuit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.backends.base import Bindings, Estimates, Gradients, Pullback, Usage
from qstore_ray.simulate.compile.tail import BLOCK, CutProgram

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


def summed(found: Gradients, block: int) -> Gradients:
    """Gradients with the parameters' summed over each block of rows, in their order."""
    n, n_params = found.params.shape
    blocks = -(-n // block)
    whole = found.params
    if n % block:
        whole = np.zeros((blocks * block, n_params))
        whole[:n] = found.params
    return found._replace(params=whole.reshape(blocks, block, n_params).sum(axis=1))


def vjp_in_two(
    cut: CutProgram, bindings: Bindings, rows_gradient: bool, threads: int
) -> tuple[Estimates, Pullback]:
    """Values, and the pullback to the sums over blocks, of a circuit in two programs."""
    from qstore_ray.simulate.engines import cut_native

    values, tape = cut_native.forward(
        cut, bindings.rows, bindings.params, bindings.amplitudes, threads=threads
    )

    def pullback(cotangent: FloatArray) -> Gradients:
        slots, tail, amplitudes = cut_native.reverse(
            tape, cotangent, rows_gradient=rows_gradient, threads=threads
        )
        split = cut.head.n_rows
        if not rows_gradient:
            slots[:, :split] = 0.0
        found = summed(Gradients(slots[:, :split], slots[:, split:], amplitudes), BLOCK)
        return found._replace(params=found.params + tail)

    return Estimates(values, usage=Usage(circuits=len(bindings))), pullback
