"""Our client under Flower's own server, in its environment, ends where our server does."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import MissingDependencyError
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.partitions import PartitionConfig
from qstore_ray.federated.rows import ClientRows, divide
from qstore_ray.federated.trainer import FederatedTrainer
from qstore_ray.learn.config import ModelConfig
from qstore_ray.train.config import TrainerConfig

PEERS = Path(__file__).resolve().parents[2] / "benchmarks" / "peers"
ROUNDS, EPOCHS = 3, 2


@pytest.mark.skipif(
    importlib.util.find_spec("flwr") is not None, reason="flwr is installed here, so nothing fails"
)
def test_without_flower_the_adapter_says_what_to_install():
    with pytest.raises(MissingDependencyError, match="flwr, which is not installed") as caught:
        importlib.import_module("qstore_ray.federated.flower.client")
    assert "environment of its own" in caught.value.fix


@pytest.fixture(scope="module")
def run_flower() -> Any:
    """Runs a federation in Flower's environment, which is made if it is not there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PEERS))
        import environments
        import flower_run

        try:
            environments.make(flower_run.ENVIRONMENT)
        except environments.InstallError as exc:
            pytest.skip(f"Flower's environment cannot be made, so there is no server: {exc}")
        yield flower_run.run_flower
    for name in ("environments", "flower_run"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def clients() -> dict[str, ClientRows]:
    dataset = DatasetLoader.load(DatasetConfig(name="iris", params={"dataset": "iris"}))
    division = PartitionConfig(kind="dirichlet", clients=3, alpha=1.0, fewest_rows=5)
    return divide(dataset, division)


@pytest.mark.slow  # half a minute each: Flower starts its own Ray
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("mu", "optimizer"), [(0.0, "adam"), (0.5, "sgd")])
def test_under_flowers_server_it_ends_where_ours_does(run_flower, clients, tmp_path, mu, optimizer):
    model, trainer = {"n_qubits": 4}, {"optimizer": optimizer, "batch_size": 8}
    theirs = run_flower(
        clients,
        {"model": model, "trainer": trainer, "rounds": ROUNDS, "local_epochs": EPOCHS, "mu": mu,
         "classes": clients["client-0"].classes, "seed": 0, "evaluates": True},
    )  # fmt: skip
    strategy = {"strategy": "fedprox", "strategy_options": {"mu": mu}} if mu else {}
    federation = FederationConfig(rounds=ROUNDS, local_epochs=EPOCHS, **strategy)
    ours = FederatedTrainer(
        ModelConfig(**model), TrainerConfig(**trainer), federation, storage=tmp_path
    ).fit(clients)
    # Flower adds the models up in another order.
    np.testing.assert_allclose(theirs["theta"], ours.theta, rtol=1e-12, atol=1e-13)
    losses = [theirs["train"][str(n)]["train-loss"] for n in range(1, ROUNDS + 1)]
    np.testing.assert_allclose(losses, [record.loss for record in ours.history], rtol=1e-12)
    assert 0.0 <= theirs["evaluate"][str(ROUNDS)]["eval-accuracy"] <= 1.0
