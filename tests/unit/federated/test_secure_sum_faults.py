"""Secure sums with a server or with clients that do not follow the protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qstore_ray.errors import RunError
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.secure_sum import crypto
from qstore_ray.federated.secure_sum.fixed_point import decoded, encoded
from qstore_ray.federated.secure_sum.graph import SumGraph, complete_graph
from qstore_ray.federated.secure_sum.member import OpenedShares, SealedShares, SumMember
from qstore_ray.federated.secure_sum.run import collected_sum
from qstore_ray.federated.secure_sum.shamir import SHARE_BYTES
from qstore_ray.federated.server import first_state, run_round
from qstore_ray.federated.strategies import get_strategy
from tests.unit.federated.quadratics import P, fleet, quadratics

GRAPH = complete_graph(4, 3)

# ------------------------------------------------------------------------- servers that do not obey


def _members(count: int = 4, threshold: int = 3):
    session = crypto.new_secret()
    members = {n: SumMember(n, session, threshold) for n in range(1, count + 1)}
    keys = {n: member.keys() for n, member in members.items()}
    return members, keys


def _shared(count: int = 4, threshold: int = 3):
    members, keys = _members(count, threshold)
    graph = complete_graph(count, threshold)
    sealed = {n: member.shares(keys, graph).shares for n, member in members.items()}
    return members, {n: {u: sealed[u][n] for u in sealed if u != n} for n in members}


def test_a_client_answers_each_question_once_so_nobody_gets_both_shares():
    members, sealed = _shared()
    first = members[1]
    with pytest.raises(RunError, match="in order"):
        first.unmask(frozenset({1, 2, 3}))
    first.masked(np.ones(5), sealed[1])
    opened = first.unmask(frozenset({1, 2, 3}))
    assert set(opened.own) == {1, 2, 3}
    assert set(opened.keys) == {4}
    with pytest.raises(RunError, match="once"):
        first.unmask(frozenset({1, 3, 4}))
    with pytest.raises(RunError, match="once"):
        first.masked(np.zeros(5), sealed[1])


@pytest.mark.parametrize("stayed", [{1, 2}, {2, 3, 4}, {1, 2, 3, 9}, {1, 2, 3, 4, 9}])
def test_a_client_refuses_a_list_that_is_short_that_grew_or_that_leaves_it_out(stayed):
    members, sealed = _shared()
    members[1].masked(np.ones(5), sealed[1])
    with pytest.raises(RunError, match="refuses"):
        members[1].unmask(frozenset(stayed))


@pytest.mark.parametrize(
    ("change", "graph"),
    [
        (lambda keys: {n: keys[n] for n in (1, 2)}, GRAPH),
        (lambda keys: {**keys, 1: keys[2]}, GRAPH),
        (lambda keys: {**keys, 4: keys[3]}, GRAPH),
        (lambda keys: {n: keys[n] for n in (2, 3, 4)}, GRAPH),
        (lambda keys: {n: keys[n] for n in (2, 3, 4)}, SumGraph(4, 2, 2)),
        (lambda keys: keys, SumGraph(2, 3, 3)),
        (lambda keys: keys, SumGraph(4, 3, 2)),
        (lambda keys: keys, SumGraph(4, 3, 5)),
    ],
    ids=["few", "forged", "twice", "without me", "others", "small", "low t", "high t"],
)
def test_a_client_refuses_keys_that_are_few_or_forged_and_graphs_that_hide_nothing(change, graph):
    members, keys = _members()
    with pytest.raises(RunError, match="refuses"):
        members[1].shares(change(keys), graph)


def test_a_client_refuses_shares_of_too_few_neighbours_or_of_strangers():
    for change in (lambda found: {2: found[2]}, lambda found: {**found, 9: found[2]}):
        members, sealed = _shared()
        with pytest.raises(RunError, match="refuses"):
            members[1].masked(np.ones(5), change(sealed[1]))


def test_no_two_groups_of_holders_open_both_masks():
    members, sealed = _shared()
    for number, member in members.items():
        member.masked(np.ones(5), sealed[number])
    lied = {1: {1, 2, 3}, 2: {1, 2, 3}, 3: {3, 1, 4}, 4: {3, 1, 4}}  # whether 2 stayed
    opened = {n: members[n].unmask(frozenset(said)) for n, said in lied.items()}
    own, keys = ([n for n, each in opened.items() if 2 in getattr(each, kind)]
                 for kind in ("own", "keys"))  # fmt: skip
    assert not set(own) & set(keys)
    assert min(len(own), len(keys)) < 3


# ----------------------------------------------------------------------- clients that do not obey

HOSTILE = 3


class _Sum:
    """A sum of clients of which one changes its answers."""

    def __init__(self, count: int = 7, **changes: Callable[[Any], Any]) -> None:
        self.vectors = {n: np.random.default_rng(n).normal(size=40) for n in range(1, count + 1)}
        self.members: dict[int, SumMember] = {}
        self.changes, self.blamed = changes, {}
        self.gone: dict[str, set[int]] = {}

    def ask(self, message: str, arguments: Any) -> dict[int, Any]:
        answers = {}
        for number, given in arguments.items():
            if number in self.gone.get(message, ()):
                continue
            if message == "keys":
                self.members[number] = SumMember(*given)
            sent = {"keys": (), "masked": (self.vectors[number], *given)}.get(message, given)
            answers[number] = getattr(self.members[number], message)(*sent)
            if number == HOSTILE and message in self.changes:
                answers[number] = self.changes[message](answers[number])
        return answers

    def run(self, threshold: int = 4, **options: Any) -> tuple[np.ndarray, frozenset[int]]:
        return collected_sum(
            self.ask, self.vectors, crypto.new_secret(), threshold, 40,
            blame=self.blamed.__setitem__, **options,
        )  # fmt: skip

    def plain(self, stayed: frozenset[int]) -> np.ndarray:
        total = np.zeros(40, np.uint64)
        for number in stayed:
            total += encoded(self.vectors[number], len(self.vectors))
        return decoded(total)


LEAVES = [
    ("keys", lambda key: key[:-1]),
    ("keys", lambda key: bytes(32)),
    ("keys", lambda key: "key"),
    ("shares", lambda found: found.shares),
    ("shares", lambda found: SealedShares({1: b""}, found.masks)),
    ("shares", lambda found: SealedShares(dict.fromkeys(found.shares, 7), found.masks)),
    ("masked", lambda vector: vector[:-1]),
    ("masked", lambda vector: vector.astype(float)),
    ("masked", lambda vector: vector.tolist()),
    ("masked", lambda vector: None),
    ("masked", lambda vector: [[1], [2, 3]]),
]


@pytest.mark.parametrize(("message", "change"), LEAVES)
def test_a_malformed_answer_names_its_client_and_the_rest_is_summed(message, change):
    found = _Sum(**{message: change})
    total, stayed = found.run()
    assert list(found.blamed) == [HOSTILE]
    assert stayed == frozenset(found.vectors) - {HOSTILE}
    assert total.tobytes() == found.plain(stayed).tobytes()


def _all(opened: OpenedShares, share: Callable[[bytes], bytes]) -> OpenedShares:
    return OpenedShares(
        *({number: share(each) for number, each in kind.items()} for kind in opened[:2])
    )


STAYS = [
    ("unmask", lambda opened: "nothing"),
    ("unmask", lambda opened: OpenedShares({**opened.own, 99: bytes(SHARE_BYTES)}, opened.keys)),
    ("unmask", lambda opened: OpenedShares(opened.own, None)),
    ("unmask", lambda opened: OpenedShares({}, {}, (HOSTILE, "a"))),
    ("unmask", lambda opened: OpenedShares(opened.own, opened.keys, 5)),
    ("unmask", lambda opened: _all(opened, lambda share: share[:-1])),
    ("unmask", lambda opened: _all(opened, lambda share: bytes(SHARE_BYTES))),
    ("unmask", lambda opened: _all(opened, lambda share: share[::-1])),
    ("shares", lambda sealed: SealedShares(
        {u: each[:-1] + b"x" if u == 5 else each for u, each in sealed.shares.items()},
        sealed.masks)),
]  # fmt: skip


@pytest.mark.parametrize(("message", "change"), STAYS)
@pytest.mark.parametrize("gone", [False, True])
def test_a_client_that_opens_wrong_shares_is_named_and_all_vectors_are_summed(
    message, change, gone
):
    found = _Sum(**{message: change})
    found.gone = {"masked": {6}} if gone else {}
    total, stayed = found.run()
    assert list(found.blamed) == [HOSTILE]
    assert stayed == frozenset(found.vectors) - ({6} if gone else set())
    assert total.tobytes() == found.plain(stayed).tobytes()


def test_two_keys_that_are_the_same_name_the_one_that_came_later():
    found = _Sum()
    keys: list[bytes] = []
    found.changes = {"keys": lambda key: keys[0]}
    ask = found.ask

    def recorded(message, arguments):
        if message == "keys":
            first = ask(message, {1: arguments[1]})
            keys.append(first[1])
            return first | ask(message, {n: a for n, a in arguments.items() if n != 1})
        return ask(message, arguments)

    found.ask = recorded
    total, stayed = found.run()
    assert list(found.blamed) == [HOSTILE]
    assert total.tobytes() == found.plain(stayed).tobytes()


def test_keys_that_a_client_that_left_sealed_wrongly_give_the_sum_up_and_name_it():
    found = _Sum(shares=lambda sealed: SealedShares(sealed.shares, sealed.masks[:-1] + b"x"))
    found.gone = {"masked": {HOSTILE}}
    with pytest.raises(RunError, match="do not open the keys"):
        found.run()
    assert list(found.blamed) == [HOSTILE]


def test_shares_that_fit_no_others_give_the_sum_up_when_no_spare_ones_exist():
    found = _Sum(count=4, unmask=lambda opened: _all(opened, lambda share: share[::-1]))
    with pytest.raises(RunError, match="do not fit"):
        found.run(threshold=4)
    assert found.blamed


def test_a_round_names_the_client_with_a_malformed_vector_and_goes_on():
    clients, _ = quadratics()
    reached = fleet(clients)
    asked = reached.ask

    def ask(message: str, arguments: Any, seconds: float | None = None) -> dict[str, Any]:
        answers = asked(message, arguments, seconds)
        return {**answers, "c4": answers["c4"][:-1]} if message == "masked" else answers

    reached.ask = ask
    strategy = get_strategy("fedavg", {"weights": "uniform"})
    config = FederationConfig(secure_sum=True, strategy_options={"weights": "uniform"})
    state, record = run_round(first_state(strategy, np.ones(P)), reached, strategy, config)
    assert list(record.excluded) == ["c4"]
    assert "no masked vector" in record.excluded["c4"]
    assert record.used == tuple(name for name in sorted(clients) if name != "c4")
    assert state.theta.tolist() != [1.0] * P


def test_a_client_that_opens_wrong_shares_is_named_in_the_record_though_its_update_counts():
    clients, _ = quadratics()
    reached = fleet(clients)
    asked = reached.ask

    def ask(message: str, arguments: Any, seconds: float | None = None) -> dict[str, Any]:
        answers = asked(message, arguments, seconds)
        if message == "unmask":
            answers["c4"] = _all(answers["c4"], lambda share: share[::-1])
        return answers

    reached.ask = ask
    strategy = get_strategy("fedavg", {"weights": "uniform"})
    config = FederationConfig(secure_sum=True, strategy_options={"weights": "uniform"})
    _, record = run_round(first_state(strategy, np.ones(P)), reached, strategy, config)
    assert "c4" in record.excluded
    assert "c4" in record.used


def test_every_sum_has_keys_of_its_own():
    members = [_members()[1] for _ in range(2)]
    assert not {key for keys in members[:1] for key in keys.values()} & set(members[1].values())
