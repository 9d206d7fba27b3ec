"""Writes 80 real digits into a folder in the layouts of Keras's cache, as small as they are.

Each writer returns the SHA-256 of what it wrote, by the name that `params.sha256` knows it by.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tests.real_digits import digits

N_TRAIN, N_TEST = 60, 20
Write = Callable[[Any], bytes]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_mnist(folder: Path) -> dict[str, str]:
    x, y = digits()
    parts = {"x_train": x[:N_TRAIN], "y_train": y[:N_TRAIN], "x_test": x[N_TRAIN:]}
    np.savez_compressed(folder / "mnist.npz", **parts, y_test=y[N_TRAIN:])
    return {"mnist.npz": sha256(folder / "mnist.npz")}


def idx(array: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, array.ndim]) + np.asarray(array.shape, ">u4").tobytes()
    return head + array.tobytes()


def write_fashion(folder: Path) -> dict[str, str]:
    x, y = digits()
    home = folder / "fashion-mnist"
    home.mkdir()
    for part, rows in {"train": slice(N_TRAIN), "t10k": slice(N_TRAIN, None)}.items():
        for name, array in {"images-idx3": x[rows], "labels-idx1": y[rows]}.items():
            (home / f"{part}-{name}-ubyte.gz").write_bytes(gzip.compress(idx(array)))
    return {path.name: sha256(path) for path in home.iterdir()}


class Python2Pickler(pickle._Pickler):
    """Writes `bytes` as Python 2 wrote its strings: the format of the real CIFAR files."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value: bytes) -> None:
        if len(value) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(value)]) + value)
        else:
            self.write(pickle.BINSTRING + len(value).to_bytes(4, "little") + value)

    dispatch[bytes] = save_bytes


def python2(value: Any) -> bytes:
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=2).dump(value)
    return stream.getvalue()


def colour(start: int, stop: int) -> np.ndarray:
    """Rows start … stop as (N, 3072) bytes, channel by channel: the digit, its negative, zeros."""
    grey = np.pad(digits()[0][start:stop], ((0, 0), (2, 2), (2, 2)))
    return np.stack([grey, 255 - grey, 0 * grey], axis=1).reshape(len(grey), 3072)


def cifar10_files(write: Write = python2) -> dict[str, bytes]:
    y = digits()[1]
    names = {f"data_batch_{k + 1}": slice(12 * k, 12 * k + 12) for k in range(5)}
    names["test_batch"] = slice(N_TRAIN, N_TRAIN + N_TEST)
    return {
        name: write(
            {
                b"batch_label": name.encode(),
                b"labels": [int(label) for label in y[rows]],
                b"data": colour(rows.start, rows.stop),
                b"filenames": [b"%d.png" % row for row in range(rows.start, rows.stop)],
            }
        )
        for name, rows in names.items()
    }


def cifar100_files(write: Write = python2) -> dict[str, bytes]:
    y = [int(label) for label in digits()[1]]
    parts = {"train": slice(0, N_TRAIN), "test": slice(N_TRAIN, N_TRAIN + N_TEST)}
    files = {
        name: write(
            {
                b"data": colour(rows.start, rows.stop),
                b"fine_labels": y[rows],
                b"coarse_labels": [label // 5 for label in y[rows]],
            }
        )
        for name, rows in parts.items()
    }
    names = {b"fine_label_names": [b"fine %d" % k for k in range(10)]}
    files["meta"] = write({**names, b"coarse_label_names": [b"low", b"high"]})
    return files


def write_archive(path: Path, folder: str, files: dict[str, bytes]) -> str:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return sha256(path)


def write_cifar10(folder: Path) -> dict[str, str]:
    path = folder / "cifar-10-batches-py.tar.gz"
    return {"cifar-10-python.tar.gz": write_archive(path, "cifar-10-batches-py", cifar10_files())}


def write_cifar100(folder: Path) -> dict[str, str]:
    path = folder / "cifar-100-python-target_archive"
    return {"cifar-100-python.tar.gz": write_archive(path, "cifar-100-python", cifar100_files())}


WRITERS = {
    "mnist": write_mnist,
    "fashion_mnist": write_fashion,
    "cifar10": write_cifar10,
    "cifar100": write_cifar100,
}
