"""The server's loop of a secure sum, over members that may be anywhere.

`collected_sum` asks members by messages alone. `secure_sum` has all of them in this process: it
shows that the sum is right, what it costs, and what happens when clients leave. It cannot show that
a server learns nothing, since there one process holds everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from qstore_ray.errors import ConfigError
from qstore_ray.federated.secure_sum.collector import SumCollector
from qstore_ray.federated.secure_sum.crypto import new_secret
from qstore_ray.federated.secure_sum.graph import GraphRule, complete_graph
from qstore_ray.federated.secure_sum.member import SumMember

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

MESSAGES: Final = ("keys", "shares", "masked", "unmask")
"""What a member is asked, in order."""

AskMembers: TypeAlias = Callable[[str, Mapping[int, tuple[Any, ...]]], Mapping[int, Any]]
"""Asks members, by their numbers, for message `keys`, `shares`, `masked` or `unmask`; the answers
of those that answered."""


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


def collected_sum(
    ask: AskMembers,
    numbers: Iterable[int],
    session: bytes,
    threshold: int,
    length: int,
    *,
    rule: GraphRule | None = None,
    blame: Callable[[int, str], None] | None = None,
) -> tuple[FloatArray, frozenset[int]]:
    """The sum (P,) of the vectors of all members that sent theirs, and their numbers.

    A member that does not answer, or whose answer is malformed, has left.

    Args:
        numbers: of the members, from 1. session: names this sum, never reused.
        threshold: fewer members than that at any message give the sum up. length: P.
        rule: who masks with whom, of the members that sent keys; None for all with all.
        blame: called with the number of a member that broke the protocol, and with what it did.

    Raises:
        RunError: too few members stayed.
    """
    all_with_all: GraphRule = partial(complete_graph, threshold=threshold)
    server = SumCollector(session, threshold, length, rule or all_with_all, blame or _no_blame)
    for number, published in ask(
        "keys", {number: (number, session, threshold) for number in numbers}
    ).items():
        server.add_keys(number, published)
    sealed = ask("shares", server.neighbourhoods())
    for number, messages in sealed.items():
        server.add_shares(number, messages)
    shares = {number: (server.shares_for(number),) for number in server.sealed}
    for number, vector in ask("masked", shares).items():
        server.add_input(number, vector)
    stayed = server.stayed()
    total = server.total(ask("unmask", dict.fromkeys(sorted(stayed), (stayed,))))
    return total, stayed


def _no_blame(number: int, said: str) -> None:
    """For sums of members of whom nobody is named."""


def secure_sum(
    vectors: Mapping[str, FloatArray],
    threshold: int,
    *,
    rule: GraphRule | None = None,
    leaves: Callable[[str, int], bool] | None = None,
) -> tuple[FloatArray, tuple[str, ...]]:
    """The sum (P,) of the vectors of all clients that sent theirs, and who they are, sorted.

    It is, to the last bit, the sum of their fixed-point numbers.

    Args:
        vectors: of each client (P,), all of one length.
        threshold: fewer clients than that at any message give the sum up.
        rule: who masks with whom; None for all with all.
        leaves: whether a client is gone before it sends message 0, 1, 2 or 3; None if none is.

    Raises:
        ConfigError: a threshold that protects nobody.
        RunError: too few clients stayed. DataError: a value that does not fit.

    Examples:
        vectors = {"a": np.array([1.0]), "b": np.array([2.0]), "c": np.array([4.0])}
        total, stayed = secure_sum(vectors, 2, leaves=lambda name, message: name == "b")
        assert total == [5.0] and stayed == ("a", "c")
    """
    check_threshold(threshold, len(vectors))
    names = dict(enumerate(sorted(vectors), start=1))
    members: dict[int, SumMember] = {}

    def ask(message: str, arguments: Mapping[int, tuple[Any, ...]]) -> dict[int, Any]:
        place = MESSAGES.index(message)
        answers: dict[int, Any] = {}
        for number, given in arguments.items():
            if leaves is not None and leaves(names[number], place):
                continue
            if message == "keys":
                members[number] = SumMember(*given)
                answers[number] = members[number].keys()
            elif message == "masked":
                answers[number] = members[number].masked(vectors[names[number]], *given)
            else:
                answers[number] = getattr(members[number], message)(*given)
        return answers

    length = len(next(iter(vectors.values())))
    total, stayed = collected_sum(ask, names, new_secret(), threshold, length, rule=rule)
    return total, tuple(names[number] for number in sorted(stayed))
