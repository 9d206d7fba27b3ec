"""Augmentation of rows that are flattened images (H, W) or (H, W, C).

Geometry and blur are SciPy's, image by image; what comes into view from outside is filled with
`fill`. Rows are flattened in C order, as `as_features` flattens them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy import ndimage

from qstore_ray.data.augment.base import Augmentation, Keys, Shape
from qstore_ray.data.augment.classical import Clipped

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


class HorizontalFlip(Augmentation):
    """The image mirrored left to right."""

    name: Literal["horizontal_flip"] = "horizontal_flip"
    on_images: ClassVar[bool] = True

    def change(self, x: FloatArray, keys: Keys, shape: Shape | None) -> FloatArray:
        """The images `x` (B, F) mirrored, (B, F)."""
        return _images(x, shape)[:, :, ::-1].reshape(x.shape)


class VerticalFlip(Augmentation):
    """The image mirrored top to bottom."""

    name: Literal["vertical_flip"] = "vertical_flip"
    on_images: ClassVar[bool] = True

    def change(self, x: FloatArray, keys: Keys, shape: Shape | None) -> FloatArray:
        """The images `x` (B, F) mirrored, (B, F)."""
        return _images(x, shape)[:, ::-1].reshape(x.shape)


class Rotate(Augmentation):
    """The image turned about its centre by an angle uniform in [−degrees, degrees].

    Args:
        degrees: largest angle; a positive angle turns counter-clockwise.
        fill: value of what comes into view.
    """

    name: Literal["rotate"] = "rotate"
    degrees: float = Field(default=15.0, gt=0.0, le=180.0)
    fill: float = 0.0
    on_images: ClassVar[bool] = True

    def change(self, x: FloatArray, keys: Keys, shape: Shape | None) -> FloatArray:
        """The images `x` (B, F) turned, interpolated linearly, (B, F)."""
        angles = keys.between(-self.degrees, self.degrees, 1)[:, 0]
        images = _images(x, shape)
        out = np.empty_like(images)
        for i, angle in enumerate(angles):
            ndimage.rotate(
                images[i],
                angle,
                axes=(1, 0),
                reshape=False,
                output=out[i],
                order=1,
                mode="grid-constant",
                cval=self.fill,
            )
        return out.reshape(x.shape)


class Shift(Augmentation):
    """The image moved down and right by whole numbers of pixels in [−pixels, pixels].

    Args:
        pixels: largest distance, in each direction drawn on its own.
        fill: value of what comes into view.
    """

    name: Literal["shift"] = "shift"
    pixels: int = Field(default=1, ge=1)
    fill: float = 0.0
    on_images: ClassVar[bool] = True

    def change(self, x: FloatArray, keys: Keys, shape: Shape | None) -> FloatArray:
        """The images `x` (B, F) moved, (B, F)."""
        moves = np.floor(keys.uniform(2) * (2 * self.pixels + 1)).astype(np.int64) - self.pixels
        images = _images(x, shape)
        out = np.full_like(images, self.fill)
        for i, (down, right) in enumerate(moves.tolist()):
            to_rows, from_rows = _overlap(down, images.shape[1])
            to_columns, from_columns = _overlap(right, images.shape[2])
            out[i, to_rows, to_columns] = images[i, from_rows, from_columns]
        return out.reshape(x.shape)


class GaussianBlur(Augmentation):
    """The image convolved with a Gaussian whose width is uniform in (0, sigma].

    Args:
        sigma: largest standard deviation, in pixels.
    """

    name: Literal["gaussian_blur"] = "gaussian_blur"
    sigma: float = Field(default=1.0, gt=0.0)
    on_images: ClassVar[bool] = True

    def change(self, x: FloatArray, keys: Keys, shape: Shape | None) -> FloatArray:
        """The images `x` (B, F) blurred, edges mirrored, (B, F)."""
        widths = keys.between(0.0, self.sigma, 1)[:, 0]
        images = _images(x, shape)
        out = np.empty_like(images)
        for i, width in enumerate(widths):
            ndimage.gaussian_filter(images[i], width, output=out[i], axes=(0, 1), mode="reflect")
        return out.reshape(x.shape)


class Brightness(Clipped):
    """x + δ, one δ for the whole image, uniform in [−delta, delta].

    Args:
        delta: in the units of the pixels.
    """

    name: Literal["brightness"] = "brightness"
    delta: float = Field(default=0.1, ge=0.0)
    on_images: ClassVar[bool] = True

    def change(self, x: FloatArray, keys: Keys, shape: Shape | None) -> FloatArray:
        """The images `x` (B, F) made brighter or darker, (B, F)."""
        return self.clip(x + keys.between(-self.delta, self.delta, 1))


class Contrast(Clipped):
    """mean + (1 + δ)(x − mean), the mean of each image, δ uniform in [−delta, delta].

    Args:
        delta: relative change, without unit; 1 or less, so that no image is inverted.
    """

    name: Literal["contrast"] = "contrast"
    delta: float = Field(default=0.2, ge=0.0, le=1.0)
    on_images: ClassVar[bool] = True

    def change(self, x: FloatArray, keys: Keys, shape: Shape | None) -> FloatArray:
        """The images `x` (B, F) with more or less contrast, (B, F)."""
        mean = x.mean(axis=1, keepdims=True)
        return self.clip(mean + (1.0 + keys.between(-self.delta, self.delta, 1)) * (x - mean))


class Cutout(Augmentation):
    """A square of the image, centred on a pixel drawn uniformly, replaced by `fill`.

    Where the square reaches over the edge, less is cut out. DeVries & Taylor 2017,
    arXiv:1708.04552.

    Args:
        size: side of the square in pixels.
        fill: value of what was cut out.
    """

    name: Literal["cutout"] = "cutout"
    size: int = Field(default=2, ge=1)
    fill: float = 0.0
    on_images: ClassVar[bool] = True

    def change(self, x: FloatArray, keys: Keys, shape: Shape | None) -> FloatArray:
        """The images `x` (B, F) with a hole each, (B, F)."""
        out = _images(x, shape).copy()
        extent = np.array(out.shape[1:3])
        corners = np.floor(keys.uniform(2) * extent).astype(np.int64) - self.size // 2
        for image, corner in zip(out, corners, strict=True):
            top, left = np.maximum(corner, 0)
            bottom, right = corner + self.size
            image[top:bottom, left:right] = self.fill
        return out.reshape(x.shape)


def _images(x: FloatArray, shape: Shape | None) -> FloatArray:
    """The rows `x` (B, F) as images (B, H, W) or (B, H, W, C)."""
    assert shape is not None  # `apply` made sure
    return x.reshape(-1, *shape)


def _overlap(move: int, extent: int) -> tuple[slice, slice]:
    """Where pixels go to and come from along an axis that is moved by `move`."""
    kept = max(extent - abs(move), 0)
    to, since = max(move, 0), max(-move, 0)
    return slice(to, to + kept), slice(since, since + kept)
