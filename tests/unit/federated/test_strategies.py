"""Strategies: ten quadratics with a known optimum, formulas, and attacks."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.errors import ConfigError, UnknownNameError
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.server import first_state, run_round
from qstore_ray.federated.strategies import STRATEGIES, get_strategy
from qstore_ray.federated.strategies.base import ClientUpdate, mean_model
from qstore_ray.federated.strategies.robust import bulyan_selection, krum_scores
from tests.unit.federated.quadratics import P, fleet, quadratics


def _away(strategy: str, rounds: int, options=None, **more) -> float:
    """Relative distance to the common optimum after so many rounds."""
    local = {name: more.pop(name) for name in ("steps", "rate") if name in more}
    clients, optimum = quadratics(**local)
    config = FederationConfig(
        rounds=rounds, strategy=strategy, strategy_options=options or {}, **more
    )
    found = get_strategy(strategy, config.strategy_options)
    state = first_state(found, np.zeros(P))
    for _ in range(rounds):
        state, record = run_round(state, fleet(clients), found, config)
        assert record.excluded == {}
    return float(np.linalg.norm(state.theta - optimum) / np.linalg.norm(optimum))


def test_scaffold_reaches_the_optimum_where_fedavg_has_a_floor():
    assert _away("scaffold", 50) < 1e-6
    floor = _away("fedavg", 400)
    assert floor == pytest.approx(_away("fedavg", 50), rel=0.01)
    assert floor > 0.1


def test_scaffold_reaches_it_with_three_clients_a_round_too():
    assert _away("scaffold", 400, fraction=0.3) < 1e-9
    assert _away("fedavg", 400, fraction=0.3) > 0.1


def test_one_step_a_round_is_gradient_descent_and_reaches_the_optimum():
    assert _away("fedavg", 400, steps=1) < 1e-6


def test_a_proximal_term_moves_the_floor_towards_the_optimum():
    floors = [_away("fedprox", 400, {"mu": mu}) for mu in (0.0, 1.0, 10.0)]
    assert floors == sorted(floors, reverse=True)
    assert floors[0] == _away("fedavg", 400)


ADAPTIVE = {"fedadam": 0.03, "fedyogi": 0.03, "fedadagrad": 0.3, "fedavgm": 0.3}


@pytest.mark.parametrize(("strategy", "rate"), ADAPTIVE.items())
def test_adaptive_servers_come_as_near_as_fedavg(strategy, rate):
    floor = _away("fedavg", 400)
    assert _away(strategy, 600, {"learning_rate": rate}) < 1.1 * floor


def _updates(models, rows=None) -> list[ClientUpdate]:
    rows = rows or [1] * len(models)
    return [
        ClientUpdate(f"c{i}", 0, np.array(model, float), n, 0.0)
        for i, (model, n) in enumerate(zip(models, rows, strict=True))
    ]


def test_weights_are_the_rows_or_uniform():
    updates = _updates([[0.0, 4.0], [8.0, 0.0]], [3, 1])
    assert mean_model(updates, "rows").tolist() == [2.0, 3.0]
    assert mean_model(updates, "uniform").tolist() == [4.0, 2.0]


def test_the_mean_of_one_client_has_its_bits():
    theta = np.random.default_rng(0).normal(size=100)
    update = ClientUpdate("a", 0, theta, 17, 0.0)
    assert mean_model([update], "rows").tobytes() == theta.tobytes()


def test_formulas_of_two_steps_by_hand():
    first, second = _updates([[1.0]]), _updates([[1.5]])
    momentum = get_strategy("fedavgm", {"momentum": 0.5})
    theta, state = momentum.update(momentum.init(np.zeros(1)), np.zeros(1), first, 1)
    theta, state = momentum.update(state, theta, second, 1)
    assert theta[0] == 1.0 + (0.5 * 1.0 + 0.5)
    adam = get_strategy("fedadam", {"learning_rate": 0.1, "tau": 0.01})
    theta, state = adam.update(adam.init(np.zeros(1)), np.zeros(1), first, 1)
    square = 0.99 * 1e-4 + 0.01
    assert theta[0] == pytest.approx(0.1 * 0.1 / (np.sqrt(square) + 0.01))
    yogi = get_strategy("fedyogi", {"learning_rate": 0.1, "tau": 0.01})
    _, state = yogi.update(yogi.init(np.zeros(1)), np.zeros(1), first, 1)
    assert state["square"][0] == pytest.approx(1e-4 + 0.01)
    adagrad = get_strategy("fedadagrad", {"tau": 0.01})
    _, state = adagrad.update(adagrad.init(np.zeros(1)), np.zeros(1), first, 1)
    assert state["square"][0] == pytest.approx(1e-4 + 1.0)


# ------------------------------------------------------------------------------------------ attacks

N, F, WIDTH = 11, 2, 200
ROBUST = ("median", "trimmed_mean", "krum", "multikrum", "bulyan")


def _attacked(name: str, attack: str, seed: int) -> float:
    """RMS error of the model that a rule gives for honest noise of 1 around 0."""
    generator = np.random.default_rng(seed)
    models = generator.normal(size=(N, WIDTH))
    if attack == "flip":
        models[:F] *= -10.0
        models[:F] += 5.0
    elif attack == "noise":
        models[:F] = 100.0 * generator.normal(size=(F, WIDTH))
    elif attack == "large":
        models[:F] *= 1e6
    strategy = get_strategy(name, {} if name == "fedavg" else {"faulty": F})
    strategy.check(N)
    theta, _ = strategy.update({}, np.zeros(WIDTH), _updates(models), N)
    return float(np.sqrt((theta**2).mean()))


@pytest.mark.parametrize("attack", ["flip", "noise", "large"])
@pytest.mark.parametrize("name", ROBUST)
def test_a_robust_rule_is_not_moved_by_two_of_eleven(name, attack):
    error = np.mean([_attacked(name, attack, seed) for seed in range(10)])
    quiet = np.mean([_attacked(name, "none", seed) for seed in range(10)])
    assert error < 1.3 * quiet + 0.1
    assert np.mean([_attacked("fedavg", attack, seed) for seed in range(10)]) > 1.2


def test_without_an_attack_krum_has_three_times_the_error_of_the_mean():
    errors = {
        name: np.mean([_attacked(name, "none", seed) for seed in range(30)])
        for name in ("fedavg", *ROBUST)
    }
    expected = {"fedavg": 0.303, "median": 0.369, "trimmed_mean": 0.319, "krum": 0.923,
                "multikrum": 0.338, "bulyan": 0.514}  # fmt: skip
    assert errors == pytest.approx(expected, rel=0.08)


def test_distances_do_not_cancel_and_a_model_is_not_its_own_neighbour():
    """Models near 100 that differ by 1e-3: distances from norms would be noise."""
    generator = np.random.default_rng(0)
    models = 100.0 + 1e-3 * generator.normal(size=(8, 5_000))
    scores = krum_scores(models, 1)
    expected = []
    for row in range(8):
        others = [((models[row] - models[i]) ** 2).sum() for i in range(8) if i != row]
        expected.append(sum(sorted(others)[: 8 - 1 - 2]))
    np.testing.assert_allclose(scores, expected, rtol=1e-10)
    assert (scores > 0.0).all()


def test_bulyan_picks_as_many_as_it_should_and_no_outlier():
    models = np.random.default_rng(0).normal(size=(11, 4))
    models[3] += 50.0
    models[7] -= 50.0
    chosen = bulyan_selection(models, 2)
    assert len(chosen) == 7
    assert not {3, 7} & set(chosen.tolist())


TOO_FEW = [("median", 4), ("trimmed_mean", 4), ("krum", 6), ("multikrum", 6), ("bulyan", 10)]


@pytest.mark.parametrize(("name", "count"), TOO_FEW)
def test_a_rule_with_too_few_clients_is_refused(name, count):
    strategy = get_strategy(name, {"faulty": 2})
    with pytest.raises(ConfigError, match=r"needs \d+ updates") as error:
        strategy.check(count)
    assert error.value.field == "strategy_options.faulty"
    strategy.check(count + 1)


def test_an_unknown_strategy_and_a_wrong_option_are_refused():
    with pytest.raises(UnknownNameError, match="fedavg"):
        FederationConfig(strategy="fedavgg")
    with pytest.raises(ConfigError) as error:
        FederationConfig(strategy="fedprox", strategy_options={"mu": -1.0})
    assert error.value.field == "strategy_options.mu"


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_update_changes_no_argument_and_keeps_the_state_s_shape(name):
    strategy = get_strategy(name, {})
    models = np.random.default_rng(0).normal(size=(9, 4))
    updates = [u._replace(control=np.ones(4)) for u in _updates(models)]
    theta = np.zeros(4)
    state = strategy.init(theta)
    kept = {key: value.copy() for key, value in state.items()}
    strategy.check(9)
    moved, after = strategy.update(state, theta, updates, 12)
    assert moved.shape == (4,)
    assert not theta.any()
    assert {k: v.tobytes() for k, v in state.items()} == {k: v.tobytes() for k, v in kept.items()}
    assert {k: v.shape for k, v in after.items()} == {k: v.shape for k, v in kept.items()}
    assert (np.stack([u.theta for u in updates]) == models).all()
