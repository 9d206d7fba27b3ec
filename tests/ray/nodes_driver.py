"""A training that waits where a test wants it to: `python -m tests.ray.nodes_driver STORAGE JSON`.

The JSON has `workers` and `holds`, steps after which worker 0 waits until the file `go-<step>` is
in STORAGE, and, at those in `asked`, until it is asked to make place. The outcome, θ as bits or the
error, goes to STORAGE/result.json.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import QStoreError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.callbacks.base import Callback
from qstore_ray.train.config import ClusterConfig, TrainerConfig
from qstore_ray.train.elastic import notice
from qstore_ray.train.trainer import QuantumTrainer
from tests.ledger import AppendsSteps

EPOCHS, STEPS = 6, 10


class Holds(Callback):
    """Waits after some steps, so that a test can do something to the cluster meanwhile."""

    def __init__(self, storage: Path, steps: list[int], asked: list[int]) -> None:
        self._storage, self._steps, self._asked = storage, steps, asked

    def on_batch_end(self, run: Any, batch: Any) -> None:
        step = run.state.step
        if step in self._steps:
            (self._storage / f"held-{step}").touch()
            while not (self._storage / f"go-{step}").exists():
                time.sleep(0.02)
            while step in self._asked and not notice.asked.is_set():
                time.sleep(0.02)


def train(storage: Path, workers: Any = 0, holds: Any = (), asked: Any = (), **cluster: Any) -> str:
    """θ as bits, after a training of sixty steps of which the ledger has each."""
    x = np.random.default_rng(0).normal(size=(160, 4))
    data = DatasetLoader.from_arrays(x, (x[:, 0] * x[:, 1] > 0).astype(int), split={"train": 1.0})
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=4, layers=2),
        TrainerConfig(epochs=EPOCHS, batch_size=16, seed=3, num_workers=workers),
        name="run",
        storage=storage,
        cluster=ClusterConfig(**cluster),
        track=TrackConfig(mlflow=False, figures=False),
        callbacks=[
            Holds(storage, list(holds), list(asked)),
            AppendsSteps(storage / "ledger.jsonl"),
        ],
    )
    existing = "resume" if (storage / "run" / "run.json").exists() else "error"
    return trainer.fit(data, existing=existing).model.theta.tobytes().hex()


def main(storage: Path, options: dict[str, Any]) -> int:
    """The exit code of a training."""
    try:
        result = {"theta": train(storage, **options)}
    except QStoreError as error:
        (storage / "result.json").write_text(json.dumps(error.as_dict()))
        return error.exit_code
    (storage / "result.json").write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
