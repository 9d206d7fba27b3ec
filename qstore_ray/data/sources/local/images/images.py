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

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from qstore_ray.data.sources.base import ColumnsConfig
from qstore_ray.data.sources.local.base import Chunk, Contents, Files, Format, row_ranges
from qstore_ray.data.sources.local.images.labels import labels_from_file, labels_from_folders
from qstore_ray.data.sources.local.images.pixels import Look, read_image
from qstore_ray.data.sources.parts import Split
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.data.inputs.signature import Signature
    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.types import AnyArray

_NAMED = 3


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
