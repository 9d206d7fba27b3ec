"""Clients as actors: the bits of this process, on any number of actors, through their deaths."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from qstore_ray.data.config import DatasetConfig
from qstore_ray.errors import ConfigError, DataError, ResourceError
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.hosts.sites import ClientSite
from qstore_ray.federated.rows import ClientRows
from qstore_ray.federated.trainer import FederatedTrainer
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import ClusterConfig, TrainerConfig
from qstore_ray.train.run.checkpoint import latest_checkpoint

MODEL = ModelConfig(n_qubits=2, layers=1, input_scaling=True)
QUIET = TrackConfig(mlflow=False, figures=False)
ROUNDS = 4

KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({"optimizer": "adam"}, {"local_state": "kept"}),
    "scaffold": ({"optimizer": "sgd"}, {"strategy": "scaffold"}),
    "secure": ({"optimizer": "adam"},
               {"secure_sum": True, "strategy_options": {"weights": "uniform"},
                "personal": ["bias"]}),
}  # fmt: skip


def _rows(seed: int, n: int = 40) -> ClientRows:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 2))
    return ClientRows(x, (x[:, 0] + 0.3 * x[:, 1] > 0).astype(int), ("no", "yes"))


def _clients(count: int = 4) -> dict[str, ClientRows]:
    return {f"c{i}": _rows(i) for i in range(count)}


def _fit(storage: Path, clients, kind: str = "plain", existing="error", join=None, cluster=None,
         **federation):  # fmt: skip
    local, own = KINDS[kind]
    trainer = TrainerConfig(
        **{"batch_size": 16, "learning_rate": 0.1, "schedule": "constant", **local}
    )
    config = FederationConfig(**{"rounds": ROUNDS, **own, **federation})
    given = ClusterConfig(**{"cpus_per_worker": 0.4, **(cluster or {})})
    found = FederatedTrainer(MODEL, trainer, config, storage=storage, track=QUIET, cluster=given)
    return found.fit(clients, existing=existing, join=join)


def _arrays(result) -> dict[str, bytes]:
    saved, _ = latest_checkpoint(result.run_dir / "checkpoints")
    return {name: array.tobytes() for name, array in saved.arrays.items()}


def _site(folder: Path, name: str, seed: int, **more) -> ClientSite:
    """A client that reads a file of its own."""
    rows = _rows(seed)
    path = folder / f"{name}.npz"
    np.savez(path, x=rows.x, y=np.array(["no", "yes"])[rows.y])
    data = DatasetConfig(
        name=name, source="local", params={"path": str(path)}, split={"train": 1.0}
    )
    return ClientSite(dataset=data, key_file=str(folder / f"{name}.key"), **more)


def _actor_of() -> list[psutil.Process]:
    """Of this test session: others may run theirs on the same machine."""
    mine = psutil.Process().children(recursive=True)
    return [each for each in mine if "ClientActor" in " ".join(each.cmdline() or [each.name()])]


@pytest.mark.parametrize("kind", ["secure"])
def test_two_actors_end_with_the_bits_of_this_process(ray_cluster, tmp_path, kind):
    here = _fit(tmp_path / "here", _clients(), kind)
    there = _fit(tmp_path / "there", _clients(), kind, num_workers=2)
    assert _arrays(there) == _arrays(here)
    assert [record.loss for record in there.history] == [r.loss for r in here.history]
    assert {n: t.tobytes() for n, t in there.personal.items()} == {
        n: t.tobytes() for n, t in here.personal.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_any_number_of_actors_ends_with_the_bits_of_this_process(ray_cluster, tmp_path, kind):
    here = _fit(tmp_path / "here", _clients(5), kind)
    for actors in (1, 2, 3, 4):
        there = _fit(
            tmp_path / str(actors), _clients(5), kind, num_workers=actors,
            cluster={"cpus_per_worker": 0.3},
        )  # fmt: skip
        assert _arrays(there) == _arrays(here)


@pytest.mark.slow
def test_a_site_loads_its_own_rows_and_resumes_with_its_key(ray_cluster, tmp_path):
    sites = {name: _site(tmp_path, name, i) for i, name in enumerate(("north", "south", "west"))}
    here = _fit(tmp_path / "here", sites)
    there = _fit(tmp_path / "there", sites, num_workers=2)
    assert there.theta.tobytes() == here.theta.tobytes()
    assert there.shards == {}
    more = _fit(tmp_path / "there", sites, num_workers=1, existing="resume", rounds=ROUNDS + 2)
    whole = _fit(tmp_path / "whole", sites, rounds=ROUNDS + 2)
    assert more.theta.tobytes() == whole.theta.tobytes()
    raw = np.random.default_rng(9).normal(size=(50, 2))
    assert set(more.model.predict(raw)) == {"no", "yes"}


def test_a_client_whose_actor_dies_is_named_and_comes_back(ray_cluster, tmp_path):
    clients = _clients()

    def kill(number: int) -> dict[str, ClientRows]:
        if number == 1:
            victim = min(_actor_of(), key=lambda process: process.create_time())
            os.kill(victim.pid, signal.SIGKILL)
            victim.wait(10)
        return {}

    found = _fit(tmp_path, clients, num_workers=2, join=kill)
    gone = found.history[1].excluded
    assert sorted(gone) in (["c0", "c2"], ["c1", "c3"])
    assert all("its process ended" in why for why in gone.values())
    assert [len(record.used) for record in found.history] == [4, 2, 4, 4]


@pytest.mark.slow
def test_an_actor_that_may_not_come_back_leaves_its_clients_out(ray_cluster, tmp_path):
    def kill(number: int) -> dict[str, ClientRows]:
        if number == 1:
            os.kill(_actor_of()[0].pid, signal.SIGKILL)
            time.sleep(0.5)
        return {}

    found = _fit(tmp_path, _clients(), num_workers=2, join=kill, cluster={"max_failures": 0})
    assert [len(record.used) for record in found.history] == [4, 2, 2, 2]
    assert "more often than allowed" in " ".join(found.history[3].excluded.values())


def test_a_place_that_no_node_has_is_refused(ray_cluster, tmp_path):
    site = _site(tmp_path, "north", 0, resource="hospital_north")
    with pytest.raises(ResourceError, match="place of north") as caught:
        _fit(tmp_path / "runs", {"north": site}, num_workers=1)
    assert "The nodes are" in caught.value.fix
    with pytest.raises(ConfigError, match="lives in an actor"):
        _fit(tmp_path / "runs", {"north": site})
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_client_that_cannot_load_its_rows_is_our_error_without_a_value(ray_cluster, tmp_path):
    good, bad = _site(tmp_path, "north", 0), _site(tmp_path, "south", 1)
    np.savez(tmp_path / "south.npz", x=np.array([[1.0, np.nan], [4.25e7, 1.0]]), y=["no", "yes"])
    with pytest.raises(DataError) as caught:
        _fit(tmp_path / "runs", {"north": good, "south": bad}, num_workers=2)
    assert "south" in caught.value.field
    assert "4.25" not in str(caught.value)
    assert "42500000" not in str(caught.value)


@pytest.mark.slow
def test_a_client_that_hangs_is_late_then_at_work_and_then_takes_part_again(ray_cluster, tmp_path):
    stopped: list[psutil.Process] = []

    def hang(number: int) -> dict[str, ClientRows]:
        if number == 1:
            stopped.append(max(_actor_of(), key=lambda process: process.create_time()))
            stopped[0].suspend()
        if number == 3:
            stopped[0].resume()
            time.sleep(2.0)  # its answer to round 1 comes, and is dropped
        return {}

    found = _fit(tmp_path, _clients(2), num_workers=2, join=hang, deadline=3.0, rounds=5)
    assert [len(record.used) for record in found.history] == [2, 1, 1, 2, 2]
    (late,), (at_work,) = (found.history[n].excluded.values() for n in (1, 2))
    assert "was late" in late
    assert "still at work" in at_work
