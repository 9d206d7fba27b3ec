"""Pillow, which decodes image files: one place that imports it, because it belongs to an extra."""

from __future__ import annotations

import struct
from typing import Any

from qstore_ray.errors import not_installed_error


def load_pillow() -> Any:
    """The package PIL, with PIL.Image.

    Raises:
        MissingDependencyError: Pillow is not installed.
    """
    try:
        import PIL.Image
    except ImportError as exc:
        raise not_installed_error("Pillow", "images", what="reading images") from exc
    return PIL


_ORIENTATION = 0x0112
_TURNS = (
    "FLIP_LEFT_RIGHT",
    "ROTATE_180",
    "FLIP_TOP_BOTTOM",
    "TRANSPOSE",
    "ROTATE_270",
    "TRANSVERSE",
    "ROTATE_90",
)
"""What makes an image upright that has the orientation 2, 3, …, 8."""


def upright(image: Any) -> Any:
    """A loaded image as its EXIF orientation says that it is to be seen: a camera may be turned.

    An image whose EXIF data cannot be read says nothing of its orientation, and stays as it is.
    """
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, struct.error):
        return image
    if orientation not in range(2, 2 + len(_TURNS)):
        return image
    return image.transpose(load_pillow().Image.Transpose[_TURNS[orientation - 2]])
