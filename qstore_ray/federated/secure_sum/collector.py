"""The server's side of a secure sum: it passes messages on, and takes the masks off their sum.

An answer that no client that follows the protocol would send is not used: its client is named, and
has left the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.errors import RunError
from qstore_ray.federated.secure_sum import crypto
from qstore_ray.federated.secure_sum.fixed_point import decoded
from qstore_ray.federated.secure_sum.graph import GraphRule, SumGraph, neighbours_of
from qstore_ray.federated.secure_sum.member import (
    OpenedShares,
    SealedShares,
    about,
    add_mask,
)
from qstore_ray.federated.secure_sum.shamir import SHARE_BYTES
from qstore_ray.federated.secure_sum.wrong_shares import SecretOpener

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray


class SumCollector:
    """Collects one sum.

    Args:
        session: names this sum. threshold: how many clients must stay. length: P.
        rule: the graph of a sum of so many clients.
        blame: called with the number of a client that broke the protocol, and with what it did.
    """

    def __init__(
        self,
        session: bytes,
        threshold: int,
        length: int,
        rule: GraphRule,
        blame: Callable[[int, str], None],
    ) -> None:
        self._session, self._threshold, self._length = session, threshold, length
        self._rule, self._blame = rule, blame
        self._keys: dict[int, bytes] = {}
        self._graph = SumGraph(0, 0, 0)
        self._neighbours: dict[int, frozenset[int]] = {}
        self._sealed: dict[int, SealedShares] = {}
        self._inputs: dict[int, AnyArray] = {}

    def add_keys(self, number: int, key: Any) -> None:
        """Take message 0 of a client."""
        if not crypto.is_public_key(key):
            self._blame(number, "it sent no public key")
        elif key in self._keys.values():
            self._blame(number, "it sent the public key of another client")
        else:
            self._keys[number] = key

    def neighbourhoods(self) -> dict[int, tuple[dict[int, bytes], SumGraph]]:
        """For each client its own key and those of its neighbours, and the graph.

        Raises:
            RunError: too few clients.
        """
        self._check(len(self._keys))
        self._graph = self._rule(len(self._keys))
        self._neighbours = neighbours_of(self._keys, self._graph.degree)
        return {
            number: ({other: self._keys[other] for other in {number, *others}}, self._graph)
            for number, others in self._neighbours.items()
        }

    def add_shares(self, number: int, answer: Any) -> None:
        """Take message 1 of a client."""
        is_sound = (
            isinstance(answer, SealedShares)
            and _has_shares(answer.shares, self._neighbours[number])
            and isinstance(answer.masks, bytes)
        )
        if is_sound:
            self._sealed[number] = answer
        else:
            self._blame(number, "it sent no sealed shares for its neighbours")

    @property
    def sealed(self) -> tuple[int, ...]:
        """The clients whose message 1 was taken."""
        return tuple(self._sealed)

    def shares_for(self, number: int) -> dict[int, bytes]:
        """What its neighbours sealed for a client.

        Raises:
            RunError: too few clients.
        """
        self._check(len(self._sealed))
        others = self._neighbours[number] & self._sealed.keys()
        return {other: self._sealed[other].shares[number] for other in sorted(others)}

    def add_input(self, number: int, masked: Any) -> None:
        """Take message 2 of a client."""
        is_vector = isinstance(masked, np.ndarray) and masked.dtype == np.uint64
        if is_vector and masked.shape == (self._length,):
            self._inputs[number] = masked
            return
        self._blame(number, f"it sent no masked vector of {self._length} numbers")

    def stayed(self) -> frozenset[int]:
        """The clients that sent their input, for each of them.

        Raises:
            RunError: too few.
        """
        self._check(len(self._inputs))
        return frozenset(self._inputs)

    def total(self, answers: Mapping[int, Any]) -> FloatArray:
        """The sum (P,) of the vectors of all clients that stayed.

        Args:
            answers: message 3 of those that answered it.

        Raises:
            RunError: too few of them, or too few shares of a mask that fit each other.
        """
        opened = {u: each for u, each in answers.items() if self._is_opened(u, each)}
        self._check(len(opened))
        for number, answer in opened.items():
            for dealer in answer.unreadable:
                self._blame(dealer, f"client number {number} could not open its sealed shares")
        total, masks = np.zeros(self._length, np.uint64), crypto.Masks(self._length)
        for masked in self._inputs.values():
            total += masked
        secrets = SecretOpener(self._graph.threshold, self._blame)
        for number in self._inputs:
            own = secrets.of(
                number, {u: f.own[number] for u, f in opened.items() if number in f.own}
            )
            total -= masks.of(own)
        for number in self._sealed.keys() - self._inputs.keys():
            opener = secrets.of(
                number, {u: f.keys[number] for u, f in opened.items() if number in f.keys}
            )
            for other, key in self._mask_keys(number, opener).items():
                if other in self._inputs:
                    add_mask(total, masks.of(key), number < other)
        return decoded(total)

    def _mask_keys(self, number: int, opener: bytes) -> dict[int, bytes]:
        """The keys of the masks that a client that left shares with each neighbour."""
        others = sorted(self._neighbours[number])
        message = self._sealed[number].masks
        known = crypto.opened_or_none(opener, message, about(self._session, number, 0))
        if known is None or len(known) != crypto.KEY_BYTES * len(others):
            self._blame(number, "its shares do not open the keys of its masks")
            raise RunError(
                "the shares of a client that left do not open the keys of its masks",
                field="secure_sum",
                fix="Repeat the round; its sum is given up.",
            )
        size = crypto.KEY_BYTES
        return {other: known[size * i : size * (i + 1)] for i, other in enumerate(others)}

    def _is_opened(self, number: int, answer: Any) -> bool:
        """Whether it opened what it holds, but for what it calls unreadable."""
        held = self._neighbours[number] & self._sealed.keys() | {number}
        is_sound = (
            isinstance(answer, OpenedShares)
            and isinstance(answer.unreadable, tuple)
            and all(type(dealer) is int and dealer in held for dealer in answer.unreadable)
        )
        if is_sound:
            held -= set(answer.unreadable)
            left = held - self._inputs.keys()
            is_sound = _has_shares(answer.own, held - left, SHARE_BYTES) and _has_shares(
                answer.keys, left, SHARE_BYTES
            )
        if not is_sound:
            self._blame(number, "it opened no shares, after its vector was added")
        return is_sound

    def _check(self, found: int) -> None:
        if found < self._threshold:
            raise RunError(
                f"{found} clients are left of a secure sum that needs {self._threshold}, so it is "
                "given up",
                field="secure_sum.threshold",
                value=self._threshold,
                fix="Ask more clients in a round, or lower the threshold (above half of them).",
            )


def _has_shares(given: Any, numbers: AbstractSet[int], length: int | None = None) -> bool:
    """Whether it is a table of shares of just these clients."""
    if not isinstance(given, Mapping) or given.keys() != numbers:
        return False
    return all(isinstance(each, bytes) and length in (None, len(each)) for each in given.values())
