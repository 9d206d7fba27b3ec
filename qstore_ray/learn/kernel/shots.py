"""A fidelity kernel from shots: how often U(y)† U(x) leaves only zeros.

S shots of that circuit see zeros a binomial number of times, with the probability |⟨ψ(y)|ψ(x)⟩|².
The number for a pair is drawn from the key and the features of the two rows alone. So a pair has
the same estimate in every block, on every worker, in a matrix and in its mirror image.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.backends.keys import DrawKey, library_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qstore_ray.types import AnyArray, ComplexArray, FloatArray

_GOLDEN, _FIRST, _SECOND = (
    np.uint64(word) for word in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


def named_rows(states: ComplexArray, x: FloatArray) -> ComplexArray:
    """States (N, 2^n) with a hash of the row's features behind them: (N, 2^n + 1)."""
    rows = np.ascontiguousarray(x, np.float64) + 0.0  # -0.0 becomes 0.0
    digests = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows]
    halves = np.frombuffer(b"".join(digests), np.uint32).reshape(-1, 2).astype(np.float64)
    return np.hstack([states, halves[:, :1] + 1j * halves[:, 1:]])


@dataclass(frozen=True)
class SampledOverlaps:
    """Estimates (N, M) of |⟨a_i|b_j⟩|² for rows of `named_rows`.

    Args:
        shots: of each pair.
        key: of all draws.
    """

    shots: int
    key: DrawKey

    def __call__(self, a: AnyArray, b: AnyArray) -> FloatArray:
        """Binomial counts over the number of shots."""
        from scipy.stats import binom

        overlaps = a[:, :-1].conj() @ b[:, :-1].T
        exact = np.clip(overlaps.real**2 + overlaps.imag**2, 0.0, 1.0)
        found: FloatArray = binom.ppf(self._uniforms(a[:, -1], b[:, -1]), self.shots, exact)
        return found / self.shots

    def _uniforms(self, a: AnyArray, b: AnyArray) -> FloatArray:
        """A number between 0 and 1 for each pair, the same for (a, b) and (b, a)."""
        first, second = (np.uint64(library_seed(self.key, word)) for word in (1, 2))
        ours, theirs = _hashes(a)[:, None], _hashes(b)[None, :]
        mixed = _mixed(_mixed((ours + theirs) ^ first) + ((ours ^ theirs) ^ second))
        return ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def _hashes(column: AnyArray) -> NDArray[np.uint64]:
    found: NDArray[np.uint64] = column.real.astype(np.uint64)
    return found | column.imag.astype(np.uint64) << np.uint64(32)


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A step of SplitMix64 (Steele, Lea & Flood 2014): each bit depends on all others."""
    words = words + _GOLDEN
    words = (words ^ words >> np.uint64(30)) * _FIRST
    words = (words ^ words >> np.uint64(27)) * _SECOND
    return words ^ words >> np.uint64(31)
