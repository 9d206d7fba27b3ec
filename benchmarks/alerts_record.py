"""Real trainings whose streams `alerts.py` takes: 20 short jobs that differ in everything.

Each step's loss and time, each epoch's record, and the memory of the process after each epoch are
kept, as one Parquet file: a row for each step and each epoch. In fresh processes one after the
other, so that memory is that of one run.

Run: python benchmarks/alerts_record.py    (ten minutes; writes results/alerts_streams.parquet)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from record import RESULTS, origin

from qstore_ray import (
    DatasetConfig,
    DatasetLoader,
    ModelConfig,
    QuantumTrainer,
    TrackConfig,
    TrainerConfig,
)
from qstore_ray.ops.watch.memory import tree_memory
from qstore_ray.track.jsonl import read_records
from qstore_ray.train.callbacks import Callback

STREAMS = RESULTS / "alerts_streams.parquet"

Job = tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]


def data(name: str, components: int = 0, **more: Any) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"name": "minmax"}]
    if components:
        steps.insert(0, {"name": "pca", "components": components})
    return {"name": name, "params": {"dataset": name}, "preprocessing": steps, **more}


DIGITS = data("digits", 4)
REGRESSION = data("diabetes", 4, task="regression")
JOBS: list[Job] = [
    ("digits-adam", DIGITS, {"n_qubits": 4, "layers": 3}, {"epochs": 100}),
    ("digits-sgd", DIGITS, {"n_qubits": 4, "layers": 2}, {"epochs": 100, "optimizer": "sgd"}),
    ("digits-big-steps", DIGITS, {"n_qubits": 4, "layers": 3},
     {"epochs": 100, "learning_rate": 0.3}),
    ("digits-cosine", data("digits", 6), {"n_qubits": 6, "layers": 3},
     {"epochs": 80, "learning_rate": 0.1, "schedule": "cosine"}),
    ("digits-small-batches", DIGITS, {"n_qubits": 4, "layers": 2},
     {"epochs": 40, "batch_size": 16}),
    ("digits-large-batches", DIGITS, {"n_qubits": 4, "layers": 2},
     {"epochs": 200, "batch_size": 512}),
    ("digits-wide", data("digits", 8), {"n_qubits": 8, "layers": 4}, {"epochs": 60}),
    ("digits-reuploading", DIGITS, {"n_qubits": 4, "layers": 4, "reuploading": True},
     {"epochs": 80, "learning_rate": 0.05}),
    ("iris-adam", data("iris"), {"n_qubits": 4, "layers": 2}, {"epochs": 200}),
    ("iris-tiny-batches", data("iris"), {"n_qubits": 4, "layers": 1},
     {"epochs": 150, "batch_size": 4}),
    ("iris-spsa", data("iris"), {"n_qubits": 4, "layers": 1},
     {"epochs": 150, "optimizer": "spsa"}),
    ("iris-shots", data("iris"), {"n_qubits": 4, "layers": 1},
     {"epochs": 60, "backend_options": {"shots": 256}, "gradient": "parameter_shift"}),
    ("wine-adam", data("wine", 4), {"n_qubits": 4, "layers": 2}, {"epochs": 200}),
    ("wine-rmsprop", data("wine", 4), {"n_qubits": 4, "layers": 2},
     {"epochs": 200, "optimizer": "rmsprop"}),
    ("wine-linear-head", data("wine", 6), {"n_qubits": 6, "layers": 2, "head": "linear"},
     {"epochs": 150, "learning_rate": 0.05}),
    ("cancer-adam", data("breast_cancer", 6), {"n_qubits": 6, "layers": 2}, {"epochs": 100}),
    ("cancer-small-steps", data("breast_cancer", 4), {"n_qubits": 4, "layers": 2},
     {"epochs": 150, "learning_rate": 0.003}),
    ("cancer-big-steps", data("breast_cancer", 4), {"n_qubits": 4, "layers": 2},
     {"epochs": 150, "learning_rate": 0.5}),
    ("diabetes-adam", REGRESSION, {"n_qubits": 4, "layers": 2}, {"epochs": 150}),
    ("diabetes-huber", REGRESSION, {"n_qubits": 4, "layers": 3, "loss": "huber"},
     {"epochs": 150, "learning_rate": 0.05}),
]  # fmt: skip


class Observer(Callback):
    """Keeps what metrics.jsonl has not: every step with its time, and the memory of the process."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def on_train_begin(self, run: Any) -> None:
        self._file.write_text("")

    def on_batch_end(self, run: Any, batch: Any) -> None:
        self._keep({"step": run.state.step, "loss": batch.loss})

    def on_epoch_end(self, run: Any, record: Any) -> None:
        self._keep(
            {"epoch": run.state.epoch, "memory_mib": tree_memory([os.getpid()])[os.getpid()]}
        )

    def _keep(self, row: dict[str, float]) -> None:
        with self._file.open("a") as file:
            file.write(json.dumps({"seconds": time.monotonic(), **row}) + "\n")


def train(name: str, out: Path) -> None:
    """Train one job and write its rows as JSON."""
    _, dataset, model, trainer = next(job for job in JOBS if job[0] == name)
    with tempfile.TemporaryDirectory() as folder:
        seen = Path(folder) / "seen.jsonl"
        result = QuantumTrainer(
            ModelConfig(**model), TrainerConfig(seed=1, **trainer), name=name,
            storage=folder, track=TrackConfig(mlflow=False, figures=False),
            callbacks=[Observer(seen)],
        ).fit(DatasetLoader.load(DatasetConfig(**dataset)))  # fmt: skip
        epochs = [r for r in read_records(result.run_dir / "metrics.jsonl") if "train_loss" in r]
        rows = [json.loads(line) for line in seen.read_text().splitlines()]
    memory = iter([row["memory_mib"] for row in rows if "memory_mib" in row])
    kept = [{"run": name, **row} for row in rows if "loss" in row]
    wanted = ("epoch", "train_loss", "gradient_norm", "samples", "seconds")
    kept += [
        {"run": name, "memory_mib": next(memory), **{k: e[k] for k in wanted if k in e}}
        for e in epochs
    ]
    out.write_text(json.dumps(kept))


def main() -> None:
    rows: list[dict[str, Any]] = []
    for name, *_ in JOBS:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "rows.json"
            subprocess.run([sys.executable, __file__, name, str(out)], check=True)
            rows += json.loads(out.read_text())
        print(name, len(rows), flush=True)
    floats = ("loss", "train_loss", "gradient_norm", "samples", "seconds", "memory_mib")
    table = pa.table({
        "run": pa.array([row["run"] for row in rows]).dictionary_encode(),
        **{n: pa.array([row.get(n) for row in rows], pa.int32()) for n in ("step", "epoch")},
        **{n: pa.array([row.get(n) for row in rows], pa.float64()) for n in floats},
    })  # fmt: skip
    table = table.replace_schema_metadata(origin())
    pq.write_table(table, STREAMS, compression="zstd")
    print(STREAMS, table.num_rows, "rows")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        train(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
