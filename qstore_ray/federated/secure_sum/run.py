"""A secure sum in one process: every message is made, sealed and opened as between machines.

It shows that the sum is right, what it costs, and what happens when clients leave. It cannot show
that a server learns nothing, since here one process holds everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from qstore_ray.errors import ConfigError
from qstore_ray.federated.secure_sum.collector import SumCollector
from qstore_ray.federated.secure_sum.crypto import new_secret
from qstore_ray.federated.secure_sum.member import SumMember

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


def check_threshold(threshold: int, n_clients: int) -> None:
    """Raise `ConfigError` unless N/2 < t ≤ N and N ≥ 2.

    With t of half the clients or fewer, a server could open both masks of a client by asking two
    groups of clients.
    """
    if not n_clients / 2 < threshold <= n_clients or n_clients < 2:
        raise ConfigError(
            f"the threshold of {n_clients} clients is above half of them, and at most all; a sum "
            "of one client would be its vector",
            field="secure_sum.threshold",
            value=threshold,
            fix=f"Take {max(2, 2 * n_clients // 3 + 1)}.",
        )


def secure_sum(
    vectors: Mapping[str, FloatArray],
    threshold: int,
    *,
    leaves: Callable[[str, int], bool] | None = None,
) -> tuple[FloatArray, tuple[str, ...]]:
    """The sum (P,) of the vectors of all clients that sent theirs, and who they are, sorted.

    It is, to the last bit, the sum of their fixed-point numbers.

    Args:
        vectors: of each client (P,), all of one length.
        threshold: t; fewer clients than that at any message give the sum up.
        leaves: whether a client is gone before it sends message 0, 1, 2 or 3; None if none is.

    Raises:
        ConfigError: a threshold that protects nobody.
        RunError: too few clients stayed. DataError: a value that does not fit.
    """
    check_threshold(threshold, len(vectors))
    names = dict(enumerate(sorted(vectors), start=1))
    session, length = new_secret(), len(next(iter(vectors.values())))
    members = {number: SumMember(number, session, threshold) for number in names}
    server = SumCollector(session, threshold, length)

    def there(message: int, among: Mapping[int, object]) -> list[int]:
        if leaves is None:
            return list(among)
        return [number for number in among if not leaves(names[number], message)]

    for number in there(0, members):
        server.add_keys(number, members[number].keys())
    keys = server.all_keys()
    sealed = {number: members[number].shares(keys) for number in there(1, keys)}
    for number, messages in sealed.items():
        server.add_shares(number, messages)
    shares = {number: server.shares_for(number) for number in sealed}
    for number in there(2, shares):
        vector = vectors[names[number]]
        server.add_input(number, members[number].masked(vector, shares[number]))
    stayed = server.stayed()
    asked = there(3, dict.fromkeys(sorted(stayed)))
    total = server.total({number: members[number].unmask(stayed) for number in asked})
    return total, tuple(names[number] for number in sorted(stayed))
