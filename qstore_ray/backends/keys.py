"""Random numbers that depend on what they are for, never on who draws them or in which order."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray


class DrawKey(NamedTuple):
    """Names the draws of one evaluation.

    Attributes:
        words: integers: run, purpose, epoch, step, ….
        first_row: number of the evaluation's first row in the batch: row i of a part of the batch
            draws what row `first_row + i` of the whole batch draws.
        n_rows: how many different rows there are, if the evaluation repeats them: row i has the
            random errors of row i mod n_rows. So the shifted copies of a row have the same errors,
            and the difference of their values is a derivative. Each copy draws its own shots.
        part, parts: which of the workers' parts of the batch this evaluation is, and how many
            there are: a gateway to hardware puts them into one job. They name no draws.

    Examples:
        key = DrawKey((1, 2)).and_also(7)  # run 1, epoch 2, and a purpose
        assert key.words == (1, 2, 7)
    """

    words: tuple[int, ...]
    first_row: int = 0
    n_rows: int | None = None
    part: int = 0
    parts: int | None = None

    def and_also(self, *words: int) -> DrawKey:
        """The key with more words."""
        return self._replace(words=(*self.words, *words))


class KeyedBackend:
    """A backend whose draws are named once: every evaluation draws from the same key.

    For scoring, where one evaluation has all rows. What it computes can be computed again.
    """

    def __init__(self, backend: Any, key: DrawKey) -> None:
        self.backend, self.key = backend, key
        self.name = str(backend.name)

    def check(self, *arguments: Any) -> None:
        """See `Backend.check`."""
        self.backend.check(*arguments)

    def evaluate(self, *arguments: Any, **options: Any) -> Any:
        """See `Backend.evaluate`."""
        return self.backend.evaluate(*arguments, **{"key": self.key, **options})

    def from_row(self, first: int) -> KeyedBackend:
        """The backend for a part of the rows, whose first one has the number `first` among all."""
        return KeyedBackend(self.backend, self.key._replace(first_row=first))


SCORING = DrawKey((0, 2))


def for_scoring(backend: Any, key: DrawKey = SCORING) -> Any:
    """The backend that scores rows: one whose values are random has its draws named by `key`.

    So its shots and random errors are the same in every call.
    """
    if not getattr(backend, "draws", False):
        return backend
    scoring = backend.for_testing() if hasattr(backend, "for_testing") else backend
    return KeyedBackend(scoring, key)


def from_row(backend: Any, first: int) -> Any:
    """The backend for a part of the rows that one evaluation of `for_scoring` would have."""
    return backend.from_row(first) if isinstance(backend, KeyedBackend) else backend


def generator(key: DrawKey, counter: int) -> np.random.Generator:
    """The generator of a key, `counter` steps of four 64-bit numbers after its beginning.

    It is Philox (Salmon et al. 2011, SC11), which computes its n-th number from the key and n.
    """
    return np.random.Generator(np.random.Philox(key=philox_key(key.words), counter=counter))


def library_seed(key: DrawKey, *words: int) -> int:
    """A seed below 2^63 for the generator of another library, hashed from the key and more words.

    Seeds that follow each other are not safe everywhere: shot i of seed s may be drawn from seed
    s + i. Hashed ones are far apart.
    """
    all_words = (*key.words, *words)
    sequence = np.random.SeedSequence((len(all_words), *all_words))
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


@lru_cache(maxsize=256)
def philox_key(words: tuple[int, ...]) -> AnyArray:
    """The key (2,) of the generator for the words of a `DrawKey`."""
    # A SeedSequence would take ten times as long, of a step that takes little more.
    digest = hashlib.blake2b(repr([int(word) for word in words]).encode(), digest_size=16).digest()
    return np.frombuffer(digest, np.uint64)
