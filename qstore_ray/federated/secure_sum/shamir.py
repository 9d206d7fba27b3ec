"""Shamir's secret sharing over the field of 2⁵²¹ − 1: t shares give a secret, t − 1 nothing.

The secret is the value at 0 of a random polynomial of degree t − 1; share i is its value at i.
Polynomials of several secrets lie side by side in one long number, so Horner's rule evaluates all
of them at once, and reduces only once in a while.
"""

from __future__ import annotations

import secrets as generator
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Final

from qstore_ray.errors import RunError

BITS: Final = 521
PRIME: Final = 2**BITS - 1
SECRET_BYTES: Final = 32
SHARE_BYTES: Final = 66
_STRIDE: Final = 32
"""Steps of Horner's rule between two reductions."""


def split(
    secrets: Sequence[bytes], points: Sequence[int], threshold: int
) -> dict[int, tuple[bytes, ...]]:
    """Shares of each secret of 32 bytes for each point (1, 2, …), of which `threshold` give it."""
    assert all(len(secret) == SECRET_BYTES for secret in secrets), "a secret has 32 bytes"
    assert 0 not in points, "the value at 0 is the secret"
    assert 1 <= threshold <= len(points), "enough shares must exist"
    width = BITS + (_STRIDE + 1) * max(points).bit_length()
    offsets = [width * place for place in range(len(secrets))]
    drawn = generator.token_bytes(SHARE_BYTES * len(secrets) * (threshold - 1))
    numbers = iter(  # 521 bits each: 2⁵²¹ − 1, which is 0, has the chance 2⁻⁵²¹
        int.from_bytes(drawn[at : at + SHARE_BYTES], "big") & PRIME
        for at in range(0, len(drawn), SHARE_BYTES)
    )
    packed = [sum(next(numbers) << offset for offset in offsets) for _ in range(threshold - 1)]
    packed.append(
        sum(
            int.from_bytes(secret, "big") << at for secret, at in zip(secrets, offsets, strict=True)
        )
    )
    blocks = [packed[at : at + _STRIDE] for at in range(0, threshold, _STRIDE)]
    return {point: _shares_at(point, blocks, offsets, (1 << width) - 1) for point in points}


def _shares_at(
    point: int, blocks: Sequence[Sequence[int]], offsets: Sequence[int], lane: int
) -> tuple[bytes, ...]:
    """The values of all polynomials at a point; the highest coefficients come first."""
    value, found = 0, [0]
    for block in blocks:
        for coefficients in block:
            value = value * point + coefficients
        found = [((value >> offset) & lane) % PRIME for offset in offsets]
        value = sum(each << offset for each, offset in zip(found, offsets, strict=True))
    return tuple(each.to_bytes(SHARE_BYTES, "big") for each in found)


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
    points = tuple(sorted(shares)[:threshold])
    secret = sum(
        int.from_bytes(shares[point], "big") * weight
        for point, weight in zip(points, _weights(points), strict=True)
    )
    secret %= PRIME
    if secret >= 2 ** (8 * SECRET_BYTES):
        raise RunError(
            "shares of a mask do not fit each other, so a client sent a wrong one",
            field="secure_sum",
            fix="Repeat the round; its sum is given up.",
        )
    return secret.to_bytes(SECRET_BYTES, "big")


@lru_cache(maxsize=256)
def _weights(points: tuple[int, ...]) -> tuple[int, ...]:
    """Lagrange's weights at 0, Π_{j≠i} x_j / (x_j − x_i); one inversion for all of them."""
    bottoms = [x * prod(other - x for other in points if other != x) % PRIME for x in points]
    before = [1]
    for bottom in bottoms:
        before.append(before[-1] * bottom % PRIME)
    inverse, found = prod(points) * pow(before[-1], -1, PRIME) % PRIME, []
    for place in range(len(points) - 1, -1, -1):
        found.append(inverse * before[place] % PRIME)
        inverse = inverse * bottoms[place] % PRIME
    return tuple(reversed(found))
