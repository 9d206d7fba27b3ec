"""Our own shots: 1,024 of every row, and the values of all observables."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from peer_qstore_ray import own_circuit
from protocol import Case, Step, serve

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.statevector import StatevectorBackend

if TYPE_CHECKING:
    import numpy as np

SHOTS = 1024


def build(case: Case) -> Step:
    """The values of all observables (B, O), flat, in place of a gradient."""
    template, observables = own_circuit(case)
    backend = StatevectorBackend(threads=1, shots=SHOTS)
    bindings, steps = Bindings(case.rows, case.params), itertools.count()

    def step() -> tuple[float, np.ndarray]:
        key = DrawKey((0, next(steps)))
        return 0.0, backend.evaluate(template, observables, bindings, key=key).values.ravel()

    return step


if __name__ == "__main__":
    serve(build)
