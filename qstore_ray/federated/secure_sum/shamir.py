"""Shamir's secret sharing over the field of 2⁵²¹ − 1: t shares give a secret, t − 1 nothing.

The secret is the value at 0 of a random polynomial of degree t − 1; share i is its value at i.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from qstore_ray.errors import RunError

PRIME: Final = 2**521 - 1
SECRET_BYTES: Final = 32
SHARE_BYTES: Final = 66


def split(secret: bytes, points: Sequence[int], threshold: int) -> dict[int, bytes]:
    """A share of a secret of 32 bytes for each point (1, 2, …), of which `threshold` give it."""
    assert len(secret) == SECRET_BYTES, "a secret has 32 bytes"
    assert 0 not in points, "the value at 0 is the secret"
    assert 1 <= threshold <= len(points), "enough shares must exist"
    coefficients = [int.from_bytes(secret, "big")]
    coefficients += [secrets.randbelow(PRIME) for _ in range(threshold - 1)]
    shares = {}
    for point in points:
        value = 0
        for coefficient in reversed(coefficients):
            value = (value * point + coefficient) % PRIME
        shares[point] = value.to_bytes(SHARE_BYTES, "big")
    return shares


def combine(shares: Mapping[int, bytes], threshold: int) -> bytes:
    """The secret, from shares by their points.

    Raises:
        RunError: fewer than `threshold` shares, or shares that are not of one secret.
    """
    if len(shares) < threshold:
        raise RunError(
            "too few shares to open a mask",
            field="secure_sum.threshold",
            value=len(shares),
            fix=f"{threshold} clients must stay until the end of a round.",
        )
    points = sorted(shares)[:threshold]
    secret = 0
    for point in points:
        top, bottom = 1, 1
        for other in points:
            if other != point:
                top = top * other % PRIME
                bottom = bottom * (other - point) % PRIME
        weight = top * pow(bottom, -1, PRIME)
        secret = (secret + int.from_bytes(shares[point], "big") * weight) % PRIME
    if secret >= 2 ** (8 * SECRET_BYTES):
        raise RunError(
            "shares of a mask do not fit each other, so a client sent a wrong one",
            field="secure_sum",
            fix="Repeat the round; its sum is given up.",
        )
    return secret.to_bytes(SECRET_BYTES, "big")
