"""Gradients in fewer bytes, with error feedback.

A compression makes a vector v (P,) shorter, to c(v), and adds c(v) up over the workers. With the
residual r of the step before, worker w sends c(g + r) and keeps

    r ← (g + r) − c(g + r)

Both compressions keep numbers of which the difference is exact in double precision: what was sent
plus the residual is g + r to the last bit, so nothing of a gradient is ever lost, only late.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from qstore_ray.learn.distributed.config import CompressionConfig

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

_LEVELS = 127
_LOWEST = -1074  # exponent of the smallest double
_NOT_A_NUMBER = 1100  # exponent that stands for a vector with NaN or ∞


class SumsOfWorkers(Protocol):
    """The part of a `Reducer` that is needed here."""

    rank: int
    world_size: int

    def all_reduce(self, values: Any) -> Any:
        """Σ over workers of an array of one shape and type, the same on every worker."""
        ...


class Sent(NamedTuple):
    """A compressed sum.

    Attributes:
        own: what this worker sent, as a vector (P,). total: Σ of it over workers (P,).
        n_bytes: that this worker handed over.
    """

    own: FloatArray
    total: FloatArray
    n_bytes: int


class GradientCompression(Protocol):
    """Sends a part of a vector. Used in every worker, by all in the same order."""

    def add_up(self, values: FloatArray, sums: SumsOfWorkers) -> Sent:
        """Σ over workers of what is sent of each worker's values (P,)."""
        ...


class TopK:
    """The numbers of largest magnitude, as 32-bit floats beside their places.

    Args:
        keep: share of the numbers that is sent, at least one.
    """

    def __init__(self, keep: float) -> None:
        self._keep = keep

    def add_up(self, values: FloatArray, sums: SumsOfWorkers) -> Sent:
        """One all-reduce of W · k words of 64 bits, of which each worker fills its own k."""
        count = min(len(values), max(1, round(self._keep * len(values))))
        size = np.abs(values)
        size[np.isnan(size)] = np.inf  # sent, so that every worker sees it
        places = np.sort(np.argsort(-size, kind="stable")[:count])
        words = np.zeros((sums.world_size, count), np.int64)
        words[sums.rank] = _words(places, _short(values[places]))
        received: AnyArray = sums.all_reduce(words)
        total = np.zeros(len(values))
        for row in received:  # in the order of ranks
            total[row >> 32] += _numbers(row)
        own = np.zeros(len(values))
        own[places] = _numbers(words[sums.rank])
        return Sent(own, total, words.nbytes)


class EightBits:
    """All numbers as multiples from −127 to 127 of one power of two, the least that fits all."""

    def add_up(self, values: FloatArray, sums: SumsOfWorkers) -> Sent:
        """Two all-reduces: of W exponents, then of P whole numbers of 16 bits."""
        exponents = np.zeros(sums.world_size, np.int64)
        exponents[sums.rank] = _exponent(values)
        exponent = int(sums.all_reduce(exponents).max())
        if exponent >= _NOT_A_NUMBER:
            return Sent(np.zeros(len(values)), np.full(len(values), np.nan), exponents.nbytes)
        kind = np.int16 if sums.world_size * _LEVELS < 2**15 else np.int32
        levels = np.rint(np.ldexp(values, -exponent)).astype(kind)
        total = sums.all_reduce(levels)
        n_bytes = exponents.nbytes + levels.nbytes
        return Sent(_scaled(levels, exponent), _scaled(total, exponent), n_bytes)


def get_compression(config: CompressionConfig) -> GradientCompression:
    """The compression of this configuration, which must have one."""
    assert config.is_used, "asked for only if something is compressed"
    return TopK(config.keep) if config.method == "top_k" else EightBits()


def fed_back(
    compression: GradientCompression,
    values: FloatArray,
    residual: FloatArray,
    sums: SumsOfWorkers,
) -> tuple[Sent, FloatArray]:
    """What is sent of `values` + `residual` (P,), and the next residual (P,)."""
    wanted = values + residual
    sent = compression.add_up(wanted, sums)
    return sent, wanted - sent.own


def _short(values: FloatArray) -> Any:
    """As 32-bit floats; a finite number stays finite."""
    most = float(np.finfo(np.float32).max)
    finite = np.clip(values, -most, most)
    return np.where(np.isfinite(values), finite, values).astype(np.float32)


def _words(places: AnyArray, numbers: Any) -> AnyArray:
    words: AnyArray = (places.astype(np.int64) << 32) | numbers.view(np.uint32).astype(np.int64)
    return words


def _numbers(words: AnyArray) -> FloatArray:
    found: FloatArray = (words & 0xFFFFFFFF).astype(np.uint32).view(np.float32).astype(np.float64)
    return found


def _exponent(values: FloatArray) -> int:
    """The least e with |v| ≤ 127 · 2^e for all numbers v."""
    largest = float(np.abs(values).max(initial=0.0))
    if not np.isfinite(largest):
        return _NOT_A_NUMBER
    if largest == 0.0:
        return _LOWEST
    share, power = math.frexp(largest)  # share · 2^power; a quotient by 127 could vanish
    return max(power - 7 + (share > _LEVELS / 128), _LOWEST)


def _scaled(levels: AnyArray, exponent: int) -> FloatArray:
    found: FloatArray = np.ldexp(levels.astype(np.float64), exponent)
    return found
