"""Privacy of clients and of their rows: limits with known answers, the account, and faults."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.errors import ConfigError, InterruptedRunError, RunExistsError
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.hosts.member import RoundMember, clipped
from qstore_ray.federated.privacy.clients import ClientPrivacy
from qstore_ray.federated.rows import ClientRows
from qstore_ray.federated.server import first_state, run_round
from qstore_ray.federated.strategies import get_strategy
from qstore_ray.federated.strategies.base import ClientUpdate, LocalRule, RoundTask
from qstore_ray.federated.trainer import FederatedTrainer
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.privacy.accountant import PrivacyAccountant
from qstore_ray.learn.privacy.noise import NoiseKey
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.privacy.claim import read_statement
from qstore_ray.train.run.checkpoint import latest_checkpoint
from tests.unit.federated.quadratics import P, fleet, quadratics

KEY = NoiseKey.for_tests(0)
UNIFORM = {"weights": "uniform"}


def _private(rounds: int = 5, fraction: float = 1.0, **privacy):
    config = FederationConfig(
        rounds=rounds, fraction=fraction, strategy_options=UNIFORM,
        privacy={"delta": 1e-3, **privacy},
    )  # fmt: skip
    return config, ClientPrivacy(config, KEY)


def _rounds(config, private, clients, count: int | None = None):
    strategy = get_strategy("fedavg", UNIFORM)
    spent = None if private is None else private.init()
    state, records = first_state(strategy, np.ones(P), spent), []
    for _ in range(count or config.rounds):
        state, record = run_round(state, fleet(clients), strategy, config, private=private)
        records.append(record)
    return state, records


# ------------------------------------------------------------------------------------------ clients


@pytest.mark.parametrize("sampling", ["poisson", "shuffle"])
def test_without_noise_and_with_a_wide_clip_it_is_the_plain_mean(sampling):
    clients, _ = quadratics()
    config, private = _private(noise_multiplier=0.0, clip=1e6, sampling=sampling)
    found, _ = _rounds(config, private, clients)
    plain = FederationConfig(rounds=5, strategy_options=UNIFORM)
    expected, _ = _rounds(plain, None, clients)
    np.testing.assert_allclose(found.theta, expected.theta, rtol=1e-10)
    assert "no noise" in private.why_not


def test_one_client_moves_the_model_by_no_more_than_its_clip():
    """The sensitivity that the noise is scaled by: with and without a client that wants more."""
    clients, _ = quadratics()
    config, private = _private(noise_multiplier=0.0, clip=0.25, sampling="poisson")
    whole, _ = _rounds(config, private, clients, 1)

    class Wild:
        def train(self, task, memory):
            return ClientUpdate("c3", task.round, task.theta + 1e5, 1, 0.0), {}

    for other in (Wild(), None):
        changed = {n: c for n, c in clients.items() if n != "c3"} | ({"c3": other} if other else {})
        found, _ = _rounds(config, private, changed, 1)
        total = 10 if other else 9
        difference = total * (found.theta - 1.0) - 10 * (whole.theta - 1.0)
        assert np.linalg.norm(difference) <= (2 if other else 1) * 0.25 + 1e-9


def test_the_noise_has_the_deviation_that_is_claimed():
    """n (θ' − θ) − Σ clipped = σ C z: chi-squared over many rounds."""
    theta = np.zeros(50)
    _, private = _private(noise_multiplier=1.3, clip=0.5, sampling="shuffle")
    seen = [private.release([], theta, 10, (r, 0)).theta * 10 / (1.3 * 0.5) for r in range(200)]
    values = np.concatenate(seen)
    assert abs(values.std() - 1.0) < 0.03
    assert abs(values.mean()) < 0.03
    again = private.release([], theta, 10, (7, 0)).theta
    assert again.tobytes() == private.release([], theta, 10, (7, 0)).theta.tobytes()
    assert again.tobytes() != private.release([], theta, 10, (7, 1)).theta.tobytes()


def test_clients_join_by_their_coins_and_a_round_with_nobody_is_noise():
    clients, _ = quadratics()
    config, private = _private(rounds=60, fraction=0.1, noise_multiplier=1.0, clip=1.0)
    _, records = _rounds(config, private, clients)
    sizes = [len(record.asked) for record in records]
    assert len(set(sizes)) > 2
    assert 0 in sizes
    assert abs(np.mean(sizes) - 1.0) < 0.45  # 60 rounds of Binomial(10, 0.1)
    assert all(record.change > 0.0 for record in records)
    assert all(math.isnan(record.loss) and not record.losses for record in records)


@pytest.mark.parametrize("sampling", ["poisson", "shuffle"])
def test_the_account_is_that_of_the_accountant_and_ends_the_run(sampling):
    clients, _ = quadratics()
    config, private = _private(
        rounds=30, fraction=0.5, epsilon=4.0, noise_multiplier=2.5, clip=1.0, sampling=sampling
    )
    rate = 0.5 if sampling == "poisson" else 1.0
    accountant = PrivacyAccountant(sample_rate=rate, noise_multiplier=2.5)
    strategy = get_strategy("fedavg", UNIFORM)
    state = first_state(strategy, np.ones(P), private.init())
    taken = 0
    while not private.is_spent(state.privacy):
        state, _ = run_round(state, fleet(clients), strategy, config, private=private)
        taken += 1
    assert private.epsilon(state.privacy) <= 4.0
    assert accountant.epsilon(accountant.init(), 1e-3, taken) <= 4.0
    assert accountant.epsilon(accountant.init(), 1e-3, taken + 1) > 4.0
    assert taken > 0


def test_epsilon_alone_chooses_the_noise_for_all_rounds():
    clients, _ = quadratics()
    config, private = _private(rounds=20, fraction=0.5, epsilon=3.0, clip=1.0)
    state, _ = _rounds(config, private, clients)
    assert 2.9 < private.epsilon(state.privacy) <= 3.0
    said = private.statement(state.privacy, 10)
    assert (said.unit, said.rows, said.releases) == ("client", 10, 20)


def test_with_a_secure_sum_the_private_mean_is_the_same():
    ends = []
    for secure in (False, True):
        clients, _ = quadratics()
        config = FederationConfig(
            rounds=3, strategy_options=UNIFORM, secure_sum=secure,
            privacy={"noise_multiplier": 0.5, "clip": 0.7, "sampling": "shuffle"},
        )  # fmt: skip
        state, _ = _rounds(config, ClientPrivacy(config, KEY), clients)
        ends.append(state.theta)
    np.testing.assert_allclose(ends[1], ends[0], atol=1e-10)


def test_a_client_clips_before_it_sends_and_sends_nothing_else():
    task = RoundTask(0, np.zeros(4), LocalRule(), clip=1.0)
    update = ClientUpdate("a", 0, np.full(4, 3.0), 77, 0.3, np.ones(4))
    found = clipped(update, task)
    assert np.linalg.norm(found.theta) == pytest.approx(1.0)
    assert (found.n_rows, found.loss, found.control) == (1, 0.0, None)
    small = update._replace(theta=np.full(4, 0.1))
    assert clipped(small, task).theta is small.theta
    member = RoundMember("a", type("C", (), {"train": lambda _, t, m: (update, {})})())
    sent, _ = member.train(task, {})
    assert np.linalg.norm(sent.theta) == pytest.approx(1.0)


REFUSED = [
    ({"strategy": "krum"}, "one noisy mean"),
    ({"strategy": "scaffold"}, "one noisy mean"),
    ({"fewest_updates": 3}, "depend on single clients"),
    ({"largest_change": 1.0}, "depend on single clients"),
    ({"secure_sum": True, "strategy_options": UNIFORM}, "Poisson sampling may draw too few"),
    ({"privacy": {"noise_multiplier": 0.0, "clip": "none"}}, "without clipping"),
    ({"privacy": {"epsilon": -1.0}}, "ε is a finite number above 0"),
]


@pytest.mark.parametrize(("options", "said"), REFUSED, ids=str)
def test_what_the_account_does_not_cover_is_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        FederationConfig(**{"privacy": {"epsilon": 1.0}, **options})


def test_a_delta_that_one_client_in_the_open_would_satisfy_is_warned_of(caplog):
    _, private = _private(noise_multiplier=1.0, delta=0.2)
    private.warn(4)
    assert caplog.text == ""
    private.warn(5)
    assert "publishing all of one client" in caplog.text


# --------------------------------------------------------------------------------------- whole runs


def _rows(seed: int, n: int = 60) -> ClientRows:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 2))
    return ClientRows(x, (x[:, 0] > 0).astype(int), ("no", "yes"))


def _fit(storage: Path, existing="error", join=None, trainer=None, rounds=4, **federation):
    config = TrainerConfig(
        **{"batch_size": 12, "learning_rate": 0.1, "schedule": "constant", **(trainer or {})}
    )
    found = FederatedTrainer(
        ModelConfig(n_qubits=2, layers=1), config, FederationConfig(rounds=rounds, **federation),
        storage=storage, track=TrackConfig(mlflow=False, figures=False),
    )  # fmt: skip
    return found.fit({"a": _rows(0), "b": _rows(1)}, existing=existing, join=join)


PRIVATE = {"privacy": {"epsilon": 4.0, "delta": 1e-3, "clip": 0.5, "sampling": "shuffle"}}
ROWS = {"privacy": {"noise_multiplier": 1.5, "delta": 1e-3, "clip": 0.5}}


@pytest.mark.parametrize("options", [PRIVATE, {"trainer": ROWS}], ids=["clients", "rows"])
def test_a_private_run_that_is_stopped_takes_its_noise_up_again_and_forgets_its_key(
    tmp_path, options
):
    def stop(number: int):
        if number == 2:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(InterruptedRunError):
        _fit(tmp_path, join=stop, **options)
    run = tmp_path / "federation"
    key = (run / "privacy.key").read_bytes()
    saved, _ = latest_checkpoint(run / "checkpoints")
    assert NoiseKey(key).digest == saved.arrays["privacy.key_digest"].tobytes()
    found = _fit(tmp_path, existing="resume", **options)
    assert not (run / "privacy.key").exists()
    saved, _ = latest_checkpoint(run / "checkpoints")
    assert not saved.arrays["privacy.key_digest"].any()
    if "trainer" not in options:
        assert found.privacy == read_statement(run)
        assert found.privacy.epsilon <= 4.0
        assert found.metrics["epsilon"] == found.privacy.epsilon


def test_a_seeded_run_ends_with_the_same_bits_when_it_is_stopped(tmp_path):
    seeded = {"privacy": {**PRIVATE["privacy"], "noise": "seeded"}}
    rows = {"privacy": {**ROWS["privacy"], "noise": "seeded"}}

    def stop(number: int):
        if number == 2:
            raise KeyboardInterrupt
        return {}

    whole = _fit(tmp_path / "whole", trainer=rows, **seeded)
    with pytest.raises(InterruptedRunError):
        _fit(tmp_path / "stopped", trainer=rows, join=stop, **seeded)
    again = _fit(tmp_path / "stopped", trainer=rows, existing="resume", **seeded)
    assert again.theta.tobytes() == whole.theta.tobytes()
    assert "for tests" in whole.privacy.why
    assert whole.epsilons == {"a": None, "b": None}


def test_rows_of_clients_are_private_over_all_rounds_that_they_were_asked_in(tmp_path):
    found = _fit(tmp_path, trainer=ROWS, local_epochs=2)
    accountant = PrivacyAccountant(sample_rate=12 / 60, noise_multiplier=1.5)
    expected = accountant.epsilon(accountant.init(), 1e-3, 4 * 2 * 5)
    assert found.epsilons == pytest.approx({"a": expected, "b": expected})
    more = _fit(tmp_path, trainer=ROWS, local_epochs=2, rounds=6, existing="resume")
    assert more.epsilons["a"] > expected


def test_a_client_that_has_spent_its_epsilon_is_left_out(tmp_path):
    accountant = PrivacyAccountant(sample_rate=12 / 60, noise_multiplier=1.5)
    limit = accountant.epsilon(accountant.init(), 1e-3, 3 * 5) + 1e-6
    rows = {"privacy": {**ROWS["privacy"], "epsilon": limit}}
    found = _fit(tmp_path, trainer=rows, rounds=5, failed_rounds=9)
    assert [len(record.used) for record in found.history] == [2, 2, 2, 0, 0]
    assert "spend more than its ε" in found.history[3].excluded["a"]


def test_no_noise_and_no_clip_inside_clients_is_a_plain_federation(tmp_path):
    """Each row once an epoch, as without privacy."""
    none = {"privacy": {"noise_multiplier": 0.0, "clip": "none", "sampling": "shuffle"}}
    found = _fit(tmp_path / "private", trainer=none)
    plain = _fit(tmp_path / "plain")
    np.testing.assert_allclose(found.theta, plain.theta, rtol=1e-12)


def test_a_noise_for_some_rounds_is_not_made_to_last_for_more(tmp_path):
    rows = {"privacy": {"epsilon": 5.0, "delta": 1e-3, "clip": 0.5}}
    _fit(tmp_path, trainer=rows, rounds=2)
    with pytest.raises(RunExistsError, match="chosen for 2 rounds"):
        _fit(tmp_path, trainer=rows, rounds=3, existing="resume")


def test_a_batch_larger_than_the_rows_of_a_client_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigError, match="larger than the 60 rows"):
        _fit(tmp_path, trainer={**ROWS, "batch_size": 64})
    assert not list(tmp_path.iterdir())


def test_a_delta_that_one_row_in_the_open_would_satisfy_is_warned_of(tmp_path, caplog):
    privacy = {"epsilon": 8.0, "clip": 0.5, "sampling": "shuffle"}
    _fit(tmp_path / "a", trainer={"privacy": {**privacy, "delta": 1e-3}}, rounds=1)
    assert "publishing one whole row" not in caplog.text
    _fit(tmp_path / "b", trainer={"privacy": {**privacy, "delta": 0.5}}, rounds=1)
    assert "with 60 rows: publishing one whole row" in caplog.text
    assert "less than 0.002" in caplog.text
