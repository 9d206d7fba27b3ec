"""Augmentations that a dataset cannot have: where the error points, and what it says."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray import DatasetConfig, DatasetLoader
from qstore_ray.data.augment.config import PipelineConfig
from qstore_ray.data.augment.pipeline import AugmentationPipeline, augment_split
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import ConfigError, DataError, UnknownNameError, UsageError

NOISE = {"name": "gaussian_noise", "std": 0.5, "probability": 1.0}
JITTER = {"name": "angle_jitter", "std": 0.1, "probability": 1.0}


def _flowers(steps=(), **augmentation) -> Dataset:
    """Iris on three principal components, augmented if there are steps."""
    more = {"augmentation": {"steps": steps, **augmentation}} if steps else {}
    return DatasetLoader.load(
        DatasetConfig(
            name="iris",
            params={"dataset": "iris"},
            preprocessing=[{"name": "standard"}, {"name": "pca", "components": 3}],
            **more,
        )
    )


@pytest.mark.parametrize(
    ("augmentation", "field", "said"),
    [
        ({"steps": [{"name": "rotat"}]}, "steps.0.name", "'rotate'"),
        ({"steps": [NOISE, {"name": "rotate", "degree": 3}]}, "steps.1.degree", "degrees"),
        ({"steps": [{"name": "rotate", "degrees": 200}]}, "steps.0.degrees", "180"),
        ({"steps": [{"std": 0.1}]}, "steps.0", "rotate"),
        ({"steps": "rotate"}, "steps", "gaussian_noise"),
        ({"steps": []}, "steps", ""),
        ({}, "steps", ""),
        ({"steps": [{"name": "mixup"}]}, "steps.0.name", "qstore_ray.data.augment.mixup"),
        ({"steps": [JITTER, NOISE]}, "steps.1.name", "classical steps first"),
        ({"steps": [NOISE], "copies": 0}, "copies", "1 or more"),
        ({"steps": [NOISE], "shape": [4, 0]}, "shape.1", "1 or more"),
        ({"steps": [NOISE], "seed": 3}, "seed", "copies"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_its_field(augmentation, field: str, said: str):
    with pytest.raises(ConfigError) as caught:
        DatasetConfig(name="iris", params={"dataset": "iris"}, augmentation=augmentation)
    assert caught.value.field == f"augmentation.{field}"
    assert said in caught.value.fix
    assert isinstance(caught.value, UnknownNameError) == (said == "'rotate'")


def test_images_need_a_shape_that_the_source_or_the_configuration_gives():
    with pytest.raises(ConfigError, match="'rotate' needs to know the shape") as caught:
        _flowers([{"name": "rotate"}])
    assert caught.value.field == "augmentation.shape"
    assert "[height, width]" in caught.value.fix
    with pytest.raises(ConfigError, match="no images of this shape") as caught:
        _flowers([{"name": "rotate"}], shape=[3, 3])
    assert (caught.value.field, caught.value.value) == ("augmentation.shape", (3, 3))
    flipped = _flowers([{"name": "vertical_flip", "probability": 1.0}], shape=[2, 2], copies=1)
    raw = _flowers().plan("train").read_raw().x
    expected = flipped.preparation.transform(raw[:, [2, 3, 0, 1]])
    np.testing.assert_array_equal(flipped.materialize("train").x[1::2], expected)


def test_a_step_that_cannot_change_the_prepared_rows_is_refused_when_the_data_is_loaded():
    with pytest.raises(DataError, match="power of two") as caught:
        _flowers([NOISE, {"name": "depolarizing", "encoding": "amplitude"}])
    assert caught.value.field == "augmentation.steps.1.encoding"
    assert caught.value.value == 3
    assert "4 features" in caught.value.fix


def test_missing_values_can_be_filled_before_quantum_steps_only():
    x = np.random.default_rng(2).normal(size=(30, 2))
    x[::7, 1] = np.nan
    settings = {"preprocessing": [{"name": "impute"}]}
    with pytest.raises(ConfigError, match="missing values") as caught:
        DatasetLoader.from_arrays(
            x, np.arange(30) % 2, augmentation={"steps": [NOISE, JITTER]}, **settings
        )
    assert caught.value.field == "augmentation.steps.0.name"
    assert "quantum steps" in caught.value.fix
    filled = DatasetLoader.from_arrays(
        x, np.arange(30) % 2, augmentation={"steps": [JITTER]}, **settings
    )
    assert np.isfinite(filled.materialize("train").x).all()


def test_a_step_that_overflows_names_itself_and_the_row():
    x = np.full((10, 2), 1e308)
    huge = {"name": "scale_jitter", "std": 9.0, "probability": 1.0}
    dataset = DatasetLoader.from_arrays(x, [0, 1] * 5, augmentation={"steps": [JITTER | huge]})
    with pytest.raises(DataError, match="not finite") as caught:
        dataset.materialize("train")
    assert caught.value.field == "augmentation.steps.0.scale_jitter"


def test_copies_of_copies_are_refused():
    pipeline = AugmentationPipeline.from_config(PipelineConfig(steps=[NOISE]))
    with pytest.raises(UsageError, match="copies already") as caught:
        augment_split(_flowers([NOISE]), "train", pipeline)
    assert caught.value.field == "augmentation"
