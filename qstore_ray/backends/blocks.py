"""Sums of gradients over blocks of rows, from those of the rows or by the kernels themselves."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.backends.base import Bindings, Estimates, Gradients, Pullback, Usage
from qstore_ray.simulate.compile.tail import CutProgram

if TYPE_CHECKING:
    from qstore_ray.simulate.compile.program import Program
    from qstore_ray.simulate.engines.engines import Precision


def summed(found: Gradients, block: int) -> Gradients:
    """Gradients with the parameters' summed over each block of rows, in their order."""
    n, n_params = found.params.shape
    blocks = -(-n // block)
    whole = found.params
    if n % block:
        whole = np.zeros((blocks * block, n_params))
        whole[:n] = found.params
    return found._replace(params=whole.reshape(blocks, block, n_params).sum(axis=1))


def vjp_by_block(
    program: Program | CutProgram,
    bindings: Bindings,
    rows_gradient: bool,
    threads: int,
    precision: Precision,
) -> tuple[Estimates, Pullback]:
    """Values, and the pullback to the sums over blocks, on the compiled kernels."""
    from qstore_ray.simulate.engines import cut_native, native

    rows, params, amplitudes = bindings.rows, bindings.params, bindings.amplitudes
    back: partial[native.BlockGradients]
    if isinstance(program, CutProgram):
        values, tape = cut_native.forward(program, rows, params, amplitudes, threads=threads)
        back = partial(cut_native.reverse, tape, rows_gradient=rows_gradient, threads=threads)
    else:
        values, kept = native.forward(
            program, rows, params, amplitudes, keep=True, threads=threads, precision=precision
        )
        back = partial(native.reverse_blocks, kept, rows_gradient=rows_gradient, threads=threads)
    estimates = Estimates(values, usage=Usage(circuits=len(bindings)))
    return estimates, lambda cotangent: Gradients(*back(cotangent))
