"""Pillow, which decodes image files: one place that imports it, because it belongs to an extra."""

from __future__ import annotations

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
