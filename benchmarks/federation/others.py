"""The same work by others, each in an environment of its own."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from driver import Driver
from environments import make
from flower_run import ENVIRONMENT, run_flower
from process import Peer

from federation import data
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.trainer import FederatedTrainer

ROUNDS, TURNS = 8, 2
FLOWER_S = 1500.0  # its Ray and its two actors take a minute and more to start on a busy machine
OWN = Peer("qstore_ray", "qstore_ray", "ours", "peer_qstore_ray_private.py", "own")
PRIVATE = (
    Peer("opacus", "PennyLane in torch, Opacus", "library", "peer_opacus.py", "opacus"),
    Peer(
        "opacus_loop", "PennyLane in torch, row by row", "library", "peer_opacus.py", "opacus",
        ("loop",),
    ),
)  # fmt: skip


def flower() -> list[dict[str, Any]]:
    """Seconds of a round under Flower's simulation and of the same round by our own server."""
    print(f"environment {ENVIRONMENT}: {make(ENVIRONMENT):.0f} s", flush=True)
    dataset = data.load("digits", 0, None)
    rows = []
    for count in (10, 32, 64):
        clients = data.clients(dataset, count, 0.5, 0)
        taken: dict[str, list[float]] = {"flower": [], "process": [], "ray": []}
        about = {"case": "flower", "clients": count, "goal": 3.0}
        try:
            for _ in range(TURNS):
                taken["flower"].append(_flower_round(clients))
                taken["process"].append(_own_round(clients, 0))
                taken["ray"].append(_own_round(clients, 2))
        except subprocess.TimeoutExpired as exc:
            rows.append({**about, "not_measured": f"Flower took more than {exc.timeout:.0f} s"})
            continue
        seconds = {f"{name}_s": statistics.median(each) for name, each in taken.items()}
        ratio = {
            f"over_{name}": statistics.median(
                theirs / own for theirs, own in zip(taken["flower"], taken[name], strict=True)
            )
            for name in ("process", "ray")
        }
        rows.append({**about, **seconds, **ratio})
        print(rows[-1], flush=True)
    return rows


def _flower_round(clients: Any) -> float:
    job = {
        "model": data.job("digits")["model"],
        "trainer": {"batch_size": data.BATCH, "learning_rate": data.RATE, "optimizer": "adam"},
        "rounds": ROUNDS, "local_epochs": 1, "mu": 0.0, "seed": 0, "evaluates": False,
        "classes": [int(label) for label in clients[min(clients)].classes],
    }  # fmt: skip
    found = run_flower(clients, job, FLOWER_S)["round_seconds"]
    return statistics.median(found[1:])  # the first one starts its actors


def _own_round(clients: Any, workers: int) -> float:
    federation = FederationConfig(rounds=ROUNDS, local_epochs=1, num_workers=workers)
    with tempfile.TemporaryDirectory() as folder:
        result = FederatedTrainer(
            data.model("digits"), data.trainer(0), federation, storage=folder, track=data.SILENT
        ).fit(clients)
    return statistics.median(record.seconds for record in result.history[1:])


def opacus() -> list[dict[str, Any]]:
    """A private step on the same circuit and rows, ours and others' in turns on one core."""
    print(f"environment opacus: {make('opacus'):.0f} s", flush=True)
    cores = tuple(sorted(os.sched_getaffinity(0)))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        driver = Driver(
            own=OWN, peers=PRIVATE, folder=Path(folder), core=cores[-1], cores=cores,
            deadline=time.monotonic() + 400.0,
        )  # fmt: skip
        try:
            for qubits in (4, 8):
                rows += [
                    {"case": "opacus", "goal": 20.0, **row} for row in driver.measure("F2", qubits)
                ]
        finally:
            driver.stop()
    for row in rows:
        print(row, flush=True)
    return rows
