"""A run to document, and changes of one fact in a copy of its folder."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qstore_ray import (
    DatasetConfig,
    DatasetLoader,
    ModelConfig,
    QuantumTrainer,
    TrackConfig,
    TrainerConfig,
)
from qstore_ray.baseline import linear_baseline
from qstore_ray.config import dump_toml

FLOWERS = DatasetConfig(
    name="iris", params={"dataset": "iris"}, split={"train": 0.7, "val": 0.1, "test": 0.2},
    preprocessing=[{"name": "minmax"}],
)  # fmt: skip


def trained(storage: Path, name: str = "flowers", **options: Any) -> Path:
    """The folder of a finished run of two epochs."""
    dataset = DatasetLoader.load(FLOWERS)
    trainer = QuantumTrainer(
        ModelConfig(layers=1), TrainerConfig(epochs=2, **options), name=name, storage=storage,
        track=TrackConfig(mlflow=False, figures=False, tags={"team": "botany"}),
    )  # fmt: skip
    return trainer.fit(dataset, baseline=linear_baseline(dataset)).run_dir


def change_json(path: Path, change: Callable[[Any], None]) -> None:
    """Change what a JSON file holds."""
    values = json.loads(path.read_bytes())
    change(values)
    path.write_text(json.dumps(values))


def at(values: Any, *place: str | int) -> Any:
    """The value at a place in nested tables and lists."""
    for name in place:
        values = values[name]
    return values


def set_at(path: Path, value: Any, *place: str | int) -> None:
    """Set the value at a place in a JSON file."""
    change_json(path, lambda values: at(values, *place[:-1]).__setitem__(place[-1], value))


def delete_at(path: Path, *place: str | int) -> None:
    """Delete a key, or an entry of a list, in a JSON file."""
    change_json(path, lambda values: at(values, *place[:-1]).__delitem__(place[-1]))


def set_field(folder: Path, value: Any, *place: str) -> None:
    """Set a field of config.toml; None deletes it."""
    file = folder / "config.toml"
    values = tomllib.loads(file.read_text())
    inner = at(values, *place[:-1])
    if value is None:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    file.write_text(dump_toml(values))


def manifest(folder: Path) -> Path:
    """The manifest of the newest checkpoint."""
    return max(folder.glob("checkpoints/*/manifest.json"))


def fact(table: Any, part: str, section: str, name: str) -> Any:
    """The value of a fact in a document."""
    for each in table[part]["sections"]:
        if each["title"] == section:
            return next(f["value"] for f in each["facts"] if f["name"] == name)
    raise KeyError(section)


def point(table: Any, number: str) -> str:
    """The answer to a point of the maturity model."""
    points = table["maturity"]["points"]
    return next(each["answer"] for each in points if each["number"] == number)


def risks(table: Any) -> set[tuple[str, str]]:
    """Rules that found something, with the level."""
    return {(each["rule"], each["level"]) for each in table["risks"]}
