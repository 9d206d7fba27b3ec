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
        words = self._words("noise", step, _DRAWS * (size + size % 2), np.dtype("<u8"))
        pairs = words.reshape(_DRAWS, 2, -1) >> np.uint64(11)  # 53 bits each
        radius = np.sqrt(-2.0 * np.log((pairs[:, 0] + 1.0) * _TWO_53))  # of numbers in (0, 1]
        angle = (2.0 * math.pi * _TWO_53) * pairs[:, 1]
        sums = ((radius * of(angle)).sum(axis=0) for of in (np.cos, np.sin))
        summed: FloatArray = np.concatenate(tuple(sums))[:size] / math.sqrt(_DRAWS)
        return summed

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
        joins[ties] = self._words("ties", step, len(ties), np.dtype("<u8")) < np.uint64(rest)
        return np.flatnonzero(joins)

    def _words(self, purpose: str, step: int, count: int, kind: Any) -> AnyArray:
        text = self.secret + purpose.encode().ljust(8, b"\0") + step.to_bytes(8, "little")
        return np.frombuffer(hashlib.shake_256(text).digest(count * kind.itemsize), kind)
