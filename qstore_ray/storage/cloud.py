"""Object stores through `obstore`. This file alone knows it.

A request that meets a 5xx answer or a broken connection is repeated by `obstore` for a few seconds.
An answer may be lost after the write was done, so a conditional write that is refused is compared
with what is there: if the bytes are ours, it was our own write.

Keys come only from the environment, or the profile or role of the machine, as the cloud's own
tools find them. They are never part of a configuration, an error or a log.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from qstore_ray.errors import ConfigError, StorageError, first_line, not_installed_error
from qstore_ray.storage.objects import ObjectFacts, Objects, StoredObject

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

    from qstore_ray.storage.address import StorageAddress

_RETRY: Any = {
    "max_retries": 5,
    "retry_timeout": timedelta(seconds=15),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=2),
        "base": 2,
    },
}
_PART_BYTES = 2**23
_CLIENT: Any = {"connect_timeout": "3s", "timeout": "60s"}
_ENDPOINTS = {"s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")}
_KEYS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role of the machine; "
    "AWS_ENDPOINT_URL for another service than Amazon's",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or `gcloud auth application-default login`",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or `az login` with "
    "AZURE_USE_AZURE_CLI=true",
}
_RENEW = (
    "the keys have expired",
    "Get new ones, as with `aws sso login`. A run that began continues with existing='resume'.",
)
_ANSWERS = {
    "ExpiredToken": _RENEW,
    "TokenRefreshRequired": _RENEW,
    "AccessDenied": (
        "the object store does not allow this to the keys",
        "Allow them to list, read, write and delete objects there, or take other keys.",
    ),
    "RequestTimeTooSkewed": (
        "the clock of this machine is not that of the object store",
        "Set the clock. A run that began continues with existing='resume'.",
    ),
}
"""Codes of answers of S3 → what they mean, and what to do about it."""


class CloudObjects:
    """The objects below an address.

    Args:
        store: of `obstore`, whose paths begin at the address.
        address: named in errors.
    """

    def __init__(self, store: ObjectStore, address: StorageAddress) -> None:
        self._store = store
        self._address = address

    def read(self, key: str) -> StoredObject | None:
        """An object; None if it is absent."""
        import obstore

        with self._translated(f"read {key}"):
            try:
                found = obstore.get(self._store, key)
                return StoredObject(bytes(found.bytes()), str(found.meta["e_tag"]))
            except FileNotFoundError as exc:
                self._check_bucket(exc)
                return None

    def read_range(self, key: str, start: int, end: int) -> bytes:
        """The bytes of an object from `start` to before `end`; of an absent one, an error."""
        import obstore

        with self._translated(f"read {key}"):
            return bytes(obstore.get_range(self._store, key, start=start, end=end))

    def fetch(self, key: str, path: Path) -> bool:
        """Write an object to a file, part by part; whether there is such an object."""
        import obstore

        with self._translated(f"read {key}"):
            try:
                parts = obstore.get(self._store, key).stream(min_chunk_size=_PART_BYTES)
            except FileNotFoundError as exc:
                self._check_bucket(exc)
                return False
            with path.open("wb") as file:
                for part in parts:
                    file.write(part)
        return True

    def facts(self, key: str) -> ObjectFacts | None:
        """Size, tag and time of an object; None if it is absent."""
        import obstore

        with self._translated(f"read {key}"):
            try:
                return _facts(obstore.head(self._store, key))
            except FileNotFoundError as exc:
                self._check_bucket(exc)
                return None

    def listing(self, prefix: str = "") -> Mapping[str, ObjectFacts]:
        """The objects below a key, by their keys, in order."""
        import obstore

        with self._translated("list the objects"):
            found = {
                each["path"]: _facts(each)
                for chunk in obstore.list(self._store, prefix or None)
                for each in chunk
            }
        return dict(sorted(found.items()))

    def names(self) -> list[str]:
        """The first parts of the keys that have more than one part, in order."""
        import obstore

        with self._translated("list the objects"):
            return sorted(obstore.list_with_delimiter(self._store)["common_prefixes"])

    def put(self, key: str, data: bytes | Path) -> str:
        """Write an object, whatever was there, of bytes or of a file; its tag."""
        import obstore

        with self._translated(f"write {key}"):
            return str(obstore.put(self._store, key, data)["e_tag"])

    def create(self, key: str, data: bytes) -> str | None:
        """Write an object if it is absent; its tag, or None if there is another one."""
        return self._write_if(key, data, "create")

    def replace(self, key: str, data: bytes, tag: str) -> str | None:
        """Write an object if it is still the one with this tag; its new tag, or None if not."""
        return self._write_if(key, data, {"e_tag": tag})

    def delete(self, key: str) -> None:
        """Delete an object; nothing happens if it is absent."""
        import obstore

        with self._translated(f"delete {key}"):
            try:
                obstore.delete(self._store, key)
            except FileNotFoundError as exc:
                self._check_bucket(exc)

    def _write_if(self, key: str, data: bytes, mode: Any) -> str | None:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            with self._translated(f"write {key}"):
                try:
                    done = obstore.put(self._store, key, data, mode=mode, use_multipart=False)
                    return str(done["e_tag"])
                except (AlreadyExistsError, PreconditionError):
                    pass
        except StorageError:
            if not self._is_there(key, data):  # the answer alone may have been lost
                raise
        found = self.read(key)
        return found.tag if found is not None and found.data == data else None

    def _is_there(self, key: str, data: bytes) -> bool:
        try:
            found = self.read(key)
        except StorageError:
            return False
        return found is not None and found.data == data

    def _check_bucket(self, exc: BaseException) -> None:
        """A missing bucket is not a missing object."""
        if any(sign in str(exc) for sign in ("NoSuchBucket", "ContainerNotFound", "bucket does")):
            raise self._no_bucket_error(exc) from exc

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, FileNotFoundError, NotImplementedError, OSError) as exc:
            raise self._storage_error(exc, what) from exc

    def _storage_error(self, exc: BaseException, what: str) -> StorageError:
        from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

        text = str(exc)
        if isinstance(exc, FileNotFoundError) or "NoSuchBucket" in text:
            return self._no_bucket_error(exc)
        for sign, (said, fix) in _ANSWERS.items():
            if f"<Code>{sign}<" in text or f"(code: {sign})" in text:
                return StorageError(
                    f"{said}: cannot {what}", field="storage", value=str(self._address), fix=fix
                )
        signs = ("403 Forbidden", "401 Unauthorized", "169.254.169.254", "credential", "OAuth")
        refused = isinstance(exc, PermissionDeniedError | UnauthenticatedError | PermissionError)
        if refused or any(sign in text for sign in signs):
            return StorageError(
                f"the object store refuses the keys (or has none of yours): cannot {what}",
                field="storage",
                value=str(self._address),
                fix=f"Set {_KEYS[self._address.scheme]}. They are read where the run is, on each "
                "node.",
            )
        endpoint = _endpoint(self._address.scheme)
        where = f" at {urlsplit(endpoint).netloc.rpartition('@')[2]}" if endpoint else ""
        error = StorageError(
            f"the object store{where} cannot {what}: {_reason(text)}",
            field="storage",
            value=str(self._address),
            fix="Check the network and the address of the service. A run that began continues with "
            "existing='resume'.",
        )
        error.may_pass = True
        return error

    def _no_bucket_error(self, exc: BaseException) -> StorageError:
        kind = "container" if self._address.scheme == "az" else "bucket"
        return StorageError(
            f"there is no {kind} of this name",
            field="storage",
            value=str(self._address),
            fix=f"Create the {kind} first; it is not created from here.",
        )


def _facts(known: ObjectMeta) -> ObjectFacts:
    return ObjectFacts(known["size"], str(known["e_tag"]), known["last_modified"])


def _reason(text: str) -> str:
    """What went wrong, without the request and the library's own types."""
    for sign in ("HTTP error: ", "non-2xx status code: "):
        if sign in text:
            return first_line(text.partition(sign)[2].partition(": <")[0]).strip()
    return first_line(text.partition("Debug source")[0])[:200].strip()


def open_objects(address: StorageAddress) -> Objects:
    """The objects below an address; nothing is asked of the store yet.

    Raises:
        MissingDependencyError: `obstore` is not installed.
        ConfigError: the service is elsewhere, and would be asked without encryption.
        StorageError: the environment names a setting that cannot be.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as exc:
        raise not_installed_error(
            "obstore", "object-store", what=f"storage in {address.scheme}://", field="storage"
        ) from exc
    options: Any = dict(_CLIENT)
    endpoint = _endpoint(address.scheme)
    if endpoint.startswith("http://"):
        _check_plain_text(endpoint)
        options["allow_http"] = True
    more = _amazon(endpoint) if address.scheme == "s3" else {}
    open_store: Any = from_url  # its overloads want to know the cloud beforehand
    try:
        store = open_store(str(address), client_options=options, retry_config=_RETRY, **more)
    except (BaseError, ValueError, TypeError) as exc:
        raise StorageError(
            f"the object store cannot be opened: {_reason(str(exc))}",
            field="storage",
            value=str(address),
            fix=f"Set {_KEYS[address.scheme]}.",
        ) from exc
    return CloudObjects(store, address)


def _amazon(endpoint: str) -> dict[str, Any]:
    """What obstore does not read by itself: the endpoint's names, and profiles through boto3."""
    config: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    more: dict[str, Any] = {"config": config} if config else {}
    if os.environ.get("AWS_ACCESS_KEY_ID") and not os.environ.get("AWS_PROFILE"):
        if not (os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")):
            more["config"] = {**config, "region": "us-east-1"}
        return more
    try:
        import boto3  # type: ignore[import-untyped]
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        return more
    session = boto3.Session()
    if session.get_credentials() is None:
        return more
    region = session.region_name or "us-east-1"
    more["config"] = {**config, "region": region}
    return {**more, "credential_provider": Boto3CredentialProvider(session)}


def _endpoint(scheme: str) -> str:
    """The service that the environment names in place of the cloud's own; "" for that one."""
    named = [os.environ.get(name, "") for name in _ENDPOINTS.get(scheme, ())]
    return next(filter(None, named), "")


def _check_plain_text(endpoint: str) -> None:
    """Refuse a service elsewhere without encryption, unless the user allows it."""
    known = urlsplit(endpoint)
    allowed = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("true", "1")
    if not allowed and known.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ConfigError(
            "this service would be asked without encryption",
            field="AWS_ENDPOINT_URL",
            value=f"http://{known.netloc.rpartition('@')[2]}",
            fix="Write https://, or set AWS_ALLOW_HTTP=true in a network that you trust.",
        )
