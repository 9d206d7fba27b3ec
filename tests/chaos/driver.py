"""A training that meets what a test wants it to: `python -m tests.chaos.driver FOLDER JSON`.

JSON has the arguments of `train`. The outcome, θ as bits or the error, goes to FOLDER/result.json.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import QStoreError, ServiceError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.callbacks.base import Callback
from qstore_ray.train.config import ClusterConfig, TrainerConfig
from qstore_ray.train.elastic import notice
from qstore_ray.train.trainer import QuantumTrainer
from tests.chaos.faults import FAULTS
from tests.ledger import AppendsSteps

EPOCHS, STEPS = 6, 10
_BATCH = 32  # rows: a block of sixteen for each of two workers
_WINDOW = 100  # rows: some windows of a streamed training begin within a batch


class Holds(Callback):
    """Waits after some steps, so that a test can do something to the cluster meanwhile."""

    def __init__(self, folder: Path, steps: list[int], asked: list[int]) -> None:
        self._folder, self._steps, self._asked = folder, steps, asked

    def on_batch_end(self, run: Any, batch: Any) -> None:
        step = run.state.step
        if step in self._steps:
            (self._folder / f"held-{step}").touch()
            while not (self._folder / f"go-{step}").exists():
                time.sleep(0.02)
            while step in self._asked and not notice.asked.is_set():
                time.sleep(0.02)


class Faulty(Callback):
    """Begins a fault in the process of worker 0, and ends the service after a step."""

    def __init__(self, fault: str, folder: Path, down_after: int | None) -> None:
        self._fault, self._folder, self._down_after = fault, folder, down_after

    def on_train_begin(self, run: Any) -> None:
        FAULTS[self._fault](random.Random(1), self._folder)

    def on_batch_end(self, run: Any, batch: Any) -> None:
        if run.state.step == self._down_after:
            (self._folder / "down").touch()


class Service:
    """The exact simulator, with values alone, until the folder has the file `down`."""

    name = "service"

    def __init__(self, folder: Path) -> None:
        self._down = folder / "down"

    def check(self, template: Any, observables: Any, bindings: Any) -> None:
        pass

    def evaluate(
        self, template: Any, observables: Any, bindings: Any, *, shots: Any = None, key: Any = None
    ) -> Any:
        if self._down.exists():
            raise ServiceError("the service does not answer")
        return StatevectorBackend().evaluate(template, observables, bindings)


def data(stream: bool) -> Dataset:
    """The rows of a training, in several blocks."""
    x = np.random.default_rng(0).normal(size=(STEPS * _BATCH, 4))
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    return DatasetLoader.from_arrays(x, y, split={"train": 1.0}, stream=stream, rows_per_task=37)


def train(
    folder: Path,
    workers: Any = 0,
    *,
    holds: Any = (),
    asked: Any = (),
    fault: str = "none",
    stream: bool = False,
    storage: str = "",
    resume: bool | None = None,
    down_after: int | None = None,
    **cluster: Any,
) -> str:
    """θ as bits, after a training of sixty steps of which FOLDER/ledger.jsonl has each.

    Args:
        holds: steps after which worker 0 waits until FOLDER has the file `go-<step>`; at those in
            `asked`, it waits until it is asked to make place, too.
        fault: of `tests.chaos.faults`, in worker 0 and in this process.
        stream: read the rows in windows.
        storage: where the run goes, if not into FOLDER.
        resume: by default, if the run is in FOLDER.
        down_after: step after which the backend is down; a simulator with shots takes over.
        cluster: options of the cluster.
    """
    resume = (folder / "run" / "run.json").exists() if resume is None else resume
    options = {"epochs": EPOCHS, "batch_size": _BATCH, "seed": 3, "num_workers": workers}
    if down_after is not None:
        simulator = {"backend": "statevector", "backend_options": {"shots": 64}}
        options |= {"gradient": "spsa", "fallback": [simulator]}
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=4, layers=2),
        TrainerConfig(**options),
        name="run",
        storage=storage or folder,
        cluster=ClusterConfig(**cluster),
        track=TrackConfig(mlflow=False, figures=False),
        callbacks=[
            Faulty(fault, folder, down_after),
            Holds(folder, list(holds), list(asked)),
            AppendsSteps(folder / "ledger.jsonl"),
        ],
        backend=None if down_after is None else Service(folder),
    )
    if workers:
        FAULTS[fault](random.Random(2), folder)
    with patch("qstore_ray.train.loop.streamed.rows_of_a_window", lambda _: _WINDOW):
        result = trainer.fit(data(stream), existing="resume" if resume else "error")
    return result.model.theta.tobytes().hex()


def main(folder: Path, options: dict[str, Any]) -> int:
    """The exit code of a training."""
    try:
        result = {"theta": train(folder, **options)}
    except QStoreError as error:
        (folder / "result.json").write_text(json.dumps(error.as_dict()))
        return error.exit_code
    (folder / "result.json").write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
