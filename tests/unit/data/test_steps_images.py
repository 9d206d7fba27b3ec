"""Steps on images: shapes stated and kept, height before width, known values."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import block_reduce

from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.data.prepare.steps import Crop, Grayscale, Pool, Resize
from qstore_ray.errors import ConfigError


def _run(step, images):
    """The step on images (B, …), as images of the shape that it says it gives."""
    rows = np.asarray(images, dtype=np.float64).reshape(len(images), -1)
    return Preparation.fit([step], rows).transform(rows).reshape(len(images), *step.gives)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2)


@pytest.mark.parametrize(
    ("step", "gives"),
    [
        (Resize(shape=(6, 8), size=(3, 2)), (3, 2)),
        (Resize(shape=(6, 8, 3), size=(7, 9)), (7, 9, 3)),
        (Grayscale(shape=(6, 8, 3)), (6, 8)),
        (Pool(shape=(6, 8), size=(3, 2)), (2, 4)),
        (Pool(shape=(6, 8, 3), size=(2, 8)), (3, 1, 3)),
        (Crop(shape=(6, 8, 3), size=(2, 5)), (2, 5, 3)),
    ],
)
def test_an_image_comes_out_with_the_shape_that_the_step_gives(step, gives, rng):
    assert step.gives == gives
    assert _run(step, rng.random((4, *step.shape))).shape == (4, *gives)


@pytest.mark.parametrize("size", [(3, 4), (12, 2), (5, 16)])
def test_height_and_width_are_never_swapped(size):
    """An image that changes downwards only, stays so at any size."""
    downwards = np.repeat(np.arange(6.0)[:, None], 8, axis=1)[None]
    out = _run(Resize(shape=(6, 8), size=size), downwards)[0]
    np.testing.assert_allclose(out - out[:, :1], 0, atol=1e-12)
    assert (np.diff(out[:, 0]) >= 0).all()
    assert out[-1, 0] > out[0, 0]


def test_resizing_keeps_flat_images_and_blurs_what_is_too_fine():
    flat = np.full((1, 8, 8), 0.3)
    np.testing.assert_allclose(_run(Resize(shape=(8, 8), size=(3, 5)), flat), 0.3, atol=1e-14)
    stripes = np.tile([0.0, 1.0], 16)[None, None].repeat(32, axis=1)  # one pixel wide
    small = _run(Resize(shape=(32, 32), size=(8, 8)), stripes)[0]
    assert np.abs(small[:, 1:-1] - 0.5).max() < 0.1
    same = np.random.default_rng(0).random((2, 4, 5))
    np.testing.assert_allclose(_run(Resize(shape=(4, 5), size=(4, 5)), same), same, atol=1e-12)


def test_channels_are_resized_apart(rng):
    images = rng.random((2, 6, 8, 3))
    together = _run(Resize(shape=(6, 8, 3), size=(3, 4)), images)
    for c in range(3):
        alone = _run(Resize(shape=(6, 8), size=(3, 4)), images[..., c])
        np.testing.assert_allclose(together[..., c], alone, atol=1e-12)


@pytest.mark.parametrize(
    ("weights", "expected"), [("bt601", [0.299, 0.587, 0.114]), ("bt709", [0.2126, 0.7152, 0.0722])]
)
def test_grayscale_weighs_the_channels_by_the_standard(weights, expected):
    pure = np.eye(3).reshape(3, 1, 1, 3)
    gray = _run(Grayscale(shape=(1, 1, 3), weights=weights), pure).ravel()
    np.testing.assert_allclose(gray, expected)
    white = _run(Grayscale(shape=(1, 1, 3), weights=weights), np.ones((1, 1, 1, 3)))
    np.testing.assert_allclose(white, 1.0)


@pytest.mark.parametrize(("kind", "reference"), [("average", np.mean), ("max", np.max)])
def test_pooling_equals_a_reference(kind, reference, rng):
    images = rng.random((3, 6, 8, 3))
    expected = block_reduce(images, (1, 3, 2, 1), reference)
    step = Pool(shape=(6, 8, 3), size=(3, 2), kind=kind)
    np.testing.assert_allclose(_run(step, images), expected, atol=1e-14)


def test_cropping_takes_the_centre():
    image = np.arange(30.0).reshape(1, 5, 6)
    np.testing.assert_array_equal(_run(Crop(shape=(5, 6), size=(3, 2)), image), image[:, 1:4, 2:4])
    np.testing.assert_array_equal(_run(Crop(shape=(5, 6), size=(2, 3)), image), image[:, 1:3, 1:4])


def test_image_steps_follow_each_other_by_their_shapes(rng):
    crop = Crop(shape=(7, 9, 3), size=(6, 8))
    gray = Grayscale(shape=crop.gives)
    pool = Pool(shape=gray.gives, size=(2, 2))
    rows = rng.random((4, 7 * 9 * 3))
    fitted = Preparation.fit([crop, gray, pool], rows)
    assert fitted.transform(rows.reshape(4, 7, 9, 3)).shape == (4, 12)


@pytest.mark.parametrize(
    "step",
    [
        Resize(shape=(4, 5), size=(2, 2)),
        Crop(shape=(4, 5), size=(2, 2)),
        Pool(shape=(4, 5), size=(2, 1)),
    ],
)
def test_rows_of_another_size_are_no_images_of_this_shape(step):
    with pytest.raises(ConfigError, match="rows of 18 pixels are no images") as caught:
        Preparation.fit([step], np.zeros((3, 18)))
    assert caught.value.field == f"preprocessing.{step.name}.shape"
    assert caught.value.value == (4, 5)


def test_sizes_that_cannot_be():
    with pytest.raises(ConfigError, match="tiles of 2 × 3 do not fill an image of 5 × 7") as pool:
        Pool(shape=(5, 7), size=(2, 3))
    assert "[4, 6]" in pool.value.fix
    with pytest.raises(ConfigError, match="smaller than its crop") as crop:
        Crop(shape=(4, 8), size=(8, 4))
    assert "[height, width]" in crop.value.fix
    for shape in ((4, 4), (4, 4, 1), (4, 4, 4)):
        with pytest.raises(ConfigError, match="3 channels"):
            Grayscale(shape=shape)
    with pytest.raises(ConfigError):
        Resize(shape=(4, 4), size=(0, 4))
