"""Rounds with clients that are late, leave or join: what counts, and what is repeated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qstore_ray.errors import DataError, RunExistsError, UsageError
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.hosts.member import HiddenUpdate, RoundMember
from qstore_ray.federated.journal import Membership, RoundJournal
from qstore_ray.federated.rows import ClientRows
from qstore_ray.federated.secure_sum.member import OpenedShares, SealedShares
from qstore_ray.federated.server import first_state, run_round
from qstore_ray.federated.strategies import get_strategy
from qstore_ray.federated.trainer import FederatedTrainer
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.jsonl import read_records
from qstore_ray.train.config import TrainerConfig
from tests.unit.federated.quadratics import P, fleet, quadratics

SECURE = {"secure_sum": True, "strategy_options": {"weights": "uniform"}}


class _Sometimes:
    """A client that is slow, or away, in some of its calls."""

    def __init__(self, inner, *, away=(), slow=(), clock=None) -> None:
        self._inner, self._away, self._slow, self._clock = inner, away, slow, clock
        self.calls = 0

    def train(self, task, memory):
        self.calls += 1
        if self.calls in self._away:
            raise DataError("away")
        if self.calls in self._slow:
            self._clock[0] += 100.0
        return self._inner.train(task, memory)


@pytest.mark.parametrize("more", [{}, SECURE], ids=["plain", "secure"])
def test_a_late_update_is_dropped_and_named_and_its_client_takes_part_again(more):
    clock = [0.0]
    clients, _ = quadratics()
    clients["c9"] = _Sometimes(clients["c9"], slow=(2,), clock=clock)
    config = FederationConfig(deadline=10.0, **more)
    strategy = get_strategy("fedavg", {"weights": "uniform"})
    state = first_state(strategy, np.ones(P))
    used = []
    for _ in range(3):
        state, record = run_round(state, fleet(clients, clock=lambda: clock[0]), strategy, config)
        used.append(len(record.used))
        if record.excluded:
            assert list(record.excluded) == ["c9"]
            assert "was late" in record.excluded["c9"]
    assert used == [10, 9, 10]


@pytest.mark.parametrize("more", [{}, SECURE], ids=["plain", "secure"])
def test_a_round_that_was_decided_is_repeated_with_the_same_clients(tmp_path, more):
    """The server was killed before it committed; who was away then is not asked, and not waited
    for: the bits are those of the first time.
    """
    strategy = get_strategy("fedavg", {"weights": "uniform"})
    config = FederationConfig(deadline=30.0, **more)
    start = first_state(strategy, np.ones(P))
    clients, _ = quadratics()
    clients["c3"] = _Sometimes(clients["c3"], away=(1,))
    journal = RoundJournal(tmp_path)
    first, record = run_round(start, fleet(clients), strategy, config, journal=journal)
    assert record.excluded.keys() == {"c3"}
    journal.close()
    again = RoundJournal(tmp_path)
    second, repeated = run_round(start, fleet(clients), strategy, config, journal=again)
    assert second.theta.tobytes() == first.theta.tobytes()
    assert repeated.excluded == record.excluded
    assert clients["c3"].calls == 1
    assert len(read_records(tmp_path / "rounds.jsonl")) == 1
    _, record = run_round(second, fleet(clients), strategy, config, journal=again)
    assert record.excluded == {}


def test_a_client_that_is_gone_when_the_round_is_repeated_makes_another_decision(tmp_path):
    strategy, config = get_strategy("fedavg", {}), FederationConfig()
    clients, _ = quadratics()
    start, journal = first_state(strategy, np.ones(P)), RoundJournal(tmp_path)
    run_round(start, fleet(clients), strategy, config, journal=journal)
    clients["c5"] = _Sometimes(clients["c5"], away=(1,))
    _, record = run_round(start, fleet(clients), strategy, config, journal=journal)
    assert record.excluded.keys() == {"c5"}
    assert [r["used"] for r in read_records(tmp_path / "rounds.jsonl")][1] == list(record.used)


def test_a_journal_forgets_what_was_decided_after_its_checkpoint(tmp_path):
    journal = RoundJournal(tmp_path)
    for number in range(3):
        assert journal.decide(number, Membership(("a",), ("a",), {})) == 0
    assert journal.decide(2, Membership(("a",), (), {"a": "late"})) == 1
    journal.close()
    with (tmp_path / "rounds.jsonl").open("ab") as file:
        file.write(b'{"event":"round","st')  # killed in the middle of a line
    again = RoundJournal(tmp_path, 1)
    assert again.decided(1) == Membership(("a",), ("a",), {})
    assert again.decided(2) is None


# ------------------------------------------------------------------------------------- secure sums


class _Leaving(RoundMember):
    """A client that is gone before it answers one message of a secure sum."""

    def __init__(self, name, client, message: str) -> None:
        super().__init__(name, client)
        self._gone = message

    def ask(self, message, arguments):
        if message == self._gone:
            raise DataError("the connection is gone")
        return super().ask(message, arguments)


@pytest.mark.parametrize("message", ["keys", "shares", "masked", "unmask"])
def test_a_client_that_leaves_during_a_sum_is_named_and_the_rest_is_summed(message):
    clients, _ = quadratics()
    strategy = get_strategy("fedavg", {"weights": "uniform"})
    members = {name: RoundMember(name, client) for name, client in clients.items()}
    members["c4"] = _Leaving("c4", clients["c4"], message)
    gone = fleet({})
    gone.add(members)
    config = FederationConfig(**SECURE)
    state, record = run_round(first_state(strategy, np.ones(P)), gone, strategy, config)
    stayed = message == "unmask"  # its input is in the sum
    assert ("c4" in record.used) == stayed
    assert ("c4" in record.excluded) != stayed
    without = {n: c for n, c in clients.items() if stayed or n != "c4"}
    expected, _ = run_round(first_state(strategy, np.ones(P)), fleet(without), strategy, config)
    np.testing.assert_allclose(state.theta, expected.theta, atol=1e-11)


MALFORMED = {
    "keys": [None, (b"a", b"b"), b"", b"x" * 31, "k" * 32, bytes(32)],
    "shares": [None, {}, {1: b"x"}, SealedShares({}, b""), SealedShares([b"x"] * 9, b""),
               SealedShares(dict.fromkeys(range(1, 11), b"x"), b"")],
    "masked": [None, np.zeros(P + 1), np.zeros(P, np.uint64), np.zeros((P + 1, 1), np.uint64),
               [0] * (P + 1), np.zeros(P + 1, np.int64)],
    "unmask": [None, OpenedShares({}, {}), (b"", b""),
               OpenedShares(dict.fromkeys(range(1, 11), b"short"), {}),
               OpenedShares(dict.fromkeys(range(1, 10), b"x" * 66), {})],
}  # fmt: skip


@pytest.mark.parametrize(
    ("message", "place"), [(m, i) for m, each in MALFORMED.items() for i in range(len(each))]
)
def test_a_client_that_sends_a_malformed_message_of_a_sum_is_named_and_the_rest_is_summed(
    message, place
):
    class Malformed(RoundMember):
        def ask(self, asked, arguments):
            answer = super().ask(asked, arguments)
            return MALFORMED[message][place] if asked == message else answer

    clients, _ = quadratics()
    strategy = get_strategy("fedavg", {"weights": "uniform"})
    members = {name: RoundMember(name, client) for name, client in clients.items()}
    members["c4"] = Malformed("c4", clients["c4"])
    hostile = fleet({})
    hostile.add(members)
    start = first_state(strategy, np.ones(P))
    state, record = run_round(start, hostile, strategy, FederationConfig(**SECURE))
    counts = message == "unmask"  # its input is in the sum
    assert ("c4" in record.used) == counts
    assert record.excluded.keys() == {"c4"}  # it is named if its update counts, too
    without = {name: each for name, each in clients.items() if counts or name != "c4"}
    expected, _ = run_round(start, fleet(without), strategy, FederationConfig(**SECURE))
    np.testing.assert_allclose(state.theta, expected.theta, atol=1e-11)


def test_in_a_round_with_a_secure_sum_nothing_but_receipts_and_masks_is_sent():
    clients, _ = quadratics()
    said = []

    class Heard(RoundMember):
        def ask(self, message, arguments):
            answer = super().ask(message, arguments)
            said.append((message, answer))
            return answer

    heard = fleet({})
    heard.add({name: Heard(name, client) for name, client in clients.items()})
    strategy = get_strategy("fedavg", {"weights": "uniform"})
    state = first_state(strategy, np.ones(P))
    run_round(state, heard, strategy, FederationConfig(**SECURE))
    receipts = [answer for message, answer in said if message == "train"]
    assert all(update == HiddenUpdate(update.client, 0) for update, _ in receipts)
    masked = [answer for message, answer in said if message == "masked"]
    assert {each.dtype for each in masked} == {np.dtype(np.uint64)}


# -------------------------------------------------------------------------------------------- joins


def _rows(seed: int) -> ClientRows:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(24, 2))
    return ClientRows(x, (x[:, 0] > 0).astype(int), ("no", "yes"))


def _fit(storage: Path, clients, existing="error", join=None, rounds: int = 4):
    trainer = TrainerConfig(batch_size=12, learning_rate=0.1, schedule="constant")
    federation = FederationConfig(rounds=rounds, local_state="kept")
    found = FederatedTrainer(
        ModelConfig(n_qubits=2, layers=1), trainer, federation, storage=storage,
        track=TrackConfig(mlflow=False, figures=False),
    )  # fmt: skip
    return found.fit(clients, existing=existing, join=join)


def test_a_client_joins_between_rounds_and_a_resumed_run_has_it(tmp_path):
    clients = {"a": _rows(0), "b": _rows(1)}
    late = {"c": _rows(2)}

    def join(number: int):
        return late if number >= 2 else {}

    whole = _fit(tmp_path / "whole", clients, join=join)
    assert [record.used for record in whole.history] == [("a", "b")] * 2 + [("a", "b", "c")] * 2

    def stopped(number: int):
        if number == 3:
            raise KeyboardInterrupt
        return join(number)

    with pytest.raises(Exception, match="stopped"):
        _fit(tmp_path / "stopped", clients, join=stopped)
    with pytest.raises(RunExistsError, match="is missing") as missing:
        _fit(tmp_path / "stopped", clients, existing="resume")
    assert missing.value.field == "clients.c"
    found = _fit(tmp_path / "stopped", clients | late, existing="resume")
    assert found.theta.tobytes() == whole.theta.tobytes()


def test_a_client_that_joins_must_fit_the_others(tmp_path):
    clients = {"a": _rows(0), "b": _rows(1)}
    wide = ClientRows(np.zeros((9, 3)), np.zeros(9, int), ("no", "yes"))
    with pytest.raises(DataError, match="disagree on their features"):
        _fit(tmp_path / "a", clients, join=lambda number: {"c": wide} if number == 1 else {})
    with pytest.raises(UsageError, match="Dataset"):
        _fit(tmp_path / "b", clients, join=lambda number: {"c": 7})


def test_other_rows_of_a_client_are_refused(tmp_path):
    _fit(tmp_path, {"a": _rows(0), "b": _rows(1)}, rounds=2)
    with pytest.raises(RunExistsError, match="has other rows"):
        _fit(tmp_path, {"a": _rows(0), "b": _rows(5)}, existing="resume", rounds=3)


# -------------------------------------------------------------------------------------- more rounds


def test_a_finished_run_with_more_rounds_ends_as_one_that_had_them_from_the_start(tmp_path):
    clients = {"a": _rows(0), "b": _rows(1)}
    whole = _fit(tmp_path / "whole", clients, rounds=5)
    _fit(tmp_path / "longer", clients, rounds=2)
    with pytest.raises(RunExistsError, match="has finished") as finished:
        _fit(tmp_path / "longer", clients, rounds=2, existing="resume")
    assert "federation.rounds" in finished.value.fix
    found = _fit(tmp_path / "longer", clients, rounds=5, existing="resume")
    assert found.theta.tobytes() == whole.theta.tobytes()
