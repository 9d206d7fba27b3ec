"""Run folders without a training: what a run leaves on the disk, written in milliseconds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qstore_ray.config import dump_toml
from qstore_ray.track.jsonl import MetricsFile

CONFIG: Mapping[str, Any] = {
    "name": "digits",
    "dataset": {"name": "digits", "params": {"dataset": "digits"}},
    "model": {"n_qubits": 4, "layers": 2},
    "trainer": {"epochs": 10, "seed": 0},
}


def epoch_record(epoch: int, **more: float) -> dict[str, Any]:
    """The record of an epoch whose losses fall as 1 / (epoch + 1)."""
    loss = 1.0 / (epoch + 1)
    return {
        "event": "epoch", "epoch": epoch, "step": 10 * (epoch + 1), "samples": 100 * (epoch + 1),
        "train_loss": loss, "train_accuracy": 1 - loss / 2, "val_loss": 1.1 * loss,
        "val_accuracy": 1 - 0.6 * loss, "learning_rate": 0.1, "gradient_norm": loss / 3,
        "seconds": 0.5 * (epoch + 1), **more,
    }  # fmt: skip


def make_run(
    storage: Path,
    name: str,
    *,
    epochs: int = 3,
    planned: int | None = None,
    status: str = "finished",
    started: str = "2026-11-30T03:00:00+00:00",
    metrics: Mapping[str, float] | None = None,
    config: Mapping[str, Any] = CONFIG,
    identity: str = "",
) -> Path:
    """A run of so many epochs; its folder."""
    folder = storage / name
    (folder / "checkpoints").mkdir(parents=True)
    records: list[dict[str, Any]] = [
        {"event": "start", "generation": 1, "epochs": planned or epochs, "resumed_from_epoch": 0},
        *(epoch_record(epoch) for epoch in range(epochs)),
    ]
    if status != "running":
        records.append({"event": "end", "status": status, "seconds": 1.0})
    with MetricsFile(folder / "metrics.jsonl") as file:
        for record in records:
            file.append(record, wait=False)
    scores = {"test_accuracy": 0.9, "train_seconds": 1.5} if metrics is None else metrics
    record = {
        "id": identity or f"{name}-0123456789ab", "generation": 1, "name": name, "status": status,
        "started": started, "fingerprints": {"data": "d" * 64}, "versions": {"ray": "2.60.0"},
        "metrics": dict(scores) if status != "running" else {},
    }  # fmt: skip
    (folder / "config.toml").write_text(dump_toml(dict(config)), encoding="utf-8")
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return folder
