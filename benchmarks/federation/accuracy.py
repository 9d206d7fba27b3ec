"""Accuracy of a federation beside central training and beside clients that train alone."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from federation import data
from qstore_ray.errors import DataError
from qstore_ray.federated.client import LocalClient
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.hosts.member import RoundTask
from qstore_ray.federated.rows import ClientRows, shard_table
from qstore_ray.federated.strategies.base import LocalRule
from qstore_ray.federated.trainer import FederatedTrainer
from qstore_ray.learn import step as blocks
from qstore_ray.learn.model import QuantumModel, build_model

NAMES, COUNTS, ALPHAS = ("digits", "fashion"), (10, 64), (0.1, 0.5, 1.0)


def federation(**options: Any) -> FederationConfig:
    """20 rounds of two passes; clients keep their optimizers."""
    return FederationConfig(
        rounds=data.ROUNDS, local_epochs=data.LOCAL_EPOCHS, local_state="kept", **options
    )


def alone(name: str, rows: ClientRows, built: QuantumModel, seed: int) -> Any:
    """θ of training on these rows alone, with as many passes over them as in a federation."""
    trainer = data.trainer(seed)
    client = LocalClient(name, built, trainer, federation(), rows, trainer.open_backend())
    theta, memory = built.initial(seed), {}
    for number in range(data.ROUNDS):
        update, memory = client.train(RoundTask(number, theta, LocalRule()), memory)
        theta = update.theta
    return theta


def accuracy(theta: Any, built: QuantumModel, rows: ClientRows) -> float:
    """The share of rows that are right."""
    backend = data.trainer(0).open_backend()
    _, count, correct = blocks.evaluate(built, theta, rows.x, rows.y, backend).sum(axis=0)
    return float(correct / count)


def measure(name: str, seeds: int, images: Path | None) -> list[dict[str, Any]]:
    """A row for each seed, number of clients and alpha."""
    rows = []
    for seed in range(seeds):
        dataset = data.load(name, seed, images)
        whole, test = ClientRows.of(dataset), ClientRows.of(dataset, "test")
        built = build_model(
            data.model(name), n_features=whole.x.shape[1], n_classes=len(whole.classes), task=None
        )
        central = accuracy(alone("all", whole, built, seed), built, test)
        for count in COUNTS:
            for alpha in ALPHAS:
                about = {"data": name, "seed": seed, "clients": count, "alpha": alpha}
                found = _one(dataset, test, built, about)
                rows.append({"case": "accuracy", **about, "central": central, **found})
                print(rows[-1], flush=True)
    return rows


def _one(dataset: Any, test: ClientRows, built: QuantumModel, about: dict[str, Any]) -> Any:
    seed = about["seed"]
    try:
        clients = data.clients(dataset, about["clients"], about["alpha"], seed)
    except DataError as exc:
        return {"not_possible": exc.message}
    sizes = [len(each.x) for each in clients.values()]
    classes = [int((counts > 0).sum()) for counts in shard_table(clients).values()]
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        result = FederatedTrainer(
            data.model(about["data"]), data.trainer(seed), federation(),
            storage=folder, track=data.SILENT,
        ).fit(clients, test=test)  # fmt: skip
    cpu = time.process_time() - began
    local = [
        accuracy(alone(name, rows, built, seed), built, test) for name, rows in clients.items()
    ]
    records = result.history
    return {
        "federated": result.metrics["test_accuracy"],
        "local_mean": statistics.mean(local),
        "local_best": max(local),
        "smallest_client": min(sizes),
        "median_client": float(np.median(sizes)),
        "classes_a_client": statistics.mean(classes),
        "bytes_a_round": statistics.mean(each.sent + each.received for each in records),
        "seconds_a_round": statistics.median(each.seconds for each in records),
        "cpu_seconds_a_round": cpu / data.ROUNDS,
    }
