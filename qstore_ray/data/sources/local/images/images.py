"""Images: a folder with a sub-folder for each class, or a folder with a file of labels.

    cats-and-dogs/cat/1.png                 the class is the sub-folder's name
    cats-and-dogs/dog/1.png

    params = { path = "images", y_path = "labels.csv" }      columns filename, label

All images come out in one size and mode: their own, if they are equal, or the one asked for. What
would have to be guessed (colour separations, 16 bits, transparency, animations) is a bad image. A
bad image is an error; with `bad_images = "skip"` every image is looked at once beforehand, the bad
ones are left out, and their number is reported and limited.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from qstore_ray.data.files.files import file_size, open_file
from qstore_ray.data.sources.base import ColumnsConfig
from qstore_ray.data.sources.local.base import Chunk, Contents, Files, Format, row_ranges
from qstore_ray.data.sources.local.images.labels import labels_from_file, labels_from_folders
from qstore_ray.data.sources.parts import Split
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.data.inputs.signature import Signature
    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.types import AnyArray

_KINDS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # none that runs another program
_OPAQUE = 255
_NAMED = 3


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


@dataclass(frozen=True)
class ImagesChunk:
    """Some images and their labels."""

    paths: tuple[str, ...]
    labels: AnyArray
    look: Look

    @property
    def n_rows(self) -> int:
        """Rows N."""
        return len(self.paths)

    def read(self) -> tuple[AnyArray, AnyArray]:
        """Images uint8 (N, height, width) or (N, height, width, 3), and labels (N,)."""
        return np.stack([read_image(path, self.look) for path in self.paths]), self.labels


class ImagesFormat(Format):
    """Image files in folders."""

    takes: ClassVar[frozenset[str]] = frozenset(
        {"y_path", "size", "mode", "bad_images", "max_bad_share", "max_pixels", "label_type"}
    )
    parts_by_name: ClassVar[bool] = False  # pictures are called anything

    def open(
        self, root: str, files: Files, params: LocalParams, columns: ColumnsConfig | None
    ) -> Contents:
        """Lists of files with their labels; the first image gives size and mode."""
        if params.y_path is not None:
            labelled = labels_from_file(root, files, params)
        else:
            labelled = labels_from_folders(files)
        every = [path for paths, _ in labelled.values() for path in paths]
        look = Look(
            size=params.size,
            mode=params.mode,
            resize=params.size is not None,
            convert=params.mode is not None,
            max_bytes=params.max_bytes,
            max_pixels=params.max_pixels,
        )
        look, bad = _survey(every, look, params)
        chunks: dict[Split, tuple[Chunk, ...]] = {}
        for part, (paths, labels) in labelled.items():
            kept = [position for position, path in enumerate(paths) if path not in bad]
            chunks[part] = tuple(
                ImagesChunk(tuple(paths[k] for k in kept[a:b]), labels[kept[a:b]], look)
                for a, b in row_ranges(len(kept), params.rows_per_task)
            )
        notes = (
            {"left_out": f"{len(bad)} of {len(every)} images left out: {_some(bad)}"} if bad else {}
        )
        return Contents(chunks=chunks, notes=notes)

    def unlabelled(
        self, files: Sequence[str], params: LocalParams, signature: Signature
    ) -> AnyArray:
        """The images in the order of their paths, in the size and mode of the model's."""
        shape = signature.image_shape
        look = Look(
            size=params.size if shape is None else (shape[0], shape[1]),
            mode=params.mode if shape is None else "L" if len(shape) == 2 else "RGB",
            resize=params.size is not None,
            convert=params.mode is not None,
            max_bytes=params.max_bytes,
            max_pixels=params.max_pixels,
            like="the model's are",
        )
        return np.stack([read_image(path, look) for path in files])


def _survey(paths: list[str], look: Look, params: LocalParams) -> tuple[Look, dict[str, DataError]]:
    """Size and mode from the first good image; what is wrong with each bad one, if they may be."""
    bad: dict[str, DataError] = {}
    complete = look.size is not None and look.mode is not None
    for path in paths:
        if complete and params.bad_images == "fail":
            break
        try:
            image = read_image(path, look)
        except DataError as exc:
            if params.bad_images == "fail":
                raise
            bad[path] = exc
            continue
        if not complete:
            height, width = image.shape[:2]
            mode = "L" if image.ndim == 2 else "RGB"
            look = replace(look, size=look.size or (height, width), mode=look.mode or mode)
            complete = True
    if len(bad) > params.max_bad_share * len(paths) or len(bad) == len(paths):
        first = next(iter(bad.values()))
        raise DataError(
            f"{len(bad)} of {len(paths)} images are bad, a share of {params.max_bad_share:g} is "
            f"allowed; the first is {first.message}",
            field=first.field,
            value=first.value,
            fix="Remove or replace them, or raise params.max_bad_share.",
        )
    return look, bad


def _some(bad: dict[str, DataError]) -> str:
    names = [path.rpartition("/")[2] for path in bad]
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")


def read_image(path: str, look: Look) -> AnyArray:
    """One image as uint8, (height, width) or (height, width, 3).

    Raises:
        DataError: no image, damaged, too large, of a kind or size that is refused.
    """
    if (n_bytes := file_size(path)) > look.max_bytes:
        raise _image_error(
            path,
            f"{n_bytes:,} bytes, {look.max_bytes:,} are allowed",
            "Raise params.max_bytes if this is meant.",
        )
    with open_file(path) as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own, about size; ours is below
        try:
            with Image.open(stream, formats=_KINDS) as image:
                return _pixels(image, path, look)
        except UnidentifiedImageError as exc:
            raise _image_error(path, "not an image", "Remove the file.") from exc
        except Image.DecompressionBombError as exc:
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
        plain = plain.resize((look.size[1], look.size[0]), Image.Resampling.BILINEAR)
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
    return image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")


def _image_error(path: str, what: str, fix: str) -> DataError:
    return DataError(what, field=path, fix=fix)
