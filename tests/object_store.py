"""An S3 server on loopback, and object stores whose every write can fail."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from moto.server import ThreadedMotoServer
from obstore.store import MemoryStore

from qstore_ray.errors import StorageError
from qstore_ray.storage.address import StorageAddress
from qstore_ray.storage.cloud import CloudObjects
from qstore_ray.storage.objects import ObjectFacts, StoredObject

_SECONDS_TO_START = 60
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "eu-1"}


@contextmanager
def s3_server() -> Iterator[str]:
    """Moto's S3 server in a thread of this process; its address."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def make_bucket(endpoint: str, name: str) -> None:
    """Make it, with `KEYS`, as soon as the server answers."""
    until = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < until:
        with suppress(BotoCoreError, ClientError):  # it is still starting
            _client(endpoint).create_bucket(Bucket=name)
            return
        time.sleep(0.2)
    raise AssertionError("the S3 server did not start")


def delete_bucket(endpoint: str, name: str) -> None:
    """Delete it with all that is in it, as somebody does who tidies up."""
    client = _client(endpoint)
    while True:
        for each in client.list_objects_v2(Bucket=name).get("Contents", []):
            client.delete_object(Bucket=name, Key=each["Key"])
        with suppress(client.exceptions.ClientError):  # something was written meanwhile
            client.delete_bucket(Bucket=name)
            return


@cache
def _client(endpoint: str) -> Any:
    return boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1",
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
    )  # fmt: skip


def in_memory(prefix: str = "") -> CloudObjects:
    """Objects in this process, with the conditions of a real store."""
    return CloudObjects(MemoryStore(), StorageAddress("s3", "memory", prefix))


class FailingObjects:
    """Other objects; from write number `fails_at` on, it is as if the writer were dead.

    Args:
        pauses_at: before this write the writer is stopped for a while.
        meanwhile: what happens then.

    Attributes:
        written: what each write was, such as `put run.json`.
    """

    def __init__(
        self,
        objects: CloudObjects,
        fails_at: int | None = None,
        *,
        pauses_at: int | None = None,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        self._objects, self._fails_at = objects, fails_at
        self._pauses_at, self._meanwhile = pauses_at, meanwhile
        self.written: list[str] = []

    def _count(self, what: str) -> None:
        if self._fails_at is not None and len(self.written) >= self._fails_at:
            raise StorageError(f"dead before {what}")
        self.written.append(what)
        if len(self.written) - 1 == self._pauses_at:
            self._meanwhile()

    def read(self, key: str) -> StoredObject | None:
        return self._objects.read(key)

    def read_range(self, key: str, start: int, end: int) -> bytes:
        return self._objects.read_range(key, start, end)

    def fetch(self, key: str, path: Path) -> bool:
        return self._objects.fetch(key, path)

    def facts(self, key: str) -> ObjectFacts | None:
        return self._objects.facts(key)

    def listing(self, prefix: str = "") -> Mapping[str, ObjectFacts]:
        return self._objects.listing(prefix)

    def names(self) -> list[str]:
        return self._objects.names()

    def put(self, key: str, data: bytes | Path) -> str:
        self._count(f"put {key}")
        return self._objects.put(key, data)

    def create(self, key: str, data: bytes) -> str | None:
        self._count(f"create {key}")
        return self._objects.create(key, data)

    def replace(self, key: str, data: bytes, tag: str) -> str | None:
        self._count(f"replace {key}")
        return self._objects.replace(key, data, tag)

    def delete(self, key: str) -> None:
        self._count(f"delete {key}")
        self._objects.delete(key)


class ObjectsBelow:
    """The objects of other ones below a prefix."""

    def __init__(self, objects: FailingObjects, prefix: str) -> None:
        self._objects, self._prefix = objects, f"{prefix}/" if prefix else ""

    def read(self, key: str) -> StoredObject | None:
        return self._objects.read(self._prefix + key)

    def read_range(self, key: str, start: int, end: int) -> bytes:
        return self._objects.read_range(self._prefix + key, start, end)

    def fetch(self, key: str, path: Path) -> bool:
        return self._objects.fetch(self._prefix + key, path)

    def facts(self, key: str) -> ObjectFacts | None:
        return self._objects.facts(self._prefix + key)

    def listing(self, prefix: str = "") -> Mapping[str, ObjectFacts]:
        found = self._objects.listing((self._prefix + prefix).rstrip("/"))
        return {key.removeprefix(self._prefix): facts for key, facts in found.items()}

    def names(self) -> list[str]:
        return sorted({key.partition("/")[0] for key in self.listing() if "/" in key})

    def put(self, key: str, data: bytes | Path) -> str:
        return self._objects.put(self._prefix + key, data)

    def create(self, key: str, data: bytes) -> str | None:
        return self._objects.create(self._prefix + key, data)

    def replace(self, key: str, data: bytes, tag: str) -> str | None:
        return self._objects.replace(self._prefix + key, data, tag)

    def delete(self, key: str) -> None:
        self._objects.delete(self._prefix + key)
