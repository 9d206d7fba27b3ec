"""Where a model is: a path, or an address of an object store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qstore_ray.files import expanded
from qstore_ray.storage.address import address_of
from qstore_ray.storage.copies import fetched_file, put_bytes
from qstore_ray.train.model.archive import SUFFIX, check_suffix, no_model_file_error, write_bytes
from qstore_ray.train.run.origin import refresh


def local_model(model: str | Path) -> Path:
    """The path of a model file, a checkpoint or a run; of an address, that of a copy.

    Raises:
        ConfigError: no address of an object store.
        UsageError: there is no such model file in the object store.
        StorageError: the object store cannot be used.
    """
    address = address_of(model, "model")
    if address is None:
        return expanded(model)
    if not address.name.endswith(SUFFIX):
        refresh(address.stage)
        return address.stage
    found = fetched_file(address)
    if found is None:
        raise no_model_file_error(address)
    return found


def save_model(place: str | Path, to_bytes: Callable[[], bytes]) -> Path | str:
    """Write a model file, whole or not at all; the path, or the address.

    Raises:
        UsageError: another ending, or a file that cannot be written.
        StorageError: the object store cannot be used.
    """
    address = address_of(place, "path")
    path = expanded(place) if address is None else Path(address.name)
    check_suffix(path)
    if address is not None:
        put_bytes(address, to_bytes())
        return str(address)
    write_bytes(path, to_bytes())
    return path
