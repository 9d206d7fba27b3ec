"""A client's side of a secure sum: it answers four questions, each once and in order.

What it is asked comes from a server that it does not trust with its vector. So it refuses lists
that are too short, that leave it out, or that grow, and it reveals for each other client either the
share of that client's own mask or the share of its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from qstore_ray.errors import RunError
from qstore_ray.federated.secure_sum import crypto
from qstore_ray.federated.secure_sum.crypto import PairKeys
from qstore_ray.federated.secure_sum.fixed_point import encoded
from qstore_ray.federated.secure_sum.graph import SumGraph
from qstore_ray.federated.secure_sum.shamir import SHARE_BYTES, split

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray


_ADDRESS: Final = Struct(">II")


class SealedShares(NamedTuple):
    """A client's second answer.

    Attributes:
        shares: of its two secrets, sealed for each neighbour that holds them.
        masks: the keys of the masks that it shares with its neighbours, in the order of their
            numbers, sealed with the first of the secrets. The server opens them if it leaves.
    """

    shares: Mapping[int, bytes]
    masks: bytes


class OpenedShares(NamedTuple):
    """A client's last answer, by the clients that the shares are of.

    Attributes:
        own: of the own masks of those that sent their input. keys: of what opens the masks with
            those that left. unreadable: neighbours whose sealed shares it could not open.
    """

    own: Mapping[int, bytes]
    keys: Mapping[int, bytes]
    unreadable: tuple[int, ...] = ()


class SumMember:
    """One client in one sum.

    Args:
        number: its number, from 1; the same in all messages. session: names this sum, never reused.
        threshold: how many clients of the sum must stay.
    """

    def __init__(self, number: int, session: bytes, threshold: int) -> None:
        self.number, self._session, self._threshold = number, session, threshold
        self._secret = crypto.exchange_key()
        self._opener, self._own = crypto.new_secret(), crypto.new_secret()
        self._graph = SumGraph(0, 0, 0)
        self._pairs: dict[int, PairKeys] = {}
        self._shares: dict[int, tuple[bytes, bytes]] = {}
        self._unreadable: list[int] = []
        self._asked = 0

    def keys(self) -> bytes:
        """Message 0: its public key."""
        self._next(1)
        return crypto.public_key(self._secret)

    def shares(self, keys: Mapping[int, bytes], graph: SumGraph) -> SealedShares:
        """Message 1: shares of its two secrets for each neighbour, and the keys of its masks.

        Args:
            keys: of its neighbours and its own, by their numbers.

        Raises:
            RunError: too few clients, it is left out, or two have the same key.
        """
        self._next(2)
        self._check_keys(keys, graph)
        self._graph = graph
        others = sorted(keys.keys() - {self.number})
        self._pairs = {
            other: crypto.pair_keys(self._secret, keys[other], self._pair(other))
            for other in others
        }
        dealt = split((self._opener, self._own), sorted(keys), graph.threshold)
        of_opener, of_own = dealt[self.number]
        self._shares[self.number] = (of_opener, of_own)
        messages = {
            other: crypto.sealed(
                self._pairs[other].sealing, b"".join(dealt[other]), self._about(self.number, other)
            )
            for other in others
        }
        known = b"".join(self._pairs[other].masking for other in others)
        return SealedShares(
            messages, crypto.sealed(self._opener, known, self._about(self.number, 0))
        )

    def masked(self, vector: FloatArray, shares: Mapping[int, bytes]) -> AnyArray:
        """Message 2: its vector (P,) under its masks, uint64 (P,).

        Args:
            shares: what its neighbours sealed for it, by their numbers.

        Raises:
            RunError: too few others. DataError: a value that does not fit.
        """
        self._next(3)
        self._check_holders({*shares, self.number})
        for other, message in shares.items():
            if found := self._opened(other, message):
                self._shares[other] = found
            else:
                self._unreadable.append(other)
        masks = crypto.Masks(len(vector))
        total = encoded(vector, self._graph.clients)
        total += masks.of(self._own)
        for other in shares:
            add_mask(total, masks.of(self._pairs[other].masking), self.number < other)
        return total

    def unmask(self, stayed: frozenset[int]) -> OpenedShares:
        """Message 3: shares of the own masks of neighbours that stayed, for the others of their
        keys.

        Args:
            stayed: all clients that sent their input.

        Raises:
            RunError: too few clients, or clients that were not in message 2.
        """
        self._next(4)
        if len(stayed) < self._threshold or self.number not in stayed:
            raise _refusal_error(
                f"{len(stayed)} clients are fewer than the threshold, or leave me out"
            )
        if len(stayed) > self._graph.clients or (
            self._graph.is_complete and not stayed <= {*self._shares, *self._unreadable}
        ):
            raise _refusal_error("the list of clients that stayed has grown")
        return OpenedShares(
            {u: own for u, (_, own) in self._shares.items() if u in stayed},
            {u: opener for u, (opener, _) in self._shares.items() if u not in stayed},
            tuple(self._unreadable),
        )

    def _next(self, number: int) -> None:
        """Answer each question once, so that nobody gets both kinds of a client's shares."""
        if self._asked != number - 1:
            raise _refusal_error("a question of a secure sum comes once, and in order")
        self._asked = number

    def _check_keys(self, keys: Mapping[int, bytes], graph: SumGraph) -> None:
        if graph.clients < self._threshold or len(keys) != graph.degree + 1:
            raise _refusal_error("there are fewer clients than the threshold, or fewer neighbours")
        if not len(keys) / 2 < graph.threshold <= len(keys):
            raise _refusal_error("two groups of neighbours could open both of my masks")
        if keys.get(self.number) != crypto.public_key(self._secret):
            raise _refusal_error("the list of keys is not the one that clients published")
        if len(set(keys.values())) != len(keys):
            raise _refusal_error("two clients have published the same key")

    def _check_holders(self, found: set[int]) -> None:
        if len(found) < self._graph.threshold:
            raise _refusal_error(f"{len(found)} neighbours are fewer than open a mask")
        if not found <= {*self._pairs, self.number}:
            raise _refusal_error("the list of clients has grown")

    def _opened(self, other: int, message: bytes) -> tuple[bytes, bytes] | None:
        """The shares that a neighbour sealed; None if it sealed something else."""
        about = self._about(other, self.number)
        found = crypto.opened_or_none(self._pairs[other].sealing, message, about)
        if found is None or len(found) != 2 * SHARE_BYTES:
            return None
        return found[:SHARE_BYTES], found[SHARE_BYTES:]

    def _pair(self, other: int) -> bytes:
        if self.number < other:
            return about(self._session, self.number, other)
        return about(self._session, other, self.number)

    def _about(self, sender: int, receiver: int) -> bytes:
        return about(self._session, sender, receiver)


def about(session: bytes, sender: int, receiver: int) -> bytes:
    """What a message of a sum is bound to; the server has the number 0."""
    return session + _ADDRESS.pack(sender, receiver)


def add_mask(total: AnyArray, mask: AnyArray, positive: bool) -> None:
    """Add the mask of a pair to `total` (P,) in place, as one of both: the other subtracts it."""
    (np.add if positive else np.subtract)(total, mask, out=total)


def _refusal_error(said: str) -> RunError:
    return RunError(
        f"a client refuses a secure sum: {said}", field="secure_sum",
        fix="Repeat the round with the clients that are there.",
    )  # fmt: skip
