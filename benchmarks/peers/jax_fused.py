"""A circuit in JAX as few complex matrices: whatever fits on four qubits becomes one block.

First neighbouring gates are fused into blocks on two qubits (equal blocks, as the repeated ones of
a convolutional circuit, are computed once), then those into blocks on four. A block is applied to
a tile of rows as one real matmul on real and imaginary parts. The blocks depend on the parameters
alone; row angles may only stand in RY at the very start.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax_tiles import tiled
from peer_jax_gates import apply, signs
from protocol import Angle, Case, Op, Step, Unsupported


class Block(NamedTuple):
    """Operations on a few qubits: gates, or smaller blocks."""

    qubits: tuple[int, ...]
    inside: tuple[Any, ...]


def build(case: Case, tile: int) -> Step:
    """The compiled step."""
    start, rest = _split(case)
    blocks = fuse(fuse(rest, 2), 4)
    sign, n = jnp.asarray(signs(case)), case.n_qubits

    def prepare(params):
        known: dict[Any, Any] = {}
        return [_matrix(block, params, known) for block in blocks]

    def loss(matrices, rows, amplitudes, y):
        real = amplitudes if case.amplitudes is not None else _product(start, rows, n)
        psi = jnp.stack([real, jnp.zeros_like(real)], axis=1)
        for block, matrix in zip(blocks, matrices, strict=True):
            psi = _act(matrix, block.qubits, psi, n)
        z = (psi**2).sum(axis=1).T @ sign
        return jnp.sum((z @ case.w + case.c - y) ** 2) / case.batch

    return tiled(case, prepare, loss, tile)


def fuse(parts: Iterable[Any], width: int) -> list[Block]:
    """Blocks on at most `width` qubits, in an order that gives the same circuit.

    Each part joins the last block that touches it, or a later one where there is room.
    """
    blocks: list[tuple[set[int], list[Any]]] = []
    for part in parts:
        touched = [k for k, (qubits, _) in enumerate(blocks) if qubits & set(part.qubits)]
        for qubits, inside in blocks[max(touched, default=0) :]:
            if len(qubits | set(part.qubits)) <= width:
                qubits.update(part.qubits)
                inside.append(part)
                break
        else:
            blocks.append((set(part.qubits), [part]))
    return [Block(tuple(sorted(qubits)), tuple(inside)) for qubits, inside in blocks]


def _split(case: Case) -> tuple[dict[int, Angle], list[Op]]:
    """The RY with row angles at the start, by qubit, and everything else."""
    start: dict[int, Angle] = {}
    touched: set[int] = set()
    rest = []
    for op in case.ops:
        if not any(angle.kind == "row" for angle in op.angles):
            rest.append(op)
        elif op.gate == "ry" and op.qubits[0] not in touched and case.amplitudes is None:
            start[op.qubits[0]] = op.angles[0]
        else:
            raise Unsupported("row angles stand elsewhere than in RY at the start")
        touched.update(op.qubits)
    return start, rest


def _product(start: dict[int, Angle], rows: Any, n: int) -> jax.Array:
    psi = jnp.ones((1, rows.shape[1]))
    for q in range(n):
        half = start[q].value(rows, None) / 2 if q in start else jnp.zeros(rows.shape[1])
        vector = jnp.stack([jnp.cos(half), jnp.sin(half)])
        psi = (vector[:, None] * psi[None]).reshape(-1, rows.shape[1])
    return psi


def _matrix(block: Block, params: Any, known: dict[Any, Any]) -> jax.Array:
    """The unitary (2^k, 2^k) of a block; the block's lowest qubit is the least significant bit."""
    place = {q: k for k, q in enumerate(block.qubits)}
    key = _relative(block, place)
    if key not in known:
        size = 2 ** len(place)
        columns = jnp.eye(size, dtype=complex)
        for part in block.inside:
            qubits = tuple(place[q] for q in part.qubits)
            if isinstance(part, Block):
                inner = _matrix(part, params, known)
                columns = _turn(inner, qubits, columns, len(place))
            else:
                angles = [angle.value(None, params) for angle in part.angles]
                moved = Op(part.gate, qubits, ())
                one = jax.vmap(lambda v, a=angles, o=moved: apply(o, a, v, len(place)), 1, 1)
                columns = one(columns)
        known[key] = columns
    return known[key]


def _relative(part: Any, place: dict[int, int]) -> Any:
    """What a block does, told by the places of its qubits: equal for equal blocks elsewhere."""
    qubits = tuple(place[q] for q in part.qubits)
    if isinstance(part, Block):
        return qubits, tuple(_relative(inner, place) for inner in part.inside)
    return part.gate, qubits, part.angles


def _turn(matrix: jax.Array, qubits: tuple[int, ...], columns: jax.Array, n: int) -> jax.Array:
    """A matrix on some qubits (ascending) of columns (2^n, c)."""
    axes = [n - 1 - q for q in reversed(qubits)]
    front = jnp.moveaxis(columns.reshape((2,) * n + (-1,)), axes, range(len(axes)))
    after = (matrix @ front.reshape(len(matrix), -1)).reshape(front.shape)
    return jnp.moveaxis(after, range(len(axes)), axes).reshape(columns.shape)


def _act(matrix: jax.Array, qubits: tuple[int, ...], psi: jax.Array, n: int) -> jax.Array:
    """A complex matrix on the qubits of a state (2^n, real or imaginary, b), as one real matmul."""
    shape, front = [], []
    for q in reversed(range(n)):
        mine = q in qubits
        joins = bool(shape) and (q + 1 in qubits) == mine
        if joins:
            shape[-1] *= 2
        else:
            front += [len(shape)] if mine else []
            shape.append(2)
    front.append(len(shape))  # the axis of real and imaginary part
    shape += psi.shape[1:]
    moved = jnp.moveaxis(psi.reshape(shape), front, range(len(front)))
    pairs = jnp.array([[matrix.real, -matrix.imag], [matrix.imag, matrix.real]])
    size = 2 * len(matrix)
    real = pairs.transpose(2, 0, 3, 1).reshape(size, size)
    after = (real @ moved.reshape(size, -1)).reshape(moved.shape)
    return jnp.moveaxis(after, range(len(front)), front).reshape(psi.shape)
