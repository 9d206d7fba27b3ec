"""A training on the stand-in, on a running Ray: `python -m tests.ray.ibm_driver STORAGE NAME HOW`.

HOW is what `fit` takes: error, resume or replace.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from qstore_ray import ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import QStoreError


def main(storage: Path, name: str, how: str) -> int:
    """The exit code of a run of one worker; its key is in the file STORAGE/key."""
    x = np.random.default_rng(0).normal(size=(20, 1))
    options = {
        "device": "fake_manila", "shots": 32, "level": 1, "mode": "batch",
        "token_file": str(storage / "key"), "url": os.environ["QISKIT_IBM_URL"],
        "ledger": str(storage / "ledgers"),
        "policy": {"first_poll": 0.05, "longest_poll": 0.2, "first_pause": 0.1, "tag_delay": 1.0},
    }  # fmt: skip
    trainer = TrainerConfig(
        epochs=4, batch_size=10, backend="ibm", backend_options=options, num_workers=1
    )
    training = QuantumTrainer(
        ModelConfig(n_qubits=1, layers=1), trainer, name=name, storage=storage,
        track=TrackConfig(figures=False),
    )  # fmt: skip
    try:
        training.fit(DatasetLoader.from_arrays(x, (x[:, 0] > 0).astype(int)), existing=how)
    except QStoreError as error:
        print(error.as_dict())  # noqa: T201 - read by the test
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
