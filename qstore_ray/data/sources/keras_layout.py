"""Where Keras keeps its image sets, what they are called there, and how they are opened.

    mnist.npz                                       x_train, y_train, x_test, y_test
    fashion-mnist/{train,t10k}-images-idx3-ubyte.gz   and …-labels-idx1-ubyte.gz
    cifar-10-batches-py…                            the archive, or the folder made from it
    cifar-100-python…                               the same

CIFAR's archive is read in place, so that its hash counts. Keras has named it in several ways, all
of which are tried; the folder is used only if no archive exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.data.files.cifarfile import read_batch, read_names
from qstore_ray.data.files.npyfile import Place, read_array
from qstore_ray.data.files.packed import read_idx, read_members
from qstore_ray.data.sources.cachefile import CachedFile
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

_GOOGLE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_TORONTO = "https://www.cs.toronto.edu/~kriz/"


@dataclass(frozen=True)
class KerasSet:
    """One set: its files with the hashes that Keras publishes, and what its rows are.

    Args:
        url: where Keras downloads the files from.
        published: SHA-256 by file name.
        image_shape: shape of one image.
        folder: folder of the cache that the files, or the extracted batches, are in.
        class_names: names of the classes; None where they are in a file of the set.
        local: names that Keras has given the downloaded archive, newest first.
        batches: files of the parts in the archive.
    """

    url: str
    published: Mapping[str, str]
    image_shape: tuple[int, ...]
    folder: str = ""
    class_names: tuple[str, ...] | None = None
    local: tuple[str, ...] = ()
    batches: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def file_names(self) -> tuple[str, ...]:
        """Names of all files that a hash can be given for."""
        return (*self.published, *(name for part in self.batches.values() for name in part))

    def place(self, cache: Path, name: str) -> Path:
        """Where the file `name` belongs; for an archive that exists, where it is."""
        if not self.batches:
            return cache / self.folder / name
        there = (cache / local for local in self.local)
        return next((path for path in there if path.is_file()), cache / self.local[0])

    def extracted(self, cache: Path) -> Path | None:
        """The folder with all batches, where Keras has left one."""
        names = [name for part in self.batches.values() for name in part]
        for outer in (f"{self.folder}-target", self.folder):
            for path in (cache / outer / self.folder, cache / outer):
                if all((path / name).is_file() for name in names):
                    return path
        return None


SETS: dict[str, KerasSet] = {
    "mnist": KerasSet(
        url=_GOOGLE,
        published={"mnist.npz": "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"},
        image_shape=(28, 28),
        class_names=tuple("0123456789"),
    ),
    "fashion_mnist": KerasSet(
        url=_GOOGLE,
        published={
            "train-images-idx3-ubyte.gz": (
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
            ),
            "train-labels-idx1-ubyte.gz": (
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
            ),
            "t10k-images-idx3-ubyte.gz": (
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
            ),
            "t10k-labels-idx1-ubyte.gz": (
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
            ),
        },
        image_shape=(28, 28),
        folder="fashion-mnist",
        class_names=(
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
    ),
    "cifar10": KerasSet(
        url=_TORONTO,
        published={
            "cifar-10-python.tar.gz": (
                "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
            )
        },
        image_shape=(32, 32, 3),
        folder="cifar-10-batches-py",
        class_names=(
            *("airplane", "automobile", "bird", "cat", "deer"),
            *("dog", "frog", "horse", "ship", "truck"),
        ),
        local=(
            "cifar-10-batches-py-target_archive",
            "cifar-10-batches-py_archive",
            "cifar-10-batches-py.tar.gz",
            "cifar-10-python.tar.gz",
        ),
        batches={
            "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
            "test": ("test_batch",),
        },
    ),
    "cifar100": KerasSet(
        url=_TORONTO,
        published={
            "cifar-100-python.tar.gz": (
                "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"
            )
        },
        image_shape=(32, 32, 3),
        folder="cifar-100-python",
        local=(
            "cifar-100-python-target_archive",
            "cifar-100-python_archive",
            "cifar-100-python.tar.gz",
        ),
        batches={"train": ("train",), "test": ("test",), "names": ("meta",)},
    ),
}


@dataclass(frozen=True)
class Found:
    """The files of a set that were found: file name to place and hash; or one archive."""

    files: Mapping[str, CachedFile]
    archive: CachedFile | None = None

    def verified(self) -> str:
        """Which files are checked against a hash, in words."""
        files = {"archive": self.archive} if self.archive else self.files
        bare = sorted(name for name, file in files.items() if file.sha256 is None)
        return f"not verified, no hash is known: {', '.join(bare)}" if bare else "verified"

    def contents(self, names: tuple[str, ...], max_bytes: int) -> list[bytes]:
        """The content of each file, hashes checked."""
        if self.archive is None:
            return [self.files[name].read(max_bytes) for name in names]
        return read_members(self.archive.read(max_bytes), names, max_bytes, self.archive.path)

    def class_names(self, kind: KerasSet, label_key: str, max_bytes: int) -> tuple[str, ...]:
        """Names of the classes, from the set's own file if it has them."""
        if kind.class_names is not None:
            return kind.class_names
        (meta,) = self.contents(kind.batches["names"], max_bytes)
        return read_names(meta, label_key.replace("labels", "label_names"), "meta")


def find_files(
    kind: KerasSet, cache: Path, given: Mapping[str, str], *, archive: bool = True
) -> Found | None:
    """The files of the set in the cache, with the hashes to expect; None where one is missing.

    Raises:
        DataError: a hash was given for a file that is not used.
    """
    if not kind.batches:
        files = {
            name: CachedFile(str(kind.place(cache, name)), given.get(name, published))
            for name, published in kind.published.items()
        }
        there = archive and all(Path(file.path).is_file() for file in files.values())
        return Found(files) if there else None
    ((name, published),) = kind.published.items()
    place = kind.place(cache, name)
    extracted = kind.extracted(cache)
    if place.is_file():
        if not archive:
            return None
        _check_used(given, {name}, str(place))
        return Found({}, CachedFile(str(place), given.get(name, published)))
    if extracted is None:
        return None
    names = [batch for part in kind.batches.values() for batch in part]
    _check_used(given, set(names), str(extracted))
    return Found({name: CachedFile(str(extracted / name), given.get(name)) for name in names})


def read_part(
    found: Found, kind: KerasSet, part: str, label_key: str, max_bytes: int
) -> tuple[AnyArray, AnyArray]:
    """Images (N, height, width, …) uint8 and labels (N,) of `train` or `test`.

    Raises:
        DataError: a file is missing, damaged, too large, or holds something else.
    """
    if kind.batches:
        names = kind.batches[part]
        contents = zip(found.contents(names, max_bytes), names, strict=True)
        batches = [read_batch(content, label_key, name) for content, name in contents]
        x = np.concatenate([batch.x for batch in batches])
        y: AnyArray = np.concatenate([batch.y for batch in batches])
    elif not kind.folder:
        (file,) = found.files.values()
        file.read(max_bytes)  # for its hash
        x, y = (read_array(Place(file.path, f"{a}_{part}"), max_bytes) for a in "xy")
    else:
        prefix = {"train": "train", "test": "t10k"}[part]
        names = (f"{prefix}-images-idx3-ubyte.gz", f"{prefix}-labels-idx1-ubyte.gz")
        contents = zip(found.contents(names, max_bytes), names, strict=True)
        x, y = (read_idx(content, max_bytes, name) for content, name in contents)
    if x.shape[1:] != kind.image_shape or y.shape != x.shape[:1]:
        raise DataError(
            f"images of shape {kind.image_shape} with a label each are expected",
            field=part,
            value=(x.shape, y.shape),
        )
    return x, y


def _check_used(given: Mapping[str, str], used: set[str], where: str) -> None:
    unused = sorted(set(given) - used)
    if unused:
        raise DataError(
            "a hash is given for a file that is not there or not used",
            field="params.sha256",
            value=unused,
            fix=f"The set is read from {where}; give hashes for: {', '.join(sorted(used))}.",
        )
