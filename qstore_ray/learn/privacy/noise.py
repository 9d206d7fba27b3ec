"""A secret key, and the random numbers of a private training that it decides.

What protects a row is that nobody can guess the noise, nor which rows joined a step. So both come
from a key of 256 bits that the operating system draws, not from the seed of the run, which its
record has. SHAKE-256 of the key, a purpose and the step is the source of the bits. It is a pure
function, so a step that is taken again after a crash has the same rows and the same noise, gives
the same numbers, and spends nothing twice.

Whoever has the key can subtract the noise. It stays beside the checkpoints while a run is under
way and is deleted when the run is finished.

A sum of four normal numbers, halved, is a normal number whose last bits do not give the noise away
as those of a single one may (Holohan & Braghin 2021, arXiv:2107.10138; Mironov 2012 for the
attack).
"""

from __future__ import annotations

import hashlib
import math
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray, IntArray

KEY_BYTES: Final = 32
_DRAWS: Final = 4
_TWO_53: Final = 2.0**-53


@dataclass(frozen=True, repr=False)
class NoiseKey:
    """The secret of one run: 32 bytes. It is not shown, and not logged.

    Examples:
        key = NoiseKey.drawn()
        assert (key.normal(7, 3) == key.normal(7, 3)).all()
        assert (key.normal(7, 3) != key.normal(8, 3)).all()
    """

    secret: bytes

    def __post_init__(self) -> None:
        assert len(self.secret) == KEY_BYTES, "a key has 32 bytes"

    def __repr__(self) -> str:
        return "NoiseKey(…)"

    @classmethod
    def drawn(cls) -> Self:
        """A new key from the operating system's generator."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def for_tests(cls, seed: int) -> Self:
        """The key of a seed: repeatable, therefore not secret. It protects nobody."""
        return cls(hashlib.sha256(f"qstore_ray noise for tests {seed}".encode()).digest())

    @property
    def digest(self) -> bytes:
        """What identifies the key without giving it away: 32 bytes."""
        return hashlib.sha256(b"qstore_ray digest" + self.secret).digest()

    def normal(self, step: int, size: int) -> FloatArray:
        """Independent standard normal numbers (size,) of this step."""
        found: FloatArray = self.normals(range(step, step + 1), size)[0]
        return found

    def normals(self, steps: range, size: int) -> FloatArray:
        """`normal` of several steps (steps, size), with the same bits: cheaper than one by one."""
        count = _DRAWS * (size + size % 2)
        drawn = b"".join(self._bytes("noise", step, 8 * count) for step in steps)
        pairs = np.frombuffer(drawn, np.dtype("<u8")).reshape(len(steps), _DRAWS, 2, -1)
        pairs = pairs >> np.uint64(11)  # 53 bits each
        radius = pairs[:, :, 0] + 1.0
        radius *= _TWO_53
        np.log(radius, out=radius)  # of numbers in (0, 1]
        radius *= -2.0
        np.sqrt(radius, out=radius)
        angle = (2.0 * math.pi * _TWO_53) * pairs[:, :, 1]
        sums = ((radius * of(angle)).sum(axis=1) for of in (np.cos, np.sin))
        summed: FloatArray = np.concatenate(tuple(sums), axis=1)[:, :size]
        return summed / math.sqrt(_DRAWS)

    def joined(self, step: int, n_rows: int, sample_rate: float) -> IntArray:
        """The rows, of `n_rows`, that join this step: each with probability q by a coin of its own.

        A coin is 16 bits; where they equal those of q, 64 more decide. No floating-point function
        is involved, so all machines draw the same rows.

        Args:
            sample_rate: q in (0, 1], taken to 2⁻⁸⁰.
        """
        if sample_rate >= 1.0:
            return np.arange(n_rows)
        scaled = sample_rate * 2.0**16
        first, rest = int(scaled), int((scaled - int(scaled)) * 2.0**64)
        coins = self._words("rows", step, n_rows, np.dtype("<u2"))
        joins = coins < first
        ties = np.flatnonzero(coins == first)
        if len(ties):
            joins[ties] = self._words("ties", step, len(ties), np.dtype("<u8")) < np.uint64(rest)
        return np.flatnonzero(joins)

    def _words(self, purpose: str, step: int, count: int, kind: Any) -> AnyArray:
        return np.frombuffer(self._bytes(purpose, step, count * kind.itemsize), kind)

    def _bytes(self, purpose: str, step: int, count: int) -> bytes:
        text = self.secret + purpose.encode().ljust(8, b"\0") + step.to_bytes(8, "little")
        return hashlib.shake_256(text).digest(count)
