"""Training from the dataset service is training from the same local file, to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.inputs.unlabelled import read_unlabelled
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.service.client.client import DatasetServiceClient
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.run.checkpoint import read_checkpoint
from qstore_ray.train.trainer import QuantumTrainer
from tests.dataset_service import running

WRITERS = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "parquet": lambda frame, path: frame.to_parquet(path, index=False),
    "jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
}


def _frame(n: int = 30) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "town": [("Ulm", "Bonn", "Köln")[k * 7 % 3] for k in range(n)],
            "smoker": [k % 4 < 2 for k in range(n)],
            "age": [None if k % 7 == 3 else 20.0 + (k * 13 % 50) for k in range(n)],
            "species": ["other" if k % 3 else "setosa" for k in range(n)],
        }
    )


def _train(source: str, params: dict, folder: Path, **fields):
    config = DatasetConfig(
        name="rows",
        source=source,
        params=params,
        preprocessing=[{"name": "impute"}, {"name": "standard"}, {"name": "pca", "components": 2}],
        **fields,
    )
    dataset = DatasetLoader.load(config)
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1),
        TrainerConfig(epochs=2, batch_size=8),
        name=source,
        storage=folder / "runs",
        track=TrackConfig(mlflow=False, figures=False),
    )
    return dataset, trainer.fit(dataset)


@pytest.mark.parametrize("form", WRITERS)
def test_the_service_trains_the_model_that_the_file_trains(tmp_path: Path, form: str):
    path = tmp_path / f"rows.{form}"
    WRITERS[form](_frame(), path)
    label = {"label": "species"}
    local, here = _train("local", {"path": str(path)}, tmp_path, columns=label)
    with running(tmp_path / "service") as url:
        record = DatasetServiceClient(url).upload(path, "rows", label="species")
        params = {"dataset_id": record.id, "base_url": url}
        _, there = _train("backend_api", params, tmp_path, cache_dir=str(tmp_path / "cache"))

    ours, theirs = read_checkpoint(there.checkpoint), read_checkpoint(here.checkpoint)
    assert ours.arrays.keys() == theirs.arrays.keys()
    for name, array in theirs.arrays.items():
        np.testing.assert_array_equal(ours.arrays[name], array, err_msg=name)
    assert there.metrics["test_loss"] == here.metrics["test_loss"]

    # Another file, another format: columns in another order, one more, and no label.
    other = _frame(9).drop(columns="species").assign(more=1.0)[["more", "age", "smoker", "town"]]
    other.to_csv(tmp_path / "other.csv", index=False)
    file = there.model.save(tmp_path / "model.qsm")
    for model in (TrainedModel.load(there.run_dir), TrainedModel.load(file)):
        assert model.signature.table == local.schema.table
        rows = read_unlabelled(str(tmp_path / "other.csv"), model.signature).rows
        np.testing.assert_array_equal(model.predict_proba(rows), here.model.predict_proba(rows))
        np.testing.assert_array_equal(
            model.predict(rows), here.model.predict(other[["town", "smoker", "age"]])
        )
