"""Augmentation as a part of a dataset: train and nothing else, the same bits however it is read."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from qstore_ray import DatasetConfig, DatasetLoader
from qstore_ray.cli.app import main
from qstore_ray.data.augment.config import AUGMENTATIONS, PipelineConfig
from qstore_ray.data.augment.pipeline import AugmentationPipeline
from qstore_ray.data.batches.streaming import StreamingBatches
from qstore_ray.data.quality.report import validate
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.job import JobConfig
from qstore_ray.learn.config import ModelConfig
from qstore_ray.testing.sources import in_order
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.trainer import QuantumTrainer

STANDARD = [{"name": "standard"}, {"name": "pca", "components": 3}]
NOISE = {"name": "gaussian_noise", "std": 0.5, "probability": 1.0}
JITTER = {"name": "angle_jitter", "std": 0.1, "probability": 1.0}
CHAINS: dict[str, list[dict[str, Any]]] = {
    "classical": [NOISE],
    "quantum": [JITTER],
    "hybrid": [{"name": "scale_jitter"}, NOISE, JITTER, {"name": "phase_noise", "std": 1.0}],
}
every_chain = pytest.mark.parametrize("steps", CHAINS.values(), ids=CHAINS)


def _flowers(steps=None, *, tasks: int = 1, seed: int = 0, **augmentation) -> Dataset:
    """Iris, prepared, read in that many tasks, and augmented if there are steps."""
    more = {"augmentation": {"steps": steps, "copies": 2, **augmentation}} if steps else {}
    return DatasetLoader.load(
        DatasetConfig(
            name="iris",
            params={"dataset": "iris", "rows_per_task": -(-150 // tasks)},
            preprocessing=STANDARD,
            seed=seed,
            **more,
        )
    )


def _images(step: dict[str, Any], **augmentation) -> Dataset:
    rng = np.random.default_rng(1)
    return DatasetLoader.from_arrays(
        rng.random((40, 4, 4)),
        np.arange(40) % 2,
        augmentation={"steps": [step], **augmentation},
    )


def _bits(dataset: Dataset, split: str = "train") -> tuple[bytes, bytes]:
    x, y = dataset.materialize(split)
    return x.tobytes(), y.tobytes()


# ---------------------------------------------------------------------------------------- the rows


@every_chain
def test_val_test_and_what_the_preparation_learnt_stay_as_they_are(steps):
    plain, augmented = _flowers(), _flowers(steps)
    for split in ("val", "test"):
        assert _bits(augmented, split) == _bits(plain, split)
        np.testing.assert_array_equal(augmented.rows(split), plain.rows(split))
    learnt = augmented.preparation.to_arrays()
    for name, array in plain.preparation.to_arrays().items():
        assert array.tobytes() == learnt[name].tobytes()


@every_chain
def test_a_row_is_followed_by_its_copies(steps):
    plain, augmented = _flowers(), _flowers(steps)
    x, y = plain.materialize("train")
    more = augmented.materialize("train")
    assert more.x[::3].tobytes() == x.tobytes()
    np.testing.assert_array_equal(more.y, np.repeat(y, 3))
    np.testing.assert_array_equal(augmented.rows("train"), np.repeat(plain.rows("train"), 3))
    for copy in (1, 2):
        assert (more.x[copy::3] != x).any(axis=1).all()
    assert (more.x[1::3] != more.x[2::3]).any(axis=1).all()


@every_chain
def test_copies_are_what_the_steps_make_of_raw_and_of_prepared_rows(steps):
    plain = _flowers(seed=4)
    raw, rows = plain.plan("train").read_raw().x, plain.rows("train")
    classical = [step for step in steps if step["name"] in {"scale_jitter", "gaussian_noise"}]
    found = _flowers(steps, seed=4).materialize("train").x
    every = AugmentationPipeline.from_config(PipelineConfig(steps=steps, seed=4)).steps
    before = AugmentationPipeline(every[: len(classical)], 4)
    behind = AugmentationPipeline(every[len(classical) :], 4, first=len(classical))
    for copy in (1, 2):
        prepared = plain.preparation.transform(before.apply(raw, rows, copy))
        np.testing.assert_array_equal(found[copy::3], behind.apply(prepared, rows, copy))


@every_chain
def test_the_rows_do_not_depend_on_how_the_source_is_cut(steps):
    whole = _flowers(steps)
    for tasks in (2, 5):
        cut = _flowers(steps, tasks=tasks)
        assert len(cut.plan("train").tasks) == tasks
        assert _bits(cut) == _bits(whole)
        assert cut.fingerprint == whole.fingerprint
        backwards = [task() for task in reversed(cut.plan("train").tasks)]
        assert in_order(backwards).x.tobytes() == whole.materialize("train").x.tobytes()


def test_the_seed_decides_the_draws():
    rows = {"x": np.random.default_rng(0).normal(size=(20, 2)), "y": np.arange(20) % 2}
    one, again, other = (
        DatasetLoader.from_arrays(
            **rows,
            split={"train": 0.8, "test": 0.2, "method": "time"},
            augmentation={"steps": [NOISE]},
            seed=seed,
        )
        for seed in (1, 1, 2)
    )
    assert _bits(one) == _bits(again)
    assert one.fingerprint == again.fingerprint
    np.testing.assert_array_equal(one.rows("train"), other.rows("train"))
    assert (one.materialize("train").x[::2] == other.materialize("train").x[::2]).all()
    assert (one.materialize("train").x[1::2] != other.materialize("train").x[1::2]).all()
    assert one.fingerprint != other.fingerprint


def test_parts_that_the_source_brings_are_not_augmented():
    rng = np.random.default_rng(0)
    parts = [(rng.normal(size=(n, 2)), np.arange(n) % 2) for n in (20, 8, 6)]
    dataset = DatasetLoader.from_arrays(
        *parts[0],
        val=parts[1],
        test=parts[2],
        rows_per_task=7,
        preprocessing=[{"name": "standard"}],
        augmentation={"steps": [NOISE, JITTER], "copies": 3},
    )
    assert dataset.sizes == {"train": 80, "val": 8, "test": 6}
    for split, (x, _) in zip(("val", "test"), parts[1:], strict=True):
        prepared = dataset.preparation.transform(x)
        assert dataset.materialize(split).x.tobytes() == prepared.tobytes()


def test_originals_can_be_left_out():
    both, copies = _flowers(CHAINS["hybrid"]), _flowers(CHAINS["hybrid"], keep_original=False)
    is_copy = np.arange(both.sizes["train"]) % 3 > 0
    np.testing.assert_array_equal(
        copies.materialize("train").x, both.materialize("train").x[is_copy]
    )
    assert copies.sizes["train"] == 2 * 105
    assert "train has only 210 copies" in copies.describe()


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_step_works_from_a_configuration(name: str):
    step = {"name": name, "probability": 1.0}
    if name in {"depolarizing", "phase_noise"}:
        step["p" if name == "depolarizing" else "std"] = 0.9
    x, y = _images(step).materialize("train")
    assert len(x) == 2 * 28
    assert x.shape[1] == 16
    assert np.isfinite(x).all()
    assert (x[::2] != x[1::2]).any()
    np.testing.assert_array_equal(y[::2], y[1::2])


# ----------------------------------------------------------------------- what else knows of them


def test_sizes_counts_and_text_speak_of_the_augmented_split(capsys, tmp_path):
    plain, dataset = _flowers(), _flowers(CHAINS["hybrid"])
    assert dataset.sizes == {"train": 315, "val": 15, "test": 30}
    assert len(dataset.materialize("train").y) == 315
    assert dataset.class_counts["train"] == tuple(3 * n for n in plain.class_counts["train"])
    assert dataset.class_counts["test"] == plain.class_counts["test"]
    chain = "scale_jitter → gaussian_noise → angle_jitter → phase_noise"
    assert f"augmentation train has 105 rows and 210 copies ({chain})" in dataset.describe()
    assert "augmentation" not in plain.describe()
    folder = str(dataset.save(tmp_path / "saved"))
    assert main(["data", "info", folder]) == 0
    assert capsys.readouterr().out.strip() == dataset.describe()
    assert main(["data", "info", folder, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["augmentation"]["copies"]) == (dataset.sizes, 2)
    assert told["class_counts"]["train"] == list(dataset.class_counts["train"])
    assert main(["data", "verify", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == dataset.sizes


def test_every_setting_of_an_augmentation_is_in_the_fingerprint():
    datasets = [
        _flowers(),
        _flowers([NOISE]),
        _flowers([NOISE], copies=1),
        _flowers([NOISE], keep_original=False),
        _flowers([{**NOISE, "std": 0.4}]),
        _flowers([NOISE, JITTER]),
    ]
    assert len({dataset.fingerprint for dataset in datasets}) == len(datasets)


@every_chain
def test_a_loaded_dataset_draws_the_same_copies(steps, tmp_path):
    dataset = _flowers(steps, tasks=3)
    loaded = Dataset.load(dataset.save(tmp_path / "saved"))
    for split in dataset.plans:
        assert _bits(loaded, split) == _bits(dataset, split)
        np.testing.assert_array_equal(loaded.rows(split), dataset.rows(split))
    assert loaded.fingerprint == dataset.fingerprint
    assert loaded.describe() == dataset.describe()
    assert loaded.config == dataset.config


def test_a_stream_has_every_row_once_and_goes_on_where_it_was():
    dataset = _flowers(CHAINS["hybrid"], tasks=4)
    stream = StreamingBatches(source=dataset.plan("train"), batch_size=20, seed=1, buffer_rows=50)
    batches = list(stream.iterate())
    x = np.concatenate([batch.x for batch in batches])
    assert sorted(map(bytes, x)) == sorted(map(bytes, dataset.materialize("train").x))
    (first, *_) = stream.iterate(0, 9)
    np.testing.assert_array_equal(first.x, batches[9].x)


def test_the_quality_of_data_is_that_of_the_originals():
    steps = [{"name": "horizontal_flip", "probability": 0.0}]  # copies that are duplicates
    with_copies, rows = _images(steps[0]), np.random.default_rng(1).random((40, 4, 4))
    plain = DatasetLoader.from_arrays(rows, np.arange(40) % 2)
    assert validate(with_copies).findings == validate(plain).findings


def test_a_job_can_say_it_in_toml(tmp_path):
    path = tmp_path / "job.toml"
    path.write_text("""
name = "digits"
[dataset]
name = "digits"
params = { dataset = "digits" }
[dataset.augmentation]
copies = 2
[[dataset.augmentation.steps]]
name = "rotate"
degrees = 10
[[dataset.augmentation.steps]]
name = "angle_jitter"
""")
    job = JobConfig.from_toml(path, ["dataset.augmentation.steps.0.degrees=20"])
    assert job.dataset.augmentation is not None
    assert job.dataset.augmentation.to_dict() == {
        "copies": 2,
        "keep_original": True,
        "steps": [
            {"name": "rotate", "probability": 0.5, "degrees": 20.0, "fill": 0.0},
            {"name": "angle_jitter", "probability": 0.5, "std": 0.05},
        ],
    }
    path.write_text(job.to_toml())
    assert JobConfig.from_toml(path) == job
    assert JobConfig.from_dict(json.loads(json.dumps(job.to_dict()))) == job


# ---------------------------------------------------------------------------------------- training


def test_a_run_on_augmented_rows_repeats_to_the_last_bit(tmp_path):
    dataset = _flowers(CHAINS["hybrid"])

    def run(name: str, data: Dataset):
        trainer = QuantumTrainer(
            ModelConfig(n_qubits=3, layers=1),
            TrainerConfig(epochs=2, batch_size=64),
            name=name,
            storage=str(tmp_path),
            track=TrackConfig(mlflow=False, figures=False),
        )
        return trainer.fit(data)

    one, two, plain = run("one", dataset), run("two", dataset), run("plain", _flowers())
    assert one.history[-1]["train_loss"] == two.history[-1]["train_loss"]
    assert one.history[-1]["train_loss"] != plain.history[-1]["train_loss"]
    x = dataset.plan("test").read_raw().x
    assert one.model.outputs(x).tobytes() == two.model.outputs(x).tobytes()
