"""A dataset in memory needs its source no more; steps given by name alone are steps."""

from __future__ import annotations

import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.data.augment.config import AugmentationConfig, PipelineConfig
from qstore_ray.data.augment.images import Rotate
from qstore_ray.data.augment.pipeline import AugmentationPipeline
from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.data.prepare.step_config import StepConfig
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.data.sources.local import held, unpacked
from qstore_ray.errors import ConfigError, DataError, UnknownNameError

X = np.random.default_rng(3).normal(size=(50, 3))


def _loaded(folder: Path, **fields) -> tuple[Dataset, Path]:
    path = folder / "rows.npz"
    np.savez(path, x=X, y=np.arange(50) % 2)
    config = DatasetConfig(
        name="held",
        source="local",
        params={"path": str(path), "rows_per_task": 7},
        preprocessing=[{"name": "standard"}],
        split={"train": 0.6, "val": 0.2, "test": 0.2},
        **fields,
    )
    return DatasetLoader.load(config), path


def _same(a: Dataset, b: Dataset) -> None:
    assert a.sizes == b.sizes
    for split in a.sizes:
        for one, other in zip(a.materialize(split), b.materialize(split), strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(a.rows(split), b.rows(split))
        for one, other in zip(a.plan(split).read_raw(), b.plan(split).read_raw(), strict=True):
            np.testing.assert_array_equal(one, other)


AUGMENTED = {"augmentation": {"copies": 2, "steps": [{"name": "gaussian_noise", "std": 0.1}]}}


@pytest.mark.parametrize("fields", [{}, AUGMENTED], ids=["plain", "augmented"])
def test_what_is_made_from_a_dataset_in_memory_never_reads_the_source(tmp_path, fields):
    dataset, path = _loaded(tmp_path, **fields)
    joined, bare = dataset.with_val_in_train(), dataset.plan("train").unaugmented().read()
    held = pickle.loads(pickle.dumps(dataset.in_memory()))
    expected = {split: dataset.materialize(split) for split in dataset.sizes}
    merged = {split: joined.materialize(split) for split in joined.sizes}
    raw = dataset.plan("train").read_raw()
    path.unlink()
    for split, arrays in expected.items():
        np.testing.assert_array_equal(held.materialize(split).x, arrays.x)
    np.testing.assert_array_equal(held.plan("train").unaugmented().read().x, bare.x)
    np.testing.assert_array_equal(held.plan("train").read_raw().x, raw.x)
    again = held.with_val_in_train()
    assert again.fingerprint == joined.fingerprint
    for split, arrays in merged.items():
        np.testing.assert_array_equal(again.materialize(split).x, arrays.x)
        np.testing.assert_array_equal(again.materialize(split).y, arrays.y)
    _same(Dataset.load(held.save(tmp_path / "saved")), held)


def test_rows_joined_or_prepared_otherwise_are_not_the_held_ones(tmp_path):
    dataset, _ = _loaded(tmp_path)
    held = dataset.in_memory()
    assert held.plan("train").held is not None
    assert held.with_val_in_train().plan("train").held is None
    _same(held.with_val_in_train(), dataset.with_val_in_train())


def test_prepared_rows_alone_are_small_and_say_what_they_need(tmp_path):
    dataset, path = _loaded(tmp_path)
    small = dataset.in_memory(raw=False)
    path.unlink()
    assert small.materialize("train").x.shape == (30, 3)
    with pytest.raises(DataError, match="no such file"):
        small.with_val_in_train()


def test_a_step_that_is_a_name_prepares_or_is_refused():
    prepared = Preparation.fit([StepConfig(name="minmax")], X)
    np.testing.assert_array_equal(
        prepared.transform(X), Preparation.fit(_chain("minmax"), X).transform(X)
    )
    assert [step.name for step in prepared.steps] == ["minmax"]
    with pytest.raises(UnknownNameError, match="minimax"):
        Preparation.fit([StepConfig(name="minimax")], X)
    with pytest.raises(ConfigError, match="components"):
        Preparation.fit([StepConfig(name="pca")], X)


def _chain(name: str):
    return DatasetConfig(
        name="a", params={"dataset": "iris"}, preprocessing=[{"name": name}]
    ).preprocessing


def test_an_augmentation_that_is_a_name_augments_or_is_refused():
    config = PipelineConfig(steps=[AugmentationConfig(name="rotate", probability=0.25)])
    (step,) = AugmentationPipeline.from_config(config).steps
    assert isinstance(step, Rotate)
    assert step.probability == 0.25
    unchecked = config.model_copy(update={"steps": (AugmentationConfig(name="rotate"),)})
    with pytest.raises(ConfigError, match="the class that its name stands for"):
        AugmentationPipeline.from_config(unchecked)
    with pytest.raises(UnknownNameError, match="rotation"):
        PipelineConfig(steps=[AugmentationConfig(name="rotation")])


# ------------------------------------------------------------------------------------------ forks


@pytest.mark.parametrize("module", [held, unpacked])
def test_a_process_forked_off_while_a_thread_reads_can_read_too(module):
    """Such as a worker of a data loader: nobody there would ever release the lock."""
    with module._lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: threads and forks
        child = os.fork()
        if child == 0:
            os._exit(0 if module._lock.acquire(blocking=False) else 1)
        assert not module._lock.acquire(blocking=False)  # the parent's is still held
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
