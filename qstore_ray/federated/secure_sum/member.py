"""A client's side of a secure sum: it answers four questions, each once and in order.

What it is asked comes from a server that it does not trust with its vector. So it refuses lists
that are too short, that leave it out, or that grow, and it reveals for each other client either the
share of that client's own mask or the share of its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.errors import RunError
from qstore_ray.federated.secure_sum import crypto
from qstore_ray.federated.secure_sum.fixed_point import encoded
from qstore_ray.federated.secure_sum.shamir import SHARE_BYTES, split

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray


class PublicKeys(NamedTuple):
    """What a client publishes: a key for messages to it, and one for the masks that it shares."""

    message: bytes
    masking: bytes


class OpenedShares(NamedTuple):
    """A client's last answer, by the clients that the shares are of.

    Attributes:
        own: of the own masks of those that sent their input. keys: of the keys of those that left.
    """

    own: Mapping[int, bytes]
    keys: Mapping[int, bytes]


class SumMember:
    """One client in one sum.

    Args:
        number: its number, from 1; the same in all messages. session: names this sum, never reused.
        threshold: t, how many clients must stay.
    """

    def __init__(self, number: int, session: bytes, threshold: int) -> None:
        self.number, self._session, self._threshold = number, session, threshold
        self._message, self._masking = crypto.new_secret(), crypto.new_secret()
        self._own = crypto.new_secret()
        self._keys: dict[int, PublicKeys] = {}
        self._shares: dict[int, tuple[bytes, bytes]] = {}
        self._asked = 0

    def keys(self) -> PublicKeys:
        """Message 0: its public keys."""
        self._next(1)
        return PublicKeys(crypto.public_key(self._message), crypto.public_key(self._masking))

    def shares(self, keys: Mapping[int, PublicKeys]) -> dict[int, bytes]:
        """Message 1: for each other client, sealed shares of its key and of its own mask.

        Args:
            keys: of all clients, by their numbers.

        Raises:
            RunError: too few clients, it is left out, or two have the same keys.
        """
        self._next(2)
        mine = PublicKeys(crypto.public_key(self._message), crypto.public_key(self._masking))
        self._check(keys.keys())
        published = [key for pair in keys.values() for key in pair]
        if keys[self.number] != mine or len(set(published)) != len(published):
            raise _refusal_error("the list of keys is not the one that clients published")
        self._keys = dict(keys)
        of_key = split(self._masking, list(keys), self._threshold)
        of_own = split(self._own, list(keys), self._threshold)
        self._shares[self.number] = (of_key[self.number], of_own[self.number])
        return {
            other: crypto.sealed(
                self._sealing_key(other), of_key[other] + of_own[other],
                self._about(self.number, other),
            )
            for other in keys if other != self.number
        }  # fmt: skip

    def masked(self, vector: FloatArray, shares: Mapping[int, bytes]) -> AnyArray:
        """Message 2: its vector (P,) under its masks, uint64 (P,).

        Args:
            shares: what the others sealed for it, by their numbers.

        Raises:
            RunError: too few others, or a changed message. DataError: a value that does not fit.
        """
        self._next(3)
        self._check({*shares, self.number})
        for other, message in shares.items():
            found = crypto.opened(
                self._sealing_key(other), message, self._about(other, self.number)
            )
            if len(found) != 2 * SHARE_BYTES:
                raise _refusal_error("a client sent shares of the wrong length")
            self._shares[other] = (found[:SHARE_BYTES], found[SHARE_BYTES:])
        total = encoded(vector, len(self._keys)) + crypto.mask(self._own, len(vector))
        for other in shares:
            total = total + self._pair_mask(other, len(vector))
        return total

    def unmask(self, stayed: frozenset[int]) -> OpenedShares:
        """Message 3: shares of the own masks of `stayed`, and of the keys of all others.

        Raises:
            RunError: too few clients, or clients that were not in message 2.
        """
        self._next(4)
        self._check(stayed)
        if not stayed <= self._shares.keys():
            raise _refusal_error("the list of clients that stayed has grown")
        left = self._shares.keys() - stayed
        return OpenedShares(
            {other: self._shares[other][1] for other in stayed},
            {other: self._shares[other][0] for other in left},
        )

    def _next(self, number: int) -> None:
        """Answer each question once, so that nobody gets both kinds of a client's shares."""
        if self._asked != number - 1:
            raise _refusal_error("a question of a secure sum comes once, and in order")
        self._asked = number

    def _check(self, clients: object) -> None:
        found = set(clients)  # type: ignore[call-overload]  # of numbers, in any container
        if len(found) < self._threshold or self.number not in found:
            raise _refusal_error(
                f"{len(found)} clients are fewer than the threshold, or leave me out"
            )
        if self._keys and not found <= self._keys.keys():
            raise _refusal_error("the list of clients has grown")

    def _sealing_key(self, other: int) -> bytes:
        return crypto.agreed_key(
            self._message, self._keys[other].message, b"shares " + self._session
        )

    def _pair_mask(self, other: int, length: int) -> AnyArray:
        key = crypto.agreed_key(self._masking, self._keys[other].masking, b"mask " + self._session)
        return signed_mask(self.number, other, key, length)

    def _about(self, sender: int, receiver: int) -> bytes:
        return self._session + sender.to_bytes(4, "big") + receiver.to_bytes(4, "big")


def signed_mask(number: int, other: int, key: bytes, length: int) -> AnyArray:
    """The mask of a pair as client `number` adds it: the other one adds its negative."""
    found = crypto.mask(key, length)
    return found if number < other else np.zeros(length, np.uint64) - found


def _refusal_error(said: str) -> RunError:
    return RunError(
        f"a client refuses a secure sum: {said}", field="secure_sum",
        fix="Repeat the round with the clients that are there.",
    )  # fmt: skip
