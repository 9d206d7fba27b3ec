"""Secrets from the shares of clients of which a few may send wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations, islice

from qstore_ray.errors import RunError
from qstore_ray.federated.secure_sum.shamir import combine

_MOST_TRIES = 2000


class SecretOpener:
    """Opens the secrets of clients, and names holders whose shares fit no other.

    Args:
        threshold: t, shares that give a secret.
        blame: called with the number of a holder, and with what it did.
    """

    def __init__(self, threshold: int, blame: Callable[[int, str], None]) -> None:
        self._threshold, self._blame = threshold, blame

    def of(self, number: int, shares: Mapping[int, bytes]) -> bytes:
        """The secret of client `number`, from shares by their holders.

        A value that is no secret shows that a share is wrong: by chance that happens with
        probability 2⁻²⁶⁵. Then holders are left out, one and two at a time.

        Raises:
            RunError: fewer than t shares that fit each other.
        """
        try:
            return combine(shares, self._threshold)
        except RunError as exc:
            if len(shares) <= self._threshold:
                if len(shares) == self._threshold:
                    self._blame(number, "shares of its mask do not fit each other")
                raise
            given_up = exc
        for left_out in islice(self._choices(sorted(shares)), _MOST_TRIES):
            kept = {holder: share for holder, share in shares.items() if holder not in left_out}
            secret = self._tried(kept)
            if secret is not None:
                self._name(number, shares, kept, secret)
                return secret
        self._blame(number, "shares of its mask do not fit each other")
        raise given_up

    def _choices(self, holders: list[int]) -> list[tuple[int, ...]]:
        spare = len(holders) - self._threshold
        return [
            left_out
            for count in range(1, min(spare, 2) + 1)
            for left_out in combinations(holders[: self._threshold + count], count)
        ]

    def _tried(self, shares: Mapping[int, bytes]) -> bytes | None:
        try:
            return combine(shares, self._threshold)
        except RunError:
            return None

    def _name(
        self, number: int, shares: Mapping[int, bytes], kept: Mapping[int, bytes], secret: bytes
    ) -> None:
        """Name all holders whose share is not on the polynomial of the others."""
        right = sorted(kept)[: self._threshold]
        some = {holder: kept[holder] for holder in right[1:]}
        for holder, share in shares.items():
            if holder in right:
                continue
            if self._tried({**some, holder: share}) != secret:
                self._blame(
                    holder, f"its share of the mask of client number {number} fits no other, "
                    "unless that client dealt it so",
                )  # fmt: skip
