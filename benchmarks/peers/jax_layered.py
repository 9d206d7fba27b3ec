"""A circuit in JAX as layers of rotations and layers of phases: the way for regular circuits.

    start      gates before the first entangler act on single qubits; their product is formed once
    turn       real 16×16 blocks, the rotations of 4 neighbouring qubits, applied as matmuls to the
               real and to the imaginary part
    phase      all diagonal gates as one vector of phases, shared by the batch where no row angle is
               in it, and all CX as one gather (differentiated as a gather, not as a scatter)
    measure    all products of Z at once, from signs that factor into two halves of the qubits

`layers.py` says how a circuit is cut into layers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax_tiles import tiled
from layers import Layered, Phases, Sum, Turns
from protocol import Case, Step, Unsupported

BLOCK = 4  # qubits that are turned by one matmul


def build(case: Case, circuit: Layered, tile: int) -> Step:
    """The compiled step."""
    return tiled(case, _prepare(circuit, case), _tile_loss(circuit, case), tile)


class Shared(NamedTuple):
    """What all rows share."""

    params: Any
    blocks: list[list[Any]]  # of each turning layer
    phases: list[Any]  # (cos, sin) of each phase layer, or None


class Place(NamedTuple):
    """A group of neighbouring qubits that one block turns."""

    layer: int
    lowest: int
    width: int


def _prepare(circuit: Layered, case: Case) -> Callable[[jax.Array], Shared]:
    """Maps the parameters to what all rows share."""
    places = _places(circuit, case.n_qubits)
    by_width = {
        width: [place for place in places if place.width == width]
        for width in {place.width for place in places}
    }
    phase_of = _shared_phases(circuit, case)

    def prepare(params):
        made = {}
        for width, group in by_width.items():
            made |= dict(zip(group, _blocks(circuit, group, width, params), strict=True))
        blocks = [[made[p] for p in places if p.layer == k] for k in range(len(circuit.layers))]
        return Shared(params, blocks, phase_of(params))

    return prepare


def _tile_loss(circuit: Layered, case: Case) -> Callable[..., jax.Array]:
    """The part of the loss that comes from one tile of rows: columns (A, b), (2^n, b), y (b,)."""
    n = case.n_qubits
    moves = [_move(layer) if isinstance(layer, Phases) else None for layer in circuit.layers]
    places = _places(circuit, n)
    high, low = _signs(circuit.masks, n)

    def loss(shared, rows, start, y):
        # The state is (2^n, 1 or 2, b): real, or its real and its imaginary part.
        psi = start[:, None] if case.amplitudes is not None else _product(circuit, shared, rows)
        known: dict[Any, Any] = {}
        for k, layer in enumerate(circuit.layers):
            if isinstance(layer, Turns):
                here = [place for place in places if place.layer == k]
                for block, place in zip(shared.blocks[k], here, strict=True):
                    psi = _turn(block, psi, place)
                continue
            for found in (shared.phases[k], _row_phase(layer, rows, known)):
                psi = psi if found is None else _multiply(psi, *found)
            psi = moves[k](psi)
        p = (psi**2).sum(axis=1)
        halves = (high.T @ p.reshape(len(high), -1)).reshape(len(case.w), len(low), -1)
        z = jnp.einsum("olb,lo->bo", halves, low)
        return jnp.sum((z @ case.w + case.c - y) ** 2) / case.batch

    return loss


def _product(circuit: Layered, shared: Shared, rows: Any) -> jax.Array:
    """The product state with which the circuit starts: RY, RZ, RY, …, RY on every qubit."""
    first = circuit.first
    depth = max(map(len, first))
    sums = [qubit[k] if k < len(qubit) else Sum() for k in range(depth) for qubit in first]
    of_params = np.array([s.matrix_row("param", len(shared.params)) for s in sums])
    of_rows = np.array([s.matrix_row("row", len(rows)) for s in sums])
    offsets = np.array([[s.offset] for s in sums])
    angles = (of_params @ shared.params)[:, None] + of_rows @ rows + offsets
    half = (angles / 2).reshape(depth, len(first), -1)
    cos, sin = jnp.cos(half), jnp.sin(half)
    v0, v1 = cos[0], sin[0]
    for k in range(1, depth, 2):
        v0, v1 = (cos[k] - 1j * sin[k]) * v0, (cos[k] + 1j * sin[k]) * v1
        c, s = cos[k + 1], sin[k + 1]
        v0, v1 = c * v0 - s * v1, s * v0 + c * v1
    psi = _joined(jnp.stack([v0, v1], axis=1))
    return psi[:, None] if depth == 1 else jnp.stack([psi.real, psi.imag], axis=1)


def _joined(vectors: jax.Array) -> jax.Array:
    """The product (s^m, b) of m factors (m, s, b); the first factor varies fastest."""
    m, _, width = vectors.shape
    if m == 1:
        return vectors[0]
    even = m - m % 2
    pairs = vectors[1:even:2, :, None] * vectors[:even:2, None, :]
    joined = _joined(pairs.reshape(even // 2, -1, width))
    if even == m:
        return joined
    return (vectors[-1][:, None] * joined[None]).reshape(-1, width)


def _places(circuit: Layered, n: int) -> list[Place]:
    """The groups of all turning layers, in order; only as wide as the qubits that turn."""
    groups = -(-n // BLOCK)
    edges = [round(n * k / groups) for k in range(groups + 1)]
    out = []
    for k, layer in enumerate(circuit.layers):
        for begin, end in itertools.pairwise(edges):
            active = [q for q in range(begin, end) if isinstance(layer, Turns) and q in layer.gates]
            if active:
                out.append(Place(k, active[0], active[-1] + 1 - active[0]))
    return out


def _blocks(circuit: Layered, places: list[Place], width: int, params: Any) -> list[jax.Array]:
    """The matrices (2^width, 2^width) of groups of equal width, made together."""
    sums, flips = [], []
    for place in places:
        layer = circuit.layers[place.layer]
        for q in range(place.lowest, place.lowest + width):
            turn = layer.gates.get(q)
            sums.append(turn.sum if turn else Sum())
            flips.append(-1.0 if turn and turn.flipped else 1.0)
    if any(angle.kind == "row" for s in sums for angle, _ in s.terms):
        raise Unsupported("a row angle in an RY after an entangler is not foreseen")
    matrix = np.array([s.matrix_row("param", len(params)) for s in sums])
    half = (matrix @ params + np.array([s.offset for s in sums])) / 2
    c, s, f = jnp.cos(half), jnp.sin(half), np.array(flips)
    single = jnp.stack([c, -f * s, s, f * c], axis=1).reshape(len(places), width, 2, 2)
    out = single[:, 0]
    for k in range(1, width):
        size = 2 ** (k + 1)
        high, low = single[:, k, :, None, :, None], out[:, None, :, None, :]
        out = (high * low).reshape(-1, size, size)
    return list(out)


def _turn(block: jax.Array, psi: jax.Array, place: Place) -> jax.Array:
    """The block on its qubits of a state: they are brought to the front for one matmul."""
    size = 2**place.width
    split = psi.reshape(-1, size, 2**place.lowest * psi[0].size)
    front = split.swapaxes(0, 1)
    after = (block @ front.reshape(size, -1)).reshape(front.shape)
    return after.swapaxes(0, 1).reshape(psi.shape)


def _shared_phases(circuit: Layered, case: Case) -> Callable[[Any], list[Any]]:
    """Maps parameters to (cos, sin), each (2^n, 1, 1), of every phase layer's shared part."""
    n, kinds = case.n_qubits, ("param", "const")

    def phases(params):
        out = []
        for layer in circuit.layers:
            found = None
            if isinstance(layer, Phases):
                pair = _angles(layer, kinds, params[:, None])
                found = _phase(*pair, n) if pair else None
                if layer.constant is not None:
                    found = layer.constant[:, None] + (0.0 if found is None else found)
            out.append(found)
        some = [phase for phase in out if phase is not None]
        if not some:
            return out
        table = jnp.stack(some).reshape(len(some), 2**n, 1, 1)
        pairs = zip(jnp.cos(table), jnp.sin(table), strict=True)
        return [None if phase is None else next(pairs) for phase in out]

    return phases


def _angles(layer: Phases, kinds: tuple[str, ...], slots: Any) -> tuple[list[int], Any] | None:
    """Masks (K) and the coefficients (K, b) of their signs, from the values (slots, b)."""
    terms = [(a, mask, k) for (a, mask), k in layer.terms.items() if a.kind in kinds]
    if not terms:
        return None
    masks = sorted({mask for _, mask, _ in terms})
    matrix, offsets = np.zeros((len(masks), len(slots))), np.zeros((len(masks), 1))
    for angle, mask, factor in terms:
        k = masks.index(mask)
        matrix[k, angle.slot] += factor * angle.scale if angle.kind != "const" else 0.0
        offsets[k] += factor * angle.offset
    return masks, matrix @ slots + offsets


def _phase(masks: list[int], angles: jax.Array, n: int) -> jax.Array:
    """φ (2^n, b) = Σ_k angles[k] · (−1)^{parity of mask k}."""
    high, low = _signs(masks, n)
    inner = low.T[:, :, None] * angles[:, None, :]
    return (high @ inner.reshape(len(masks), -1)).reshape(2**n, -1)


def _row_phase(layer: Phases, rows: Any, known: dict[Any, Any]) -> tuple[Any, Any] | None:
    """cos and sin of the row angles' phases; a layer that repeats an earlier one costs nothing."""
    key = tuple(item for item in layer.terms.items() if item[0][0].kind == "row")
    found = _angles(layer, ("row",), rows)
    if found and key not in known:
        unit = _unit(*found, layer.n_qubits)[:, None]
        known[key] = jax.lax.optimization_barrier((unit.real, unit.imag))
    return known.get(key)


def _unit(masks: list[int], angles: jax.Array, n: int) -> jax.Array:
    """e^{iφ} (2^n, b) of many rows with few sines: mostly by products.

    With the qubits in two halves, a mask with at most one high qubit i contributes ± a phase of the
    low half, so e^{iφ} doubles qubit by qubit: for bit 0 of i times e^{iψ_i}, for bit 1 over it.
    """
    half = n // 2
    parts: dict[int, list[int]] = {}
    for k, mask in enumerate(masks):
        high = mask >> half
        low_only = mask & (2**half - 1) == 0
        parts.setdefault(-1 if low_only else high, []).append(k)
    if any(high > 0 and high & (high - 1) for high in parts):
        return jnp.exp(1j * _phase(masks, angles, n))

    def turned(high: int, shift: int, bits: int) -> jax.Array:
        chosen = parts.get(high, [])
        _, signs = _signs([masks[k] >> shift & (2**bits - 1) for k in chosen] or [0], 2 * bits)
        values = angles[np.array(chosen)] if chosen else jnp.zeros((1, angles.shape[1]))
        return jnp.exp(1j * (signs @ values))

    unit = turned(0, 0, half)[None]
    for i in range(n - half):
        step = turned(1 << i, 0, half)
        unit = jnp.concatenate([unit * step, unit * step.conj()])
    unit = unit * turned(-1, half, n - half)[:, None]
    return unit.reshape(2**n, -1)


def _multiply(psi: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
    if psi.shape[1] == 1:
        return jnp.concatenate([psi * cos, psi * sin], axis=1)
    re, im = psi[:, :1], psi[:, 1:]
    return jnp.concatenate([re * cos - im * sin, re * sin + im * cos], axis=1)


def _move(layer: Phases) -> Callable[[jax.Array], jax.Array]:
    """Sends basis states where the layer sends them; its derivative sends them back."""
    sources = layer.sources()
    if sources is None:
        return lambda psi: psi
    back = np.argsort(sources)

    def gather(psi, indices):
        return psi.at[indices].get(mode="promise_in_bounds", unique_indices=True)

    @jax.custom_vjp
    def move(psi):
        return gather(psi, sources)

    move.defvjp(lambda psi: (gather(psi, sources), None), lambda _, slope: (gather(slope, back),))
    return move


def _signs(masks: list[int], n: int) -> tuple[np.ndarray, np.ndarray]:
    """(2^⌈n/2⌉, K) and (2^⌊n/2⌋, K): state (h, l) has the sign high[h, k]·low[l, k]."""
    low = n // 2
    found = np.array(masks)

    def signs(bits: int, part: np.ndarray) -> np.ndarray:
        return 1.0 - 2.0 * (np.bitwise_count(np.arange(2**bits)[:, None] & part) % 2)

    return signs(n - low, found >> low), signs(low, found & (2**low - 1))
