"""Our own private step: gradients of rows, clipped and added up, noise from a secret key."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from peer_qstore_ray import own_circuit
from protocol import Case, Step, serve

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.learn.clipping import clip_rows
from qstore_ray.learn.privacy.noise import NoiseKey

if TYPE_CHECKING:
    import numpy as np

CLIP, SIGMA = 1.0, 1.0


def build(case: Case) -> Step:
    """The template of the case, and one step of DP-SGD."""
    template, observables = own_circuit(case)
    backend = StatevectorBackend(threads=1)
    bindings = Bindings(case.rows, case.params, case.amplitudes)
    key, steps = NoiseKey.drawn(), itertools.count()

    def step() -> tuple[float, np.ndarray]:
        estimates, pullback = backend.vjp(template, observables, bindings)
        residual = estimates.values @ case.w + case.c - case.y
        each = pullback(2.0 * residual[:, None] * case.w).params
        total = clip_rows(each, CLIP).sum(axis=0)
        _ = (total + SIGMA * CLIP * key.normal(next(steps), len(total))) / case.batch
        return float(residual @ residual) / case.batch, total / case.batch

    return step


if __name__ == "__main__":
    serve(build)
