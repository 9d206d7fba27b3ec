"""Shots of known probabilities: multinomial counts, drawn by key, row and basis.

Each experiment (a row, or one trajectory of it) has its own place in the stream of a counter-based
generator, so what it draws depends on nothing that other experiments draw. Two ways give the same
law, and the faster is chosen by the numbers of shots and outcomes alone:

    few shots     S uniform numbers, sorted; an outcome is counted for each number in its interval
                  of the cumulative probabilities
    many shots    a chain of binomials, one for each outcome

A copy of a row (`DrawKey.n_rows`) draws shots of its own, as each circuit of a device does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.backends.keys import DrawKey, generator

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray, IntArray

_SHOTS = 0x5407
"""Ends the words of a key: the random errors of the same key are other draws."""
_WORDS = 4
"""Numbers that one step of the generator's counter gives."""


class ShotStream(NamedTuple):
    """The draws of one basis.

    Attributes:
        key: of the evaluation.
        basis: its number.
        shots: (T,) of each trajectory of a row, the most first.
        n_rows: different rows; there may be several copies of them, one after another.
    """

    key: DrawKey
    basis: int
    shots: IntArray
    n_rows: int

    def of(self, first: int, last: int) -> IntArray:
        """Shots of the experiments from `first` to `last`; row i has those from i · T."""
        return self.shots[np.arange(first, last) % len(self.shots)]

    def sorted_uniforms(self, first: int, last: int) -> FloatArray:
        """Sorted numbers of the experiments (last − first, S); missing shots are 2."""
        most = int(self.shots[0])
        width = -(-most // _WORDS) * _WORDS
        parts = [
            generator(self._key, place + number * (width // _WORDS)).random((count, width))
            for place, number, count in self._pieces(first, last)
        ]
        found = (parts[0] if len(parts) == 1 else np.concatenate(parts))[:, :most]
        if most > self.shots[-1]:
            found[self.of(first, last) < most, -1] = 2.0
        found.sort(axis=1)
        return found

    def multinomials(self, first: int, probabilities: FloatArray) -> IntArray:
        """Counts (E, K) of the experiments from `first`."""
        last = first + len(probabilities)
        shots = self.of(first, last)
        found = np.empty(probabilities.shape, np.int64)
        done = 0
        for place, number, count in self._pieces(first, last):
            for k in range(number, number + count):
                random = generator(self._key, place + (k << 64))
                found[done] = random.multinomial(shots[done], probabilities[done])
                done += 1
        return found

    @property
    def _key(self) -> DrawKey:
        return self.key.and_also(_SHOTS)

    def _pieces(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """Runs of experiments of one copy: counter of the copy, first number and how many."""
        of_copy = self.n_rows * len(self.shots)
        while first < last:
            copy, within = divmod(first, of_copy)
            count = min(last - first, of_copy - within)
            number = self.key.first_row * len(self.shots) + within
            yield (self.basis << 192) | (copy << 128), number, count
            first += count


def counts_of(stream: ShotStream, first: int, probabilities: FloatArray) -> IntArray:
    """How often each of K outcomes is seen (E, K) in the experiments from `first`.

    Args:
        probabilities: (E, K), which add up to about 1.
    """
    upper = _upper_ends(probabilities)
    if _are_many(stream, upper):
        return stream.multinomials(first, np.diff(upper, prepend=0.0, axis=1))
    below = np.empty(upper.shape, np.int64)
    uniforms = stream.sorted_uniforms(first, first + len(upper))
    for row, (numbers, ends) in enumerate(zip(uniforms, upper, strict=True)):
        below[row] = numbers.searchsorted(ends)
    return np.diff(below, prepend=0, axis=1)


def distinct_outcomes(
    stream: ShotStream, first: int, probabilities: FloatArray
) -> Iterator[tuple[IntArray, IntArray]]:
    """The outcomes that are seen in each experiment, and how often; for many outcomes."""
    upper = _upper_ends(probabilities)
    if _are_many(stream, upper):
        for counts in stream.multinomials(first, np.diff(upper, prepend=0.0, axis=1)):
            seen = np.flatnonzero(counts)
            yield seen, counts[seen]
        return
    last = first + len(upper)
    uniforms = stream.sorted_uniforms(first, last)
    for numbers, ends, shots in zip(uniforms, upper, stream.of(first, last), strict=True):
        outcomes = ends.searchsorted(numbers[:shots], side="right")
        starts = np.flatnonzero(np.diff(outcomes, prepend=-1))
        yield outcomes[starts], np.diff(starts, append=shots)


def _upper_ends(probabilities: FloatArray) -> FloatArray:
    """Cumulative probabilities (E, K); the last is 1."""
    found: FloatArray = probabilities.cumsum(axis=1)
    found /= found[:, -1:]
    return found


def _are_many(stream: ShotStream, upper: FloatArray) -> bool:
    """Whether a binomial for each outcome costs less than a number for each shot (measured)."""
    return bool(stream.shots[0] > 1024 + 6 * upper.shape[1])
