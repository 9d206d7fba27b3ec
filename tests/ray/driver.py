"""A training of a few seconds on Ray: `python -m tests.ray.driver FOLDER new|resume [STORAGE]`.

Its outcome, θ as bits or the error, goes to FOLDER/result.json, and its run into STORAGE, which is
FOLDER if it is not given.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import QStoreError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import ClusterConfig, TrainerConfig
from qstore_ray.train.trainer import QuantumTrainer

EPOCHS = 12


def train(storage: str | Path, workers: int, how: str) -> str:
    """θ as bits, after a run of this process or of Ray's workers, `how` "new" or "resume"."""
    dataset = DatasetLoader.load(
        DatasetConfig(
            name="digits",
            params={"dataset": "digits"},
            preprocessing=[{"name": "standard"}, {"name": "pca", "components": 8}],
            split={"train": 0.6, "val": 0.1, "test": 0.3},
        )
    )
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=8, layers=6),
        TrainerConfig(epochs=EPOCHS, batch_size=100, seed=3, num_workers=workers),
        name="run",
        storage=storage,
        cluster=ClusterConfig(cpus_per_worker=0.5),
        track=TrackConfig(mlflow=False, figures=False),
    )
    return (
        trainer.fit(dataset, existing="resume" if how == "resume" else "error")
        .model.theta.tobytes()
        .hex()
    )


def main(folder: Path, how: str, storage: str | Path) -> int:
    """The exit code of a run on two of Ray's workers."""
    try:
        result = {"theta": train(storage, 2, how)}
    except QStoreError as error:
        (folder / "result.json").write_text(json.dumps(error.as_dict()))
        return error.exit_code
    (folder / "result.json").write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], (sys.argv[3:] or sys.argv[1:])[0]))
