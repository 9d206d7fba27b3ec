"""The data of a run, loaded again from its configuration for another look."""

from __future__ import annotations

from pathlib import Path

from qstore_ray.config import read_toml
from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import DataError
from qstore_ray.train.run.summary import read_record


def dataset_of(folder: Path) -> Dataset:
    """The data of the run, loaded again and equal to what it was trained on.

    Raises:
        DataError: they cannot be loaded, or have changed.
    """
    trained_on = read_record(folder).fingerprints.get("data")
    config = DatasetConfig.from_dict(read_toml(folder / "config.toml").get("dataset", {}))
    dataset = DatasetLoader.load(config)
    if dataset.fingerprint != trained_on and config.split.ranks is None:
        # The run may be older than `split.ranks`.
        split = config.split.model_copy(update={"ranks": "default_rng"})
        earlier = DatasetLoader.load(config.model_copy(update={"split": split}))
        dataset = earlier if earlier.fingerprint == trained_on else dataset
    if dataset.fingerprint != trained_on:
        raise DataError(
            f"the data have changed since the run: their fingerprint was {trained_on}",
            field="dataset",
            value=dataset.fingerprint,
            fix="Bring the data back as they were, or train on the new ones under another name.",
        )
    return dataset
