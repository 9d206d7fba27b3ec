"""Steps on images, whose rows are flattened images: pixel (i, j) of channel c in its usual place.

An image has a shape (height, width) or (height, width, channels), always in this order, and is
flattened row by row (the last axis fastest), as `image.reshape(-1)` does. Each step receives the
shape of its input (`shape`) and returns that of its output (`gives`), the next step's `shape`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeAlias

import numpy as np
from pydantic import Field, model_validator

from qstore_ray.data.prepare.steps.base import State, Step
from qstore_ray.errors import ConfigError, not_installed_error

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

Pixels: TypeAlias = Annotated[int, Field(ge=1)]
Size: TypeAlias = tuple[Pixels, Pixels]
Shape: TypeAlias = Size | tuple[Pixels, Pixels, Pixels]

_LUMA = {"bt601": (0.299, 0.587, 0.114), "bt709": (0.2126, 0.7152, 0.0722)}


class ImageStep(Step, ABC):
    """A step that takes images of one shape and gives images of another.

    Args:
        shape: (height, width) or (height, width, channels) of the images it takes.
    """

    shape: Shape

    @property
    @abstractmethod
    def gives(self) -> Shape:
        """Shape of the images that come out."""

    @abstractmethod
    def transform(self, images: FloatArray) -> FloatArray:
        """The images (B, height, width, channels) as (B, height', width', channels')."""

    def fit(self, x: FloatArray) -> State:
        """Nothing to learn; checks that the rows `x` (N, F) are images of this shape.

        Raises:
            ConfigError: F is not height · width · channels.
        """
        if x.shape[1] != int(np.prod(self.shape)):
            raise ConfigError(
                f"rows of {x.shape[1]} pixels are no images of this shape",
                field=f"preprocessing.{self.name}.shape",
                value=self.shape,
                fix="Write [height, width] or [height, width, channels] of the images "
                "as the steps before leave them.",
            )
        return {}

    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """The rows `x` (B, F) as images transformed and flattened, (B, F')."""
        images = x.reshape(len(x), *self.shape[:2], self._channels)
        return self.transform(images).reshape(len(x), int(np.prod(self.gives)))

    @property
    def _channels(self) -> int:
        return self.shape[2] if len(self.shape) == 3 else 1

    def _sized(self, size: Size) -> Shape:
        """`size` with the channels that this step's images have."""
        return (*size, self.shape[2]) if len(self.shape) == 3 else size


class Resize(ImageStep):
    """Images of `size` = (height, width), by linear interpolation after a Gaussian blur.

    Where an image shrinks by a factor s along an axis, the blur has σ = (s − 1)/2 pixels, which
    keeps fine patterns from turning into coarse ones (`skimage.transform.resize`, anti-aliased).
    """

    name: Literal["resize"] = "resize"
    size: Size

    @property
    def gives(self) -> Shape:
        """(height, width) of `size`, with the channels there are."""
        return self._sized(self.size)

    def transform(self, images: FloatArray) -> FloatArray:
        """The images (B, height, width, channels) resized one by one.

        Raises:
            MissingDependencyError: scikit-image is not installed.
        """
        try:
            from skimage.transform import resize
        except ImportError as exc:
            raise not_installed_error(
                "scikit-image", "images", what="the step resize", field="preprocessing"
            ) from exc

        out = np.empty((len(images), *self.size, self._channels))
        for image, resized in zip(images, out, strict=True):
            resized[...] = resize(  # type: ignore[no-untyped-call] # skimage is untyped
                image,
                resized.shape,
                order=1,
                mode="reflect",
                anti_aliasing=True,
                preserve_range=True,
            )
        return out


class Grayscale(ImageStep):
    """Colour images (red, green, blue) as one channel of brightness.

    `bt601`: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601, as Pillow). `bt709`: 0.2126 R + 0.7152 G +
    0.0722 B (ITU-R BT.709). Further channels (transparency) are refused.
    """

    name: Literal["grayscale"] = "grayscale"
    weights: Literal["bt601", "bt709"] = "bt601"

    @model_validator(mode="after")
    def _coloured(self) -> Self:
        if self._channels != 3:
            raise ConfigError(
                "grayscale takes images of 3 channels",
                field="shape",
                value=self.shape,
                fix="Write [height, width, 3], or leave the step out for images of one channel.",
            )
        return self

    @property
    def gives(self) -> Shape:
        """(height, width)."""
        return self.shape[0], self.shape[1]

    def transform(self, images: FloatArray) -> FloatArray:
        """The weighted sum of the channels of the images (B, height, width, 3)."""
        red, green, blue = _LUMA[self.weights]
        # Written out: a product with the vector of weights may round by the size of the batch.
        gray: FloatArray = images[..., :1] * red + images[..., 1:2] * green + images[..., 2:] * blue
        return gray


class Pool(ImageStep):
    """Average or maximum of each tile of `size` = (height, width) pixels; the tiles fill the image.

    Raises:
        ConfigError: a height or width that the tiles do not divide.
    """

    name: Literal["pool"] = "pool"
    size: Size
    kind: Literal["average", "max"] = "average"

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.shape[0] % self.size[0] or self.shape[1] % self.size[1]:
            whole = [
                pixels - pixels % tile
                for pixels, tile in zip(self.shape[:2], self.size, strict=True)
            ]
            raise ConfigError(
                f"tiles of {self.size[0]} × {self.size[1]} do not fill an image of "
                f"{self.shape[0]} × {self.shape[1]}",
                field="size",
                value=self.size,
                fix="Put a crop or resize step before it"
                + (f", to {whole}." if all(whole) else ", or take smaller tiles."),
            )
        return self

    @property
    def gives(self) -> Shape:
        """One pixel a tile, with the channels there are."""
        return self._sized((self.shape[0] // self.size[0], self.shape[1] // self.size[1]))

    def transform(self, images: FloatArray) -> FloatArray:
        """The images (B, height, width, channels) with one pixel a tile."""
        height, width = self.size
        pooled: FloatArray = images[:, ::height, ::width].copy()
        for i, j in np.ndindex(height, width):
            if i or j:  # pixel (i, j) of every tile, in a fixed order
                pixels = images[:, i::height, j::width]
                pooled = np.maximum(pooled, pixels) if self.kind == "max" else pooled + pixels
        return pooled if self.kind == "max" else pooled / (height * width)


class Crop(ImageStep):
    """The centre of the image, `size` = (height, width); an odd pixel over is cut at the end."""

    name: Literal["crop"] = "crop"
    size: Size

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if self.size[0] > self.shape[0] or self.size[1] > self.shape[1]:
            raise ConfigError(
                f"the image of {self.shape[0]} × {self.shape[1]} is smaller than its crop",
                field="size",
                value=self.size,
                fix="Sizes and shapes are written [height, width].",
            )
        return self

    @property
    def gives(self) -> Shape:
        """(height, width) of `size`, with the channels there are."""
        return self._sized(self.size)

    def transform(self, images: FloatArray) -> FloatArray:
        """The middle of the images (B, height, width, channels)."""
        top, left = (self.shape[0] - self.size[0]) // 2, (self.shape[1] - self.size[1]) // 2
        cut: FloatArray = images[:, top : top + self.size[0], left : left + self.size[1]]
        return cut
