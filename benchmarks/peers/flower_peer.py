"""Our client under Flower's server, in Flower's environment: one JSON job in, one JSON answer out.

The job names an .npz file with the rows of each client (`x0`, `y0`, …), and says how many rounds,
which strategy and what model; the answer has θ after the last round, the metrics of each round, and
the seconds that each took.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from typing import Any

import numpy as np
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg, FedProx
from flwr.simulation import run_simulation

from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.flower.client import client_app, initial_arrays, theta_of
from qstore_ray.federated.rows import ClientRows
from qstore_ray.learn.config import ModelConfig
from qstore_ray.train.config import TrainerConfig


def main() -> None:
    """Run the job of the standard input."""
    job: dict[str, Any] = json.load(sys.stdin)
    path, classes = job["rows"], tuple(job["classes"])

    def rows(context: Any) -> ClientRows:
        number = context.node_config["partition-id"]
        with np.load(path) as file:
            return ClientRows(file[f"x{number}"], file[f"y{number}"], classes, "classification")

    model, trainer = ModelConfig(**job["model"]), TrainerConfig(**job["trainer"])
    federation = FederationConfig(rounds=job["rounds"], local_epochs=job["local_epochs"])
    client = client_app(rows, model, trainer, federation)
    with np.load(path) as file:
        first = ClientRows(file["x0"], file["y0"], classes, "classification")
    answer: dict[str, Any] = {}
    server = ServerApp()

    @server.main()
    def start(grid: Any, context: Any) -> None:  # noqa: ARG001 - Flower passes it
        options = {
            "min_available_nodes": job["clients"],
            "fraction_evaluate": 1.0 if job["evaluates"] else 0.0,
        }
        strategy = FedProx(proximal_mu=job["mu"], **options) if job["mu"] else FedAvg(**options)
        at = [time.perf_counter()]

        def note(number: int, arrays: Any) -> None:  # noqa: ARG001 - after each round
            at.append(time.perf_counter())

        found = strategy.start(
            grid, initial_arrays(model, first, job["seed"]), num_rounds=job["rounds"],
            evaluate_fn=note,
        )  # fmt: skip
        answer["theta"] = theta_of(found.arrays).tolist()
        answer["round_seconds"] = np.diff(at)[1:].tolist()  # the first call is before round 1
        answer["train"] = {str(k): dict(v) for k, v in found.train_metrics_clientapp.items()}
        answer["evaluate"] = {str(k): dict(v) for k, v in found.evaluate_metrics_clientapp.items()}

    logging.getLogger("flwr").setLevel(logging.WARNING)
    run_simulation(
        server, client, job["clients"],
        backend_config={
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
            "init_args": {"num_cpus": len(os.sched_getaffinity(0))},  # so many actors
        },
    )  # fmt: skip
    sys.stdout.write("\nANSWER " + json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
