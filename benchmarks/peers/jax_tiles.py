"""Tiles of rows that fit the cache, one after the other; what they share is made once a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    from protocol import Case, Step


def tiled(case: Case, prepare: Callable, loss: Callable, tile: int) -> Step:
    """The compiled step of `loss`, summed over tiles of rows by `lax.scan`.

    Args:
        case: the circuit and its data.
        prepare: maps the parameters to what all rows share.
        loss: the part of the loss of one tile: of what is shared, row angles (A, b), initial
            states (2^n, b) and targets (b,).
        tile: rows of a tile; 0 chooses.
    """
    jax.clear_caches()
    tile = min(tile or _rows(case.n_qubits), case.batch)
    first = jax.value_and_grad(loss)

    def whole(params, tiles):
        shared, pull = jax.vjp(prepare, params)

        def body(sums, data):
            return jax.tree.map(jnp.add, sums, first(shared, *data)), None

        if case.batch == tile:
            value, slope = first(shared, *(part[0] for part in tiles))
        else:
            zeros = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, shared))
            (value, slope), _ = jax.lax.scan(body, zeros, tiles)
        return jnp.append(pull(slope)[0], value)  # one array costs less to fetch than two

    starts = np.zeros((case.batch, 0)) if case.amplitudes is None else case.amplitudes
    columns = [
        part.reshape(case.batch // tile, tile, part.shape[1]).transpose(0, 2, 1)
        for part in (case.rows, starts)
    ]
    tiles = (*map(jnp.asarray, columns), jnp.asarray(case.y.reshape(-1, tile)))
    compiled = jax.jit(whole)

    def step() -> tuple[float, np.ndarray]:
        found = np.asarray(compiled(case.params, tiles))
        return float(found[-1]), found[:-1]

    return step


def _rows(n_qubits: int) -> int:
    """How many rows run fastest together, by trial."""
    for largest, rows in ((6, 32), (9, 16), (13, 8)):
        if n_qubits <= largest:
            return rows
    return 1
