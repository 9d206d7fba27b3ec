"""Addresses of object stores, and the folder on this machine that stands for one.

s3://bucket/prefix     Amazon S3 and what speaks its protocol
gs://bucket/prefix     Google Cloud Storage
az://container/prefix  Azure Blob Storage
file:///data/runs      a plain folder, as /data/runs is
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qstore_ray.errors import ConfigError
from qstore_ray.files import cache_root, expanded, real_path

_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_OBJECTS: Final = re.compile(r"(s3|gs|az)://([a-z0-9][a-z0-9._-]{1,62})((?:/.*)?)", re.DOTALL)
_PART: Final = re.compile(r"[A-Za-z0-9_=][A-Za-z0-9._=+@ -]{0,199}")
_STAGE: Final = "qstore_ray/storage"


@dataclass(frozen=True)
class StorageAddress:
    """A place in an object store.

    Attributes:
        scheme: s3, gs or az. bucket: also an Azure container. prefix: without slashes around it.
    """

    scheme: str
    bucket: str
    prefix: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (f"{self.scheme}://{self.bucket}", self.prefix)))

    @property
    def name(self) -> str:
        """The last part."""
        return self.prefix.rpartition("/")[2] or self.bucket

    @property
    def parent(self) -> StorageAddress:
        """The address without its last part."""
        return StorageAddress(self.scheme, self.bucket, self.prefix.rpartition("/")[0])

    @property
    def stage(self) -> Path:
        """The folder on this machine that holds copies of the objects below this address."""
        return stage_root().joinpath(self.scheme, self.bucket, *self.prefix.split("/"))

    def __truediv__(self, name: str) -> StorageAddress:
        return StorageAddress(self.scheme, self.bucket, f"{self.prefix}/{name}".strip("/"))


def is_address(text: str | Path) -> bool:
    """Whether a user gave an address of an object store, rather than a path."""
    found = _ADDRESS.match(str(text))
    if found is None or found[1].lower() == "file":
        return False
    return str(text)[found.end() :].startswith("/")


def address_of(text: str | Path, field: str = "storage") -> StorageAddress | None:
    """The place in an object store that `text` names; None for a path and for file:// addresses.

    Raises:
        ConfigError: an unknown scheme, no bucket, a key in the address, or `..` in it.
    """
    text = str(text)
    if not is_address(text):
        return None
    shown = re.sub(r"//[^/]*@", "//…@", text)
    found = _OBJECTS.fullmatch(text)
    if "@" in text.partition("://")[2].partition("/")[0]:
        raise ConfigError(
            "an address of an object store holds no keys",
            field=field,
            value=shown,
            fix="Leave them out: they come from the environment or the profile of the cloud.",
        )
    if found is None:
        raise ConfigError(
            "not an address of an object store",
            field=field,
            value=shown,
            fix="Write s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, or a folder.",
        )
    scheme, bucket, rest = found.groups()
    parts = [part for part in rest.split("/") if part]
    wrong = next((part for part in parts if not _PART.fullmatch(part)), None)
    if wrong is not None:
        raise ConfigError(
            "a part of an address has letters, digits and '.', '_', '-', '=', '+', '@' or spaces, "
            "and does not begin with a dot",
            field=field,
            value=text,
            fix=f"Write another name for {wrong!r}.",
        )
    return StorageAddress(scheme, bucket, "/".join(parts))


def storage_folder(storage: str | Path) -> Path:
    """The absolute path of a folder of runs; of an object store, the stage on this machine.

    Raises:
        ConfigError: an address that is none, `file:` with a path that is not absolute, or the home
            folder of an unknown user.
    """
    address = address_of(storage)
    if address is not None:
        return address.stage
    text = str(storage)
    if text.lower().startswith("file:") and not expanded(text).is_absolute():
        raise ConfigError(
            "file: takes the whole path of a folder of this machine",
            field="storage",
            value=text,
            fix="Write it with three slashes, as file:///data/runs, or write the folder alone.",
        )
    if _ADDRESS.match(text) and not expanded(text).is_absolute():
        raise ConfigError(
            "this is no path, and no address of an object store",
            field="storage",
            value=text,
            fix="Write an address with two slashes, as s3://bucket/prefix, or a folder.",
        )
    if expanded(text).parts[:1] and expanded(text).parts[0].startswith("~"):
        raise ConfigError(
            "no such user", field="storage", value=text, fix="Write the whole path of a folder."
        )
    return real_path(storage)


def stage_root() -> Path:
    """The folder of all stages of this user."""
    return cache_root() / _STAGE


def origin_of(path: Path) -> StorageAddress | None:
    """The address whose stage `path` is; None for any other path."""
    try:
        scheme, bucket, *parts = path.relative_to(stage_root()).parts
    except ValueError:  # elsewhere, or not deep enough
        return None
    return StorageAddress(scheme, bucket, "/".join(parts))


def shown_place(path: Path) -> str:
    """How a user knows a folder: by its address, or its path."""
    return str(origin_of(path) or path)
