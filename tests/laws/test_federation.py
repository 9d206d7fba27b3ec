"""The laws of a federation: central training, any order, resumed, and hostile clients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qstore_ray.errors import (
    ConfigError,
    DataError,
    InterruptedRunError,
    RunError,
    RunExistsError,
    UsageError,
)
from qstore_ray.federated.client import LocalClient
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.result import FederatedResult
from qstore_ray.federated.rows import ClientRows
from qstore_ray.federated.server import (
    FederationState,
    chosen_clients,
    first_state,
    run_round,
)
from qstore_ray.federated.strategies import STRATEGIES, get_strategy
from qstore_ray.federated.trainer import FederatedTrainer
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import build_model
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.jsonl import read_records
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.job import Assignment, TrainingRows
from qstore_ray.train.loop import loop
from qstore_ray.train.loop.reducer import LocalReducer
from qstore_ray.train.loop.reporter import LocalReporter
from qstore_ray.train.run.checkpoint import latest_checkpoint, write_checkpoint
from tests.unit.federated.quadratics import P, QuadraticClient, fleet, quadratics

MODEL = ModelConfig(n_qubits=2, layers=1, input_scaling=True)
QUIET = TrackConfig(mlflow=False, figures=False)
N = 96


def _rows(n: int = N, seed: int = 0) -> ClientRows:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 2))
    return ClientRows(x, (x[:, 0] + 0.3 * x[:, 1] > 0).astype(int), ("no", "yes"))


def _part(rows: ClientRows, take) -> ClientRows:
    return ClientRows(rows.x[take], rows.y[take], rows.classes)


def _fit(tmp_path: Path, clients, trainer=None, existing="error", test=None, **federation):
    options = {"epochs": 1, "batch_size": 16, "learning_rate": 0.1, "schedule": "constant"}
    config = TrainerConfig(**{**options, **(trainer or {})})
    federation = FederationConfig(**federation)
    found = FederatedTrainer(MODEL, config, federation, storage=tmp_path, track=QUIET)
    return found.fit(clients, existing=existing, test=test)


def _central(rows: ClientRows, epochs: int, **options) -> bytes:
    """θ after the training loop of any training."""
    config = TrainerConfig(
        **{"batch_size": 16, "learning_rate": 0.1, "schedule": "constant", **options},
        epochs=epochs,
    )
    model = build_model(MODEL, n_features=2, n_classes=2)
    job = Assignment(model, config, None, 1, {}, {})
    held = TrainingRows(rows.x, rows.y, rows.x[:0], rows.y[:0])
    return loop.run(job, held, LocalReducer(), LocalReporter()).theta.tobytes()


def _clients(count: int = 4) -> dict[str, ClientRows]:
    rows = _rows()
    return {f"c{i}": _part(rows, np.arange(i, N, count)) for i in range(count)}


# ------------------------------------------------------------------------------- central training

CENTRAL = [
    ({"optimizer": "sgd"}, {}),
    ({"optimizer": "sgd", "schedule": "cosine"}, {}),
    ({"optimizer": "sgd", "clip_norm": 0.05}, {}),
    ({"optimizer": "adam"}, {"local_state": "kept"}),
    ({"optimizer": "adam", "schedule": "plateau", "schedule_options": {"patience": 0}},
     {"local_state": "kept"}),
    ({"optimizer": "sgd", "schedule": "one_cycle", "accumulate": 2}, {"local_state": "kept"}),
]  # fmt: skip


@pytest.mark.parametrize("local_epochs", [1, 3])
@pytest.mark.parametrize(("trainer", "federation"), CENTRAL, ids=str)
def test_one_client_is_central_training_to_the_last_bit(
    tmp_path, trainer, federation, local_epochs
):
    rows = _rows()
    found = _fit(tmp_path, {"only": rows}, trainer, rounds=6 // local_epochs,
                 local_epochs=local_epochs, **federation)  # fmt: skip
    assert found.theta.tobytes() == _central(rows, 6, **trainer)


def test_one_full_step_of_clients_with_equal_shards_is_a_synchronous_step(tmp_path):
    """FedSGD: the mean of the clients' models is a step along the mean of their gradients."""
    trainer = {"optimizer": "sgd", "batch_size": N}
    found = _fit(tmp_path, _clients(), trainer, rounds=5)
    central = np.frombuffer(_central(_rows(), 5, **trainer))
    np.testing.assert_allclose(found.theta, central, rtol=1e-10, atol=1e-12)


def test_the_federation_learns_what_its_clients_have(tmp_path):
    found = _fit(tmp_path, _clients(), rounds=15, local_epochs=2, test=_rows(200, seed=5))
    assert found.metrics["test_accuracy"] > 0.85
    assert found.history[-1].loss < found.history[0].loss
    assert {name: counts.sum() for name, counts in found.shards.items()} == dict.fromkeys(
        ("c0", "c1", "c2", "c3"), 24
    )


# ------------------------------------------------------------------------------ any order, resumed


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_the_order_of_clients_changes_no_bit(tmp_path, strategy):
    clients = _clients(8)
    options = {"faulty": 1} if strategy in {"krum", "multikrum", "bulyan"} else {}
    trainer = {"optimizer": "sgd"}
    federation = {"rounds": 2, "strategy": strategy, "strategy_options": options}
    ends = [
        _fit(tmp_path / name, dict(items), trainer, **federation).theta.tobytes()
        for name, items in (("a", clients.items()), ("b", reversed(clients.items())))
    ]
    assert ends[0] == ends[1]


def test_the_choice_of_clients_depends_on_seed_and_round_alone():
    ids = [f"c{i}" for i in range(20)]
    first = [chosen_clients(ids, 5, 3, r) for r in range(200)]
    assert first == [chosen_clients(ids[::-1], 5, 3, r) for r in range(200)]
    assert {len(each) for each in first} == {5}
    counts = np.unique(np.concatenate(first), return_counts=True)[1]
    assert len(counts) == 20
    assert 30 < counts.min() <= counts.max() < 75


class _StopsInRound:
    """Stands in for Ctrl-C while a client trains."""

    def __init__(self, monkeypatch, number: int, client: str) -> None:
        sound = LocalClient.train

        def train(own, task, memory):
            if task.round == number and own._name == client:
                raise KeyboardInterrupt
            return sound(own, task, memory)

        monkeypatch.setattr(LocalClient, "train", train)


RESUMED = [
    ({"optimizer": "sgd"}, {"strategy": "scaffold"}),
    ({"optimizer": "adam"}, {"local_state": "kept", "strategy": "fedadam"}),
    ({"optimizer": "adam"}, {"personal": ["weights", "bias"], "fraction": 0.5}),
]


@pytest.mark.parametrize(("trainer", "federation"), RESUMED, ids=str)
def test_a_run_that_is_stopped_anywhere_resumes_with_the_same_bits(
    tmp_path, monkeypatch, trainer, federation
):
    federation = {"rounds": 3, "local_epochs": 2, **federation}
    whole = _fit(tmp_path / "whole", _clients(), trainer, **federation)
    asked = [(r.round, name) for r in whole.history for name in (r.asked[0], r.asked[-1])]
    for number, client in asked:
        with monkeypatch.context() as patch:
            _StopsInRound(patch, number, client)
            with pytest.raises(InterruptedRunError):
                _fit(tmp_path / f"{number}{client}", _clients(), trainer, **federation)
        found = _fit(
            tmp_path / f"{number}{client}", _clients(), trainer, existing="resume", **federation
        )
        assert found.theta.tobytes() == whole.theta.tobytes()
        assert _ends(found) == _ends(whole)


def _ends(result: FederatedResult):
    saved, problems = latest_checkpoint(result.run_dir / "checkpoints")
    assert problems == []
    records = read_records(result.run_dir / "metrics.jsonl")
    epochs = [r | {"seconds": 0} for r in records if r.get("event") in ("epoch", "round")]
    return {name: array.tobytes() for name, array in saved.arrays.items()}, epochs


def test_a_round_that_was_not_committed_is_repeated(tmp_path, monkeypatch):
    """Stopped between the record of a round in the metrics and its checkpoint."""
    whole = _fit(tmp_path / "a", _clients(), rounds=4)

    def stopped(folder, step, *rest):
        if step == 3:
            raise KeyboardInterrupt
        return write_checkpoint(folder, step, *rest)

    with monkeypatch.context() as patch:
        patch.setattr("qstore_ray.federated.rounds.write_checkpoint", stopped)
        with pytest.raises(InterruptedRunError):
            _fit(tmp_path / "b", _clients(), rounds=4)
    again = _fit(tmp_path / "b", _clients(), rounds=4, existing="resume")
    assert _ends(again) == _ends(whole)


def test_another_federation_of_the_same_name_is_refused(tmp_path):
    _fit(tmp_path, _clients(), rounds=2)
    with pytest.raises(RunExistsError):
        _fit(tmp_path, _clients(), rounds=2)
    with pytest.raises(RunExistsError):
        _fit(tmp_path, _clients(), rounds=2, strategy="fedprox", existing="resume")
    with pytest.raises(RunExistsError):
        _fit(tmp_path, _clients(3), rounds=2, existing="resume")


# ----------------------------------------------------------------------------------- personal heads


def test_personal_parts_stay_with_their_clients_and_the_rest_is_shared(tmp_path):
    clients = _clients(3)
    flipped = clients["c2"]
    clients["c2"] = ClientRows(flipped.x, 1 - flipped.y, flipped.classes)
    found = _fit(tmp_path, clients, rounds=20, local_epochs=2, personal=["weights", "bias"])
    parts = {name: found.model.model.split(theta) for name, theta in found.personal.items()}
    assert parts["c0"].circuit.tobytes() == parts["c2"].circuit.tobytes()
    assert parts["c0"].weights.tobytes() != parts["c2"].weights.tobytes()
    initial = found.model.model.split(found.model.model.initial(0))
    np.testing.assert_allclose(
        found.model.model.split(found.theta).weights, initial.weights, rtol=1e-12
    )
    for name, rows in clients.items():
        predicted = found.model_of(name).predict(rows.x) == "yes"
        assert (predicted == rows.y).mean() > 0.8  # with one head, c2 or the others must be wrong


# ---------------------------------------------------------------------------------- hostile clients


class _Hostile:
    """A client that trains as another one and then changes what it sends."""

    def __init__(self, inner: QuadraticClient, change) -> None:
        self._inner, self._change = inner, change
        self._first = None

    def train(self, task, memory):
        update, after = self._inner.train(task, memory)
        self._first = self._first or update
        return self._change(update, self._first), after


def _leaves(update, first):
    raise DataError("the hospital is closed")


HOSTILE = {
    "nan": (lambda u, f: u._replace(theta=u.theta * np.nan), "no finite numbers"),
    "shape": (lambda u, f: u._replace(theta=u.theta[:2]), "has the shape (2,)"),
    "type": (lambda u, f: u._replace(theta=[1.0] * P), "is list instead of an array"),
    "integers": (lambda u, f: u._replace(theta=np.zeros(P, int)), "no finite numbers"),
    "norm": (lambda u, f: u._replace(theta=1e6 * u.theta), "moves θ by"),
    "replay": (lambda u, f: f._replace(round=f.round), "it answers another round"),
    "impersonation": (lambda u, f: u._replace(client="c1"), "calls itself 'c1'"),
    "rows": (lambda u, f: u._replace(n_rows=-5), "number of rows"),
    "loss": (lambda u, f: u._replace(loss=np.nan), "the loss that it reports"),
    "many rows": (lambda u, f: u._replace(n_rows=10**5000), "number of rows"),
    "real rows": (lambda u, f: u._replace(n_rows=2.5), "number of rows"),
    "loss above all": (lambda u, f: u._replace(loss=1e308), "the loss that it reports"),
    "no loss": (lambda u, f: u._replace(loss="low"), "the loss that it reports"),
    "largest": (lambda u, f: u._replace(theta=np.full(P, 1.7e308)), "moves θ by"),
    "text": (lambda u, f: "update", "it sent str"),
    "nothing": (lambda u, f: None, "it sent NoneType"),
    "leaves": (_leaves, "the hospital is closed"),
}


@pytest.mark.parametrize("attack", sorted(HOSTILE))
def test_a_hostile_client_is_named_and_excluded_and_the_round_goes_on(attack):
    change, said = HOSTILE[attack]
    clients, _ = quadratics()
    without = {name: client for name, client in clients.items() if name != "c4"}
    clients["c4"] = _Hostile(clients["c4"], change)
    config = FederationConfig(rounds=3, largest_change=1e3)
    strategy = get_strategy("fedavg", {})
    state, expected = (first_state(strategy, np.ones(P)) for _ in range(2))
    for number in range(3):
        state, record = run_round(state, fleet(clients), strategy, config)
        expected, _ = run_round(expected, fleet(without), strategy, config)
        if attack != "replay" or number:
            assert list(record.excluded) == ["c4"]
            assert said in record.excluded["c4"]
            assert "c4" not in record.used
    if attack != "replay":
        assert state.theta.tobytes() == expected.theta.tobytes()


@pytest.mark.parametrize("value", [1e155, 1e300, -1.7e308])
@pytest.mark.parametrize("strategy", ["fedavg", "scaffold", "krum", "fedyogi"])
def test_a_change_beyond_all_numbers_is_excluded_without_a_limit(value, strategy):
    """Its norm, or that of the next model, would be no finite number, and end the run."""
    clients, _ = quadratics()
    clients["c4"] = _Hostile(clients["c4"], lambda u, f: u._replace(theta=np.full(P, value)))
    rule = get_strategy(strategy, {})
    config = FederationConfig(strategy=strategy)
    state, record = run_round(first_state(rule, np.ones(P)), fleet(clients), rule, config)
    assert "moves θ by" in record.excluded["c4"]
    assert np.isfinite([record.change, record.loss]).all()
    assert np.isfinite(state.theta).all()


def test_an_error_of_a_program_in_a_client_ends_the_round_with_its_name():
    """A fault of a backend, say: to go on without the client would hide it in every round."""

    def fails(update, first):
        raise ZeroDivisionError("in a backend of the user's own")

    clients, _ = quadratics()
    clients["c4"] = _Hostile(clients["c4"], fails)
    strategy = get_strategy("fedavg", {})
    with pytest.raises(ZeroDivisionError) as caught:
        run_round(first_state(strategy, np.ones(P)), fleet(clients), strategy, FederationConfig())
    assert caught.value.__notes__ == ["client c4"]


MEMORIES = [None, 7, {"step": object()}, {"step": np.array(["a"])}, {1: np.zeros(2)},
            {"step": np.array([{}])}]  # fmt: skip


@pytest.mark.parametrize(
    "memory", MEMORIES, ids=["none", "number", "object", "text", "key", "objects"]
)
@pytest.mark.parametrize("hidden", [False, True])
def test_a_memory_that_no_checkpoint_could_hold_excludes_its_client(memory, hidden):
    class Forgetful:
        def __init__(self, inner):
            self._inner = inner

        def train(self, task, given):
            return self._inner.train(task, {})[0], memory

    clients, _ = quadratics()
    clients["c4"] = Forgetful(clients["c4"])
    strategy = get_strategy("fedavg", {"weights": "uniform"})
    config = FederationConfig(strategy_options={"weights": "uniform"}, secure_sum=hidden)
    state, record = run_round(first_state(strategy, np.ones(P)), fleet(clients), strategy, config)
    assert "it remembers" in record.excluded["c4"]
    assert len(record.used) == 9
    state.to_arrays()


def test_a_sign_flip_passes_the_checks_and_not_the_robust_rules():
    clients, optimum = quadratics()

    def flip(update, first):
        return update._replace(theta=-50.0 * update.theta)

    clients["c4"] = _Hostile(clients["c4"], flip)
    away = {}
    for name, options in (("fedavg", {}), ("median", {"faulty": 1}), ("multikrum", {"faulty": 1})):
        strategy = get_strategy(name, options)
        state = first_state(strategy, np.ones(P))
        for _ in range(30):
            config = FederationConfig(strategy=name, strategy_options=options)
            state, record = run_round(state, fleet(clients), strategy, config)
            assert record.excluded == {}
        away[name] = np.linalg.norm(state.theta - optimum)
    assert away["fedavg"] > 100 * away["median"]
    assert away["fedavg"] > 100 * away["multikrum"]


def test_a_round_with_too_few_updates_changes_nothing_and_is_counted():
    clients, _ = quadratics()
    for name in ("c0", "c1", "c2"):
        clients[name] = _Hostile(clients[name], _leaves)
    strategy = get_strategy("scaffold", {})
    config = FederationConfig(strategy="scaffold", fewest_updates=8)
    state = first_state(strategy, np.ones(P))
    after, record = run_round(state, fleet(clients), strategy, config)
    assert after.theta is state.theta
    assert after.clients == {}
    assert (after.round, after.failed) == (1, 1)
    assert record.used == ()
    assert set(record.excluded) == {"c0", "c1", "c2"}


def test_the_run_fails_with_the_reasons_when_clients_stay_away(tmp_path, monkeypatch):
    sound = LocalClient.train

    def train(own, task, memory):
        if task.round >= 2 and own._name != "c0":
            raise DataError("the disk of this hospital is gone")
        return sound(own, task, memory)

    monkeypatch.setattr(LocalClient, "train", train)
    with pytest.raises(RunError, match="the disk of this hospital is gone"):
        _fit(tmp_path, _clients(), rounds=9, fewest_updates=3, failed_rounds=2)
    monkeypatch.setattr(LocalClient, "train", sound)
    found = _fit(
        tmp_path, _clients(), rounds=9, fewest_updates=3, failed_rounds=2, existing="resume"
    )
    assert found.history[-1].round == 8
    assert all(record.used for record in found.history)


def test_a_state_of_another_strategy_is_not_taken_up():
    strategy = get_strategy("fedadam", {})
    state = first_state(strategy, np.ones(P))
    arrays = first_state(get_strategy("fedavg", {}), np.ones(P)).to_arrays()
    with pytest.raises(RunError, match="another model or strategy"):
        FederationState.from_arrays(arrays, state)


# ---------------------------------------------------------------------------------------- bad input


def _zeros(width: int, classes: tuple[str, ...]) -> ClientRows:
    return ClientRows(np.zeros((5, width)), np.zeros(5, int), classes)


BAD = [
    ({"clients": {}}, DataError, "one client or more"),
    ({"clients": {"a": _part(_rows(), slice(0, 0))}}, DataError, "no rows"),
    ({"clients": {"a": _rows(), "b": _zeros(3, ("no", "yes"))}},
     DataError, "disagree on their features"),
    ({"clients": {"a": _rows(), "b": _zeros(2, ("no", "si"))}},
     DataError, "disagree on their classes"),
    ({"clients": [_rows()]}, UsageError, "table from their ids"),
    ({"clients": {"a": (1, 2)}}, UsageError, "ClientRows"),
    ({"strategy": "krum"}, ConfigError, "needs 5 updates"),
    ({"fewest_updates": 5}, ConfigError, "fewer than it needs"),
    ({"strategy": "scaffold"}, ConfigError, "plain SGD alone"),
    ({"strategy": "scaffold", "trainer": {"optimizer": "sgd", "clip_norm": 1.0}}, ConfigError,
     "plain SGD alone"),
    ({"strategy": "scaffold", "trainer": {"optimizer": "sgd"}, "personal": ["bias"]}, ConfigError,
     "whole model"),
    ({"trainer": {"optimizer": "spsa"}}, ConfigError, "asks for more"),
    ({"trainer": {"num_workers": 2}}, ConfigError, "one process"),
    ({"trainer": {"metrics": ["roc_auc"]}}, ConfigError, "scores nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "error", "said"), BAD, ids=lambda each: str(each)[:40])
def test_what_cannot_be_trained_together_is_refused_before_anything_starts(
    tmp_path, options, error, said
):
    options = dict(options)
    clients = options.pop("clients", _clients())
    with pytest.raises(error, match=said) as found:
        _fit(tmp_path, clients, rounds=2, **options)
    assert found.value.fix
    assert not list(tmp_path.iterdir())
