"""Whether an object store keeps the conditions of writes, and lets a run do what it will do."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from qstore_ray.errors import StorageError
from qstore_ray.storage.lease import LEASE

if TYPE_CHECKING:
    from qstore_ray.storage.address import StorageAddress
    from qstore_ray.storage.objects import Objects


def check_store(objects: Objects, address: StorageAddress) -> None:
    """Create, replace and delete an object, also where it must be refused, before a run begins.

    Some services take `If-None-Match` and `If-Match` and ignore them; there each of two drivers
    would hold the lease of one run. Keys that may not delete would end a run at its first old
    checkpoint.

    Raises:
        StorageError: a condition is ignored, or a request is refused.
    """
    key = f"{LEASE}-tried-{secrets.token_hex(8)}"
    first = objects.create(key, b"1")
    kept = first is not None and objects.create(key, b"2") is None
    if first is not None and kept:
        kept = objects.replace(key, b"3", first) is not None
        kept = kept and objects.replace(key, b"4", first) is None
    objects.delete(key)
    if not kept:
        raise StorageError(
            "the object store ignores the conditions of writes, so two drivers could write one run",
            field="storage",
            value=str(address),
            fix="Take another object store, a newer version of this one, or a folder.",
        )
