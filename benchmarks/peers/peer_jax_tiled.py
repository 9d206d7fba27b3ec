"""Written by hand in JAX for this very work: the strongest thing an expert can write there.

The batch runs in tiles of rows that fit the cache, and what depends on the parameters alone is
computed once a step. A circuit made of layers runs as real 16×16 blocks, phases and gathers
(`jax_layered.py`); one that would fall apart into many thin layers, as a convolutional circuit
does, is fused into complex blocks on four qubits instead (`jax_fused.py`).
"""

from __future__ import annotations

import sys

import jax_fused
import jax_layered
from layers import layered
from protocol import Case, Step, serve

TILE = int(sys.argv[1]) if len(sys.argv) > 1 else 0  # rows; 0 chooses
MANY = 16  # layers


def build(case: Case) -> Step:
    """The compiled step, the way that suits the circuit."""
    circuit = layered(case)
    if len(circuit.layers) > MANY:
        return jax_fused.build(case, TILE)
    return jax_layered.build(case, circuit, TILE)


if __name__ == "__main__":
    serve(build)
