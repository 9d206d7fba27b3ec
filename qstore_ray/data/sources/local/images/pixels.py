"""One image file as an array: of which size and mode, and what is refused."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.data.files.files import file_size, open_file
from qstore_ray.data.files.pillow import load_pillow, upright
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray


_KINDS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # none that runs another program
_OPAQUE = 255


@dataclass(frozen=True)
class Look:
    """What images have in common, or are brought to.

    Args:
        size: height and width.
        mode: `L` or `RGB`.
        resize: whether an image of another size is resized, or refused.
        convert: whether an image of another mode is converted, or refused.
        max_bytes: largest file.
        max_pixels: largest image.
        like: whose size and mode they are, in words.
    """

    size: tuple[int, int] | None
    mode: str | None
    resize: bool
    convert: bool
    max_bytes: int
    max_pixels: int
    like: str = "the first image is"


def read_image(path: str, look: Look) -> AnyArray:
    """One image as uint8, (height, width) or (height, width, 3).

    Raises:
        DataError: no image, damaged, too large, of a kind or size that is refused.
        MissingDependencyError: Pillow is not installed.
    """
    if (n_bytes := file_size(path)) > look.max_bytes:
        raise _image_error(
            path,
            f"{n_bytes:,} bytes, {look.max_bytes:,} are allowed",
            "Raise params.max_bytes if this is meant.",
        )
    pil = load_pillow()
    with open_file(path) as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own, about size; ours is below
        try:
            with pil.Image.open(stream, formats=_KINDS) as image:
                return _pixels(image, path, look)
        except pil.UnidentifiedImageError as exc:
            raise _image_error(path, "not an image", "Remove the file.") from exc
        except pil.Image.DecompressionBombError as exc:
            raise _image_error(
                path, "more pixels than are ever opened", "Make it smaller."
            ) from exc
        except (
            OSError,
            ValueError,
            SyntaxError,  # Pillow's for a broken PNG
            TypeError,
            KeyError,
            IndexError,
            EOFError,
            AttributeError,
            ArithmeticError,
            NotImplementedError,
            MemoryError,
        ) as exc:
            raise _image_error(path, f"a damaged image: {exc}", "Replace the file.") from exc


def _pixels(image: Any, path: str, look: Look) -> AnyArray:
    width, height = image.size
    if width * height > look.max_pixels:
        raise _image_error(
            path,
            f"{width} by {height} pixels, {look.max_pixels:,} in all are allowed",
            "Raise params.max_pixels if this is meant.",
        )
    if getattr(image, "n_frames", 1) > 1:
        raise _image_error(path, f"{image.n_frames} images in one file", "Save them one by one.")
    plain = _plain(image, path)
    width, height = plain.size
    if look.mode is not None and plain.mode != look.mode:
        if not look.convert:
            raise _image_error(
                path,
                f"of mode {plain.mode}, {look.like} {look.mode}",
                'Set params.mode to "L" or "RGB".',
            )
        plain = plain.convert(look.mode)
    if look.size is not None and (height, width) != look.size:
        if not look.resize:
            raise _image_error(
                path,
                f"{height} by {width} pixels, {look.like} {look.size[0]} by {look.size[1]}",
                f"Set params.size, for example to [{look.size[0]}, {look.size[1]}].",
            )
        bilinear = load_pillow().Image.Resampling.BILINEAR
        plain = plain.resize((look.size[1], look.size[0]), bilinear)
    return np.asarray(plain, dtype=np.uint8)


def _plain(image: Any, path: str) -> Any:
    """The image as `L` or `RGB`, where that loses nothing."""
    deep = any("16" in str(tile[-1]) for tile in image.tile)  # Pillow cuts 16-bit colour to 8
    if deep or image.mode not in ("1", "L", "P", "RGB", "LA", "RGBA"):
        what = "of 16 bits a value" if deep or "I" in image.mode else f"of mode {image.mode}"
        raise _image_error(path, f"{what}, which is refused", "Save it as 8-bit grey or RGB.")
    see_through = "transparency" in image.info
    if image.mode in ("LA", "RGBA"):
        see_through = image.getchannel("A").getextrema()[0] < _OPAQUE
    if see_through:
        raise _image_error(path, "partly transparent", "Save it without transparency.")
    image.load()
    return upright(image).convert("L" if image.mode in ("1", "L", "LA") else "RGB")


def _image_error(path: str, what: str, fix: str) -> DataError:
    return DataError(what, field=path, fix=fix)
