"""A federation on Ray: `python -m tests.ray.federation_driver FOLDER new|resume [wait]`.

Its clients keep their rows in FOLDER/<name>.npz, and load them in actors. Its outcome, θ as bits or
the error, goes to FOLDER/result.json. With `wait` it lives until its input is closed, so that its
memory can be searched.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from qstore_ray.data.config import DatasetConfig
from qstore_ray.errors import QStoreError
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.hosts.sites import ClientSite
from qstore_ray.federated.result import FederatedResult
from qstore_ray.federated.trainer import FederatedTrainer
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import ClusterConfig, TrainerConfig

ROUNDS = 12


def sites(folder: Path) -> dict[str, ClientSite]:
    """The clients of a folder."""
    found = {}
    for path in sorted(folder.glob("*.npz")):
        data = DatasetConfig(
            name="rows", source="local", task="regression", params={"path": str(path)},
            split={"train": 1.0},
        )  # fmt: skip
        found[path.stem] = ClientSite(dataset=data, key_file=str(path.with_suffix(".key")))
    return found


def federate(folder: Path, storage: Path, workers: int, how: str = "new") -> FederatedResult:
    """A federation with secure sums, of that many actors or in this process."""
    trainer = FederatedTrainer(
        ModelConfig(n_qubits=4, layers=3, entanglement="linear"),
        TrainerConfig(
            batch_size=8, learning_rate=0.05, schedule="constant", target_scaling="none"
        ),
        FederationConfig(
            rounds=ROUNDS, local_epochs=3, local_state="kept", secure_sum=True,
            strategy_options={"weights": "uniform"}, num_workers=workers,
        ),
        storage=storage,
        cluster=ClusterConfig(cpus_per_worker=0.5, address="local"),
        track=TrackConfig(mlflow=False, figures=False),
    )  # fmt: skip
    return trainer.fit(sites(folder), existing="resume" if how == "resume" else "error")


def main(folder: Path, how: str, waits: bool) -> int:
    """The exit code."""
    import ray

    if waits:
        ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20,
                 log_to_driver=False)  # fmt: skip
    try:
        result = {"theta": federate(folder, folder / "runs", 2, how).theta.tobytes().hex()}
    except QStoreError as error:
        (folder / "result.json").write_text(json.dumps(error.as_dict()))
        return error.exit_code
    if waits:
        result["session"] = ray._private.worker.global_worker.node.get_session_dir_path()
    (folder / "result.json").write_text(json.dumps(result))
    if waits:
        sys.stdin.read()
        ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], len(sys.argv) > 3))
