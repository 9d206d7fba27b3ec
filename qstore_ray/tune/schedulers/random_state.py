"""The seed of schedulers that draw from the global state of `random` and numpy, as Ray's do."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


class PrivateRandomState:
    """A state of `random` and of numpy's global generator, apart from everybody else's.

    Other threads that draw from the global generators at that moment draw from this one.
    """

    def __init__(self, seed: int) -> None:
        self._python = random.Random(seed).getstate()  # noqa: S311 — no secret
        self._numpy = np.random.RandomState(seed % 2**32).get_state()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Draw from this state for the time of the block."""
        python, numbers = random.getstate(), np.random.get_state()
        # gate: QS101 because Ray draws from this state, and gets one of its own for the block
        random.setstate(self._python)
        # gate: QS101 because of the same
        np.random.set_state(self._numpy)
        try:
            yield
        finally:
            self._python = random.getstate()
            self._numpy = np.random.get_state()
            # gate: QS101 because the state of the others comes back
            random.setstate(python)
            # gate: QS101 because of the same
            np.random.set_state(numbers)
