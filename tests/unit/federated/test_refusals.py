"""What a federation refuses: the message names the field, and the fix says what to write."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from qstore_ray.data.config import DatasetConfig
from qstore_ray.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    RunError,
    UnknownNameError,
    WorkerError,
)
from qstore_ray.federated.checks import fault_of
from qstore_ray.federated.config import PARTS, FederationConfig
from qstore_ray.federated.fleet import ClientFault, LocalFleet, RoundWatch
from qstore_ray.federated.hosts.host import DESCRIBE, ClientHost
from qstore_ray.federated.hosts.member import RoundMember
from qstore_ray.federated.hosts.sites import ClientSite, site_key
from qstore_ray.federated.opening import all_answers
from qstore_ray.federated.result import FederatedResult
from qstore_ray.federated.rows import ClientRows, check_regression
from qstore_ray.federated.secure_sum.crypto import opened_memory, sealed_memory
from qstore_ray.federated.strategies import STRATEGIES, get_strategy
from qstore_ray.federated.strategies.base import ClientUpdate, LocalRule, RoundTask
from qstore_ray.federated.strategies.robust import MultiKrum
from qstore_ray.federated.trainer import FederatedTrainer
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig

IRIS = DatasetConfig(name="iris", params={"dataset": "iris"})


def _rows() -> ClientRows:
    x = np.random.default_rng(0).normal(size=(12, 2))
    return ClientRows(x, (x[:, 0] > 0).astype(int), ("no", "yes"))


def test_a_site_has_one_place():
    with pytest.raises(ConfigError, match="one place"):
        ClientSite(dataset=IRIS, node="10.0.0.1", resource="hospital")
    assert ClientSite(dataset=IRIS, node="10.0.0.1").place == ("node", "10.0.0.1")
    assert ClientSite(dataset=IRIS, resource="hospital").place == ("resource", "hospital")
    assert ClientSite(dataset=IRIS).place == ("", "")


def test_the_key_of_a_site_is_made_once_and_lies_in_the_home_of_its_node(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    key = site_key("north", None)
    assert len(key) == 32
    assert site_key("north", None) == key != site_key("south", None)
    files = list((tmp_path / "qstore_ray" / "federation").iterdir())
    assert len(files) == 2
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
    assert not any("north" in file.name for file in files), "a name may say who a patient is"


def test_what_a_killed_maker_of_a_key_left_is_removed(tmp_path):
    (tmp_path / ".own.key.123.part").write_bytes(b"half")
    site_key("north", str(tmp_path / "own.key"))
    assert [file.name for file in tmp_path.iterdir()] == ["own.key"]


def test_a_key_that_is_none_is_refused(tmp_path):
    (tmp_path / "own.key").write_bytes(b"short")
    with pytest.raises(CheckpointError, match="32 bytes, this file has 5") as caught:
        site_key("north", str(tmp_path / "own.key"))
    assert caught.value.field == "clients.north.key_file"
    with pytest.raises(CheckpointError, match="cannot use the key") as caught:
        site_key("north", str(tmp_path / "own.key" / "below"))
    assert caught.value.value == str(tmp_path / "own.key" / "below")


@pytest.mark.parametrize(
    ("about", "secret"), [("run b", b"k" * 32), ("run a", b"l" * 32)], ids=["about", "secret"]
)
def test_memory_is_opened_for_its_run_and_with_its_key_alone(about, secret):
    sealed = sealed_memory(b"k" * 32, b"moments", "run a")
    assert opened_memory(b"k" * 32, sealed, "run a") == b"moments"
    with pytest.raises(CheckpointError, match="another key, for another run, or changed"):
        opened_memory(secret, sealed, about)
    changed = bytes([sealed[0] ^ 1, *sealed[1:]])
    for wrong in (changed, sealed[:3], b""):
        with pytest.raises(CheckpointError):
            opened_memory(b"k" * 32, wrong, "run a")


class Trained:
    """A client whose update the test gives."""

    def __init__(self, update: ClientUpdate) -> None:
        self.update = update

    def train(self, task: RoundTask, memory: Any) -> tuple[ClientUpdate, dict[str, Any]]:
        return self.update, {}


def _update(**changed: Any) -> ClientUpdate:
    return ClientUpdate("c0", 0, np.ones(3), 4, 0.5)._replace(**changed)


def _task(**changed: Any) -> RoundTask:
    return RoundTask(0, np.zeros(3), LocalRule())._replace(**changed)


def test_an_update_that_is_no_number_never_enters_a_sum():
    member = RoundMember("c0", Trained(_update(theta=np.array([1.0, np.nan, 0.0]))))
    with pytest.raises(RunError) as caught:
        member.train(_task(hidden=True), {})
    assert caught.value.field == "clients.c0"


@pytest.mark.parametrize(
    ("message", "given", "words"),
    [
        ("masked", ({},), "no update for this sum"),
        ("shares", ({}, None), "takes no part in this sum"),
        ("unmask", (frozenset(),), "takes no part in this sum"),
    ],
)
def test_a_member_whose_process_was_started_again_is_out_of_the_sum(message, given, words):
    member = RoundMember("c0", Trained(_update()))
    with pytest.raises(RunError, match=words) as caught:
        member.ask(message, given)
    assert caught.value.field == "clients.c0"


def test_a_client_with_a_key_keeps_the_values_of_its_errors():
    error = DataError("row 3 has 17.5", field="x", value=17.5)
    assert "17.5" in RoundMember("c0", Trained(_update())).fault(error).reason
    hidden = RoundMember("c0", Trained(_update()), b"k" * 32).fault(error)
    assert (hidden.reason, hidden.error) == ("DataError, field 'x'", None)


@pytest.mark.parametrize(("field", "said"), [("x", "field 'x'"), ("", "without a field")])
def test_a_site_keeps_the_details_of_its_errors(field, said):
    error = DataError("row 3 has 17.5", field=field, value=17.5, fix="Look at row 3.")
    fault = ClientHost("north", ClientSite(dataset=IRIS)).fault(error)
    assert said in fault.reason
    assert "17.5" not in fault.reason + str(fault.error) + str(fault.error.fix)
    assert "row 3" not in fault.reason + str(fault.error)
    assert type(fault.error) is DataError
    open_fault = ClientHost("c0", _rows()).fault(error)
    assert open_fault.error is error


def test_a_client_is_opened_before_it_trains():
    with pytest.raises(RunError, match="opened before it is asked"):
        ClientHost("c0", _rows()).ask("train", (_task(), {}))


@pytest.mark.parametrize(
    ("error", "field"),
    [
        (DataError("no", field="x"), "clients.c0.x"),
        (DataError("no"), "clients.c0"),
        (ConfigError("no", field="trainer.privacy"), "trainer.privacy"),
    ],
)
def test_an_error_of_one_client_names_it_once(error, field):
    fleet = SimpleNamespace(ask=lambda message, asked: {"c0": ClientFault("no", error)})
    with pytest.raises(type(error)) as caught:
        all_answers(fleet, DESCRIBE, ["c0"])
    assert (caught.value.field, caught.value.__notes__) == (field, ["client c0"])


def test_a_client_that_sent_no_error_is_one_of_a_worker():
    fleet = SimpleNamespace(ask=lambda message, asked: {"c0": ClientFault("its machine was lost")})
    with pytest.raises(WorkerError, match="its machine was lost") as caught:
        all_answers(fleet, DESCRIBE, ["c0"])
    assert caught.value.field == "clients.c0"


def test_targets_are_scaled_together_or_not_at_all():
    rows = _rows()
    numbers = ClientRows(rows.x, rows.x[:, 0], ()).facts()
    check_regression(rows.facts(), "standard")
    check_regression(numbers, "none")
    with pytest.raises(DataError, match="its own rows") as caught:
        check_regression(numbers, "standard")
    assert 'target_scaling = "none"' in caught.value.fix


def test_parts_of_the_model_that_stay_with_the_clients():
    with pytest.raises(UnknownNameError, match="part of θ") as caught:
        FederationConfig(personal=["head"])
    assert caught.value.field == "personal.0"
    with pytest.raises(ConfigError, match="nothing is learnt together") as caught:
        FederationConfig(personal=list(PARTS))
    assert '["weights", "bias"]' in caught.value.fix


def test_a_strategy_of_ones_own_has_four_methods():
    """A function that makes one is not called when it is registered."""

    def made() -> object:
        return object()

    STRATEGIES.register("of-this-test", made)
    try:
        with pytest.raises(ConfigError, match="local, check, init and update") as caught:
            get_strategy("of-this-test", {})
    finally:
        STRATEGIES.unregister("of-this-test")
    assert (caught.value.field, caught.value.value) == ("strategy", "of-this-test")


def test_a_round_has_as_many_updates_as_are_selected():
    strategy = MultiKrum(faulty=1, selected=6)
    strategy.check(6)
    with pytest.raises(ConfigError, match="5 updates has too few") as caught:
        strategy.check(5)
    assert "at most 5" in caught.value.fix


def test_a_control_variate_without_end_is_a_fault():
    control = np.array([0.0, 1e200, 0.0])
    fault = fault_of(_update(control=control), "c0", _task(control=np.zeros(3)), None)
    assert fault.startswith("its control variate")


def test_a_late_fleet_that_is_stopped_raises_before_the_next_client():
    """A client that trains is not ended; the one after it is not begun."""
    watch, asked = RoundWatch(threading.Event()), []

    class Stops:
        def ask(self, message: str, arguments: tuple[Any, ...]) -> None:
            asked.append(message)
            watch.stop.set()

        def fault(self, error: Any) -> ClientFault:
            return ClientFault(str(error))

    fleet = LocalFleet({"a": Stops(), "b": Stops()}, watch=watch)
    with pytest.raises(KeyboardInterrupt):
        fleet.ask("train", {"a": (), "b": ()})
    assert asked == ["train"]


def test_a_client_that_takes_part_already_does_not_join_again(tmp_path: Path):
    trainer, config = TrainerConfig(batch_size=8, schedule="constant"), FederationConfig(rounds=2)

    def fitted(folder: str, join: Any) -> FederatedResult:
        return FederatedTrainer(
            ModelConfig(n_qubits=2, layers=1), trainer, config, storage=tmp_path / folder,
            track=TrackConfig(mlflow=False, figures=False),
        ).fit({"c0": _rows()}, join=join)  # fmt: skip

    other = ClientRows(-_rows().x, _rows().y, ("no", "yes"))
    again = fitted("again", lambda number: {"c0": other})
    assert again.theta.tobytes() == fitted("alone", None).theta.tobytes()
