"""Data, model and training of all cases, from the job files."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from qstore_ray import DatasetConfig, DatasetLoader, ModelConfig, TrackConfig, TrainerConfig
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.federated.partitions import PartitionConfig
from qstore_ray.federated.rows import ClientRows, divide

JOBS = Path(__file__).resolve().parents[2] / "jobs"
SILENT = TrackConfig(mlflow=False, figures=False)
ROUNDS, LOCAL_EPOCHS, BATCH, RATE = 20, 2, 32, 0.1


def job(name: str) -> dict[str, Any]:
    """The tables of the job whose data and model these are."""
    file = {"digits": "digits_federated", "fashion": "fashion"}[name]
    return tomllib.loads((JOBS / f"{file}.toml").read_text("utf-8"))


def load(name: str, seed: int, images: Path | None) -> Dataset:
    """Train and test of one seed; of fashion, the images of an .npz file."""
    table = job(name)["dataset"] | {"seed": seed, "split": {"train": 0.8, "test": 0.2}}
    if name == "digits":
        return DatasetLoader.load(DatasetConfig(**table))
    assert images is not None, "the command line asks for them"
    with np.load(images) as archive:
        x, y = archive["x"], archive["y"]
    return DatasetLoader.from_arrays(
        x, y, split=table["split"], stratify=True, seed=seed, preprocessing=table["preprocessing"]
    )


def model(name: str) -> ModelConfig:
    """The model of the job."""
    return ModelConfig(**job(name)["model"])


def trainer(seed: int, **options: Any) -> TrainerConfig:
    """How each client trains, and central training too."""
    usual = {"batch_size": BATCH, "learning_rate": RATE, "optimizer": "adam", "schedule": "cosine"}
    return TrainerConfig(**{**usual, "seed": seed, **options})


def clients(dataset: Dataset, count: int, alpha: float, seed: int) -> dict[str, ClientRows]:
    """Rows of train by a Dirichlet division; each client has one row at least."""
    return divide(
        dataset,
        PartitionConfig(
            kind="dirichlet", clients=count, alpha=alpha, fewest_rows=1, draws=5000, seed=seed
        ),
    )
