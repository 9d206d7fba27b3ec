"""A federation whose clients are on nodes of their own: `python -m tests.chaos.federation …`.

Its arguments are a folder and a JSON table from the clients to the addresses of their nodes. Each
client's rows and key are `~/rows.npz` and `~/site.key`, where its node has its home. Before each
round that the folder has a file `hold-<round>` for, it touches `held-<round>` and waits for
`go-<round>`. Its outcome, θ as bits and who was in the rounds, goes to `result.json`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from qstore_ray.data.config import DatasetConfig
from qstore_ray.errors import QStoreError
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.hosts.sites import ClientSite
from qstore_ray.federated.result import FederatedResult
from qstore_ray.federated.trainer import FederatedTrainer
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import ClusterConfig, TrainerConfig

ROUNDS = 6


def plant(home: Path, seed: int) -> None:
    """The rows of one client, in the home of its node."""
    home.mkdir(parents=True, exist_ok=True)
    x = np.random.default_rng(seed).normal(size=(24, 2))
    np.savez(home / "rows.npz", x=x, y=np.where(x[:, 0] > 0, "yes", "no"))


def site(path: str, key: str, node: str | None = None) -> ClientSite:
    """A client of these rows."""
    data = DatasetConfig(name="rows", source="local", params={"path": path}, split={"train": 1.0})
    return ClientSite(dataset=data, key_file=key, node=node)


def federate(
    sites: dict[str, ClientSite], storage: Path, workers: int, folder: Path | None = None
) -> FederatedResult:
    """All rounds; `folder` has the files that hold it."""

    def join(number: int) -> dict[str, ClientSite]:
        if folder is not None and (folder / f"hold-{number}").exists():
            (folder / f"held-{number}").touch()
            while not (folder / f"go-{number}").exists():
                time.sleep(0.02)
        return {}

    return FederatedTrainer(
        ModelConfig(n_qubits=2, layers=1),
        TrainerConfig(batch_size=8, schedule="constant"),
        FederationConfig(
            rounds=ROUNDS, local_state="kept", num_workers=workers,
            strategy_options={"weights": "uniform"},
        ),
        storage=storage,
        cluster=ClusterConfig(cpus_per_worker=0.5, start_timeout=120.0),
        track=TrackConfig(mlflow=False, figures=False),
    ).fit(sites, join=join)  # fmt: skip


def main(folder: Path, nodes: dict[str, str]) -> int:
    """The exit code."""
    sites = {name: site("~/rows.npz", "~/site.key", node) for name, node in nodes.items()}
    try:
        found = federate(sites, folder / "runs", len(sites), folder)
    except QStoreError as error:
        (folder / "result.json").write_text(json.dumps(error.as_dict()))
        return error.exit_code
    rounds = [[list(record.used), dict(record.excluded)] for record in found.history]
    outcome = {"theta": found.theta.tobytes().hex(), "rounds": rounds}
    (folder / "result.json").write_text(json.dumps(outcome))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
