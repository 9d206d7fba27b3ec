"""A split through Ray Data has the rows that it has in this process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qstore_ray import ModelConfig, QuantumTrainer, TrainerConfig
from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import DataError
from qstore_ray.testing.sources import in_order
from qstore_ray.track.config import TrackConfig

STEPS = [
    {"name": "rotate", "degrees": 10.0},
    {"name": "angle_jitter"},
]


def _digits(**fields) -> Dataset:
    return DatasetLoader.load(
        DatasetConfig(
            name="digits",
            params={"dataset": "digits", "rows_per_task": 600},
            preprocessing=[{"name": "standard"}, {"name": "pca", "components": 16}],
            **fields,
        )
    )


@pytest.mark.parametrize("fields", [{}, {"augmentation": {"copies": 2, "steps": STEPS}}])
@pytest.mark.parametrize("split", ["train", "test"])
def test_rows_through_ray_are_the_rows_in_process(ray_cluster, split: str, fields: dict):
    dataset = _digits(**fields)
    rows = dataset.to_ray(split)
    assert rows.count() == dataset.sizes[split]
    through_ray = in_order(list(rows.iter_batches(batch_size=100, batch_format="numpy")))
    x, y = dataset.materialize(split)
    np.testing.assert_array_equal(through_ray.y, y)
    np.testing.assert_array_equal(through_ray.x, x)


def _weighted(folder: Path) -> Dataset:
    x = np.random.default_rng(0).normal(size=(40, 2))
    rows = (f"{a},{b},{i % 7 + 1},{i % 2}\n" for i, (a, b) in enumerate(x))
    (folder / "t.csv").write_text("a,b,w,label\n" + "".join(rows))
    return DatasetLoader.load(
        DatasetConfig(
            name="weighted",
            source="local",
            params={"path": str(folder / "t.csv"), "rows_per_task": 7},
            columns={"weight": "w"},
        )
    )


def test_weights_go_through_ray_with_their_rows(ray_cluster, tmp_path: Path):
    dataset = _weighted(tmp_path)
    rows = dataset.to_ray("train").to_pandas().sort_values("row")
    np.testing.assert_array_equal(rows["row"], dataset.rows("train"))
    np.testing.assert_array_equal(rows["weight"], dataset.weights("train"))


def test_workers_train_with_the_weights_of_the_column(ray_cluster, tmp_path: Path):
    dataset = _weighted(tmp_path)
    ends = []
    for workers in (0, 2):
        config = TrainerConfig(epochs=2, batch_size=16, num_workers=workers)
        trainer = QuantumTrainer(
            ModelConfig(n_qubits=2, layers=1), config, name=f"w{workers}", storage=tmp_path,
            track=TrackConfig(mlflow=False, figures=False),
        )  # fmt: skip
        result = trainer.fit(dataset)
        scores = [result.history[-1][name] for name in ("train_loss", "val_loss", "val_accuracy")]
        ends.append((result.model.theta.tobytes(), scores, result.metrics["test_loss"]))
    assert ends[0] == ends[1]


def test_a_file_that_changed_is_our_error_on_the_cluster_too(ray_cluster, tmp_path):
    import ray.exceptions

    x = np.arange(40.0).reshape(20, 2)
    path = tmp_path / "data.npz"
    np.savez(path, x=x, y=np.arange(20) % 2)
    dataset = DatasetLoader.load(
        DatasetConfig(name="file", source="local", params={"path": str(path)})
    )
    np.savez(path, x=x + 1.0, y=np.arange(20) % 2)
    with pytest.raises(ray.exceptions.RayTaskError) as caught:
        dataset.to_ray("train").materialize()
    cause = caught.value.cause
    assert isinstance(cause, DataError)
    assert cause.field == "train"
