"""The server's side of a secure sum: it passes messages on, and takes the masks off their sum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.errors import RunError
from qstore_ray.federated.secure_sum import crypto
from qstore_ray.federated.secure_sum.fixed_point import decoded
from qstore_ray.federated.secure_sum.member import OpenedShares, PublicKeys, signed_mask
from qstore_ray.federated.secure_sum.shamir import combine

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray


class SumCollector:
    """Collects one sum.

    Args:
        session: names this sum. threshold: t. length: P.
    """

    def __init__(self, session: bytes, threshold: int, length: int) -> None:
        self._session, self._threshold, self._length = session, threshold, length
        self._keys: dict[int, PublicKeys] = {}
        self._sealed: dict[int, Mapping[int, bytes]] = {}
        self._inputs: dict[int, AnyArray] = {}

    def add_keys(self, number: int, keys: PublicKeys) -> None:
        """Take message 0 of a client."""
        self._keys[number] = keys

    def all_keys(self) -> dict[int, PublicKeys]:
        """The keys of all clients, for each of them.

        Raises:
            RunError: fewer than t clients.
        """
        self._check(len(self._keys))
        return dict(self._keys)

    def add_shares(self, number: int, sealed: Mapping[int, bytes]) -> None:
        """Take message 1 of a client."""
        self._sealed[number] = sealed

    def shares_for(self, number: int) -> dict[int, bytes]:
        """What the others sealed for a client.

        Raises:
            RunError: fewer than t clients.
        """
        self._check(len(self._sealed))
        return {other: sealed[number] for other, sealed in self._sealed.items() if other != number}

    def add_input(self, number: int, masked: AnyArray) -> None:
        """Take message 2 of a client.

        Raises:
            RunError: it is no masked vector.
        """
        if masked.dtype != np.uint64 or masked.shape != (self._length,):
            raise RunError(
                f"client {number} sent no masked vector of {self._length} numbers",
                field="secure_sum",
                value=(str(masked.dtype), masked.shape),
                fix="Exclude it from the next round.",
            )
        self._inputs[number] = masked

    def stayed(self) -> frozenset[int]:
        """The clients that sent their input, for each of them.

        Raises:
            RunError: fewer than t.
        """
        self._check(len(self._inputs))
        return frozenset(self._inputs)

    def total(self, opened: Mapping[int, OpenedShares]) -> FloatArray:
        """The sum (P,) of the vectors of all clients that stayed.

        Args:
            opened: message 3 of at least t clients.

        Raises:
            RunError: fewer than t of them, or a wrong share.
        """
        self._check(len(opened))
        total = np.zeros(self._length, np.uint64)
        for masked in self._inputs.values():
            total = total + masked
        for number in self._inputs:
            own = self._secret({u: f.own[number] for u, f in opened.items() if number in f.own})
            total = total - crypto.mask(own, self._length)
        for number in self._sealed.keys() - self._inputs.keys():
            key = self._secret({u: f.keys[number] for u, f in opened.items() if number in f.keys})
            if crypto.public_key(key) != self._keys[number].masking:
                raise RunError(
                    "the shares of a client that left do not give its key", field="secure_sum",
                    fix="Repeat the round; its sum is given up.",
                )  # fmt: skip
            for other in self._inputs:
                pair = crypto.agreed_key(key, self._keys[other].masking, b"mask " + self._session)
                total = total - signed_mask(other, number, pair, self._length)
        return decoded(total)

    def _secret(self, shares: Mapping[int, bytes]) -> bytes:
        return combine(shares, self._threshold)

    def _check(self, found: int) -> None:
        if found < self._threshold:
            raise RunError(
                f"{found} clients are left of a secure sum that needs {self._threshold}, so it is "
                "given up",
                field="secure_sum.threshold",
                value=self._threshold,
                fix="Ask more clients in a round, or lower the threshold (above half of them).",
            )
