"""The same 60 rows in every format that the source `local` reads."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet
from PIL import Image

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset

N = 60
X = np.random.default_rng(4).normal(size=(N, 3))
IMAGES = np.random.default_rng(5).integers(0, 256, (N, 4, 3), dtype=np.uint8)
KINDS = np.array(["ant", "bee", "cow"])[np.arange(N) % 3]
NUMBERS = np.arange(N) % 3
NAMES = ("a", "b", "c")


def load(path: Path | str, columns: dict | None = None, task="classification", **params) -> Dataset:
    """The dataset at `path`, with all further arguments as parameters of the source."""
    return DatasetLoader.load(
        DatasetConfig(
            name="mine",
            source="local",
            params={"path": str(path), **params},
            columns=columns,
            task=task,
        )
    )


def rows(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """All rows of the source in their order, with their labels, whatever split they are in."""
    parts = {split: dataset.materialize(split) for split in dataset.sizes}
    order = np.argsort(np.concatenate([dataset.rows(split) for split in parts]))
    x = np.concatenate([part.x for part in parts.values()])[order]
    y = np.concatenate([part.y for part in parts.values()])[order]
    return x, np.array(dataset.classes)[y] if dataset.classes else y


def csv_text(x=X, y=KINDS, names=NAMES, delimiter: str = ",") -> str:
    """A table as CSV, the label last."""
    values = ([*map(repr, row), str(label)] for row, label in zip(x.tolist(), y, strict=True))
    return "".join(delimiter.join(line) + "\n" for line in ([*names, "label"], *values))


def jsonl_text(x=X, y=KINDS) -> str:
    """A table as JSON lines."""
    columns = zip(*x.T.tolist(), y.tolist(), strict=True)
    objects = (dict(zip((*NAMES, "label"), values, strict=True)) for values in columns)
    return "".join(json.dumps(row) + "\n" for row in objects)


def table() -> pa.Table:
    """The table that the Parquet file holds."""
    return pa.table({**dict(zip(NAMES, X.T, strict=True)), "label": KINDS.tolist()})


def idx(array: np.ndarray) -> bytes:
    """An array of bytes in IDX."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def write_images(folder: Path, images=IMAGES, kinds=KINDS) -> Path:
    """PNG files in a sub-folder for each kind."""
    for number, (image, kind) in enumerate(zip(images, kinds, strict=True)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / kind / f"{number:03}.png")
    return folder


def _npz(folder: Path) -> None:
    np.savez(folder / "t.npz", x=X, y=KINDS)


def _packed(folder: Path) -> None:
    np.savez_compressed(folder / "packed.npz", x=X, y=KINDS)


def _npy(folder: Path) -> None:
    (folder / "npy").mkdir()
    np.save(folder / "npy" / "x.npy", np.asfortranarray(X))
    np.save(folder / "npy" / "y.npy", KINDS)


def _hdf5(folder: Path) -> None:
    with h5py.File(folder / "t.h5", "w") as file:
        file.create_dataset("x", data=X, chunks=(8, 2), compression="gzip")
        file["y"] = KINDS.astype("S")


def _mnist(folder: Path) -> None:
    (folder / "mnist").mkdir()
    for part, rows_ in (("train", slice(None)), ("t10k", slice(12))):
        for what, array in (("images-idx3", IMAGES), ("labels-idx1", NUMBERS)):
            path = folder / "mnist" / f"{part}-{what}-ubyte.gz"
            path.write_bytes(gzip.compress(idx(array[rows_])))


def _write_text(name: str, text: Callable[[], str]) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text(), encoding="utf-8") and None


TABLES: dict[str, Callable[[Path], None]] = {
    "t.npz": _npz,
    "packed.npz": _packed,
    "npy": _npy,
    "t.h5": _hdf5,
    "t.csv": _write_text("t.csv", csv_text),
    "t.jsonl": _write_text("t.jsonl", jsonl_text),
    "t.parquet": lambda folder: pyarrow.parquet.write_table(
        table(), folder / "t.parquet", row_group_size=7
    ),
}
PICTURES: dict[str, Callable[[Path], None]] = {
    "mnist": _mnist,
    "images": lambda folder: write_images(folder / "images") and None,
}
OFFICIAL = {"mnist": ("test",)}


def write_all(folder: Path) -> None:
    """Every format, under the name that it has in `TABLES` and `PICTURES`."""
    for write in (*TABLES.values(), *PICTURES.values()):
        write(folder)
