"""What a server's answer means: its JSON, its refusal, the pause it asks for, the error it is."""

from __future__ import annotations

import ast
import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import requests
from pydantic import TypeAdapter, ValidationError

from qstore_ray.errors import (
    ConfigError,
    DataError,
    MissingDependencyError,
    QStoreError,
    ResourceError,
    ServiceError,
    UnknownNameError,
    UnlabelledError,
    UsageError,
)

M = TypeVar("M")

_SHOWN = 80
_LONGEST_VALUE = 200
_ERRORS: dict[str, type[QStoreError]] = {
    "BackendError": ServiceError,  # as a service of an earlier version calls it
} | {
    kind.__name__: kind
    for kind in (
        UsageError,
        ConfigError,
        UnknownNameError,
        ResourceError,
        DataError,
        UnlabelledError,
        ServiceError,
        MissingDependencyError,
    )
}
"""What a service may raise here, by the name that its answer gives. Not among them are errors of a
run, which a server cannot end."""
# What requests and urllib3 raise; `BaseHTTPError` is urllib3's base class.
FOREIGN = (requests.RequestException, requests.exceptions.BaseHTTPError)  # type: ignore[attr-defined]


def parsed(response: requests.Response, body: bytes) -> Any:
    """The JSON in `body`; None for an empty one.

    Raises:
        ServiceError: not JSON; the message shows how it begins.
    """
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError as exc:
        kind = response.headers.get("Content-Type", "no type")
        raise ServiceError(
            f"the answer is {kind}, not JSON; it begins with {_shown(body)}",
            fix="Check that base_url is the service, not a login page or a proxy.",
        ) from exc


def checked(model: type[M], body: Any, what: str) -> M:
    """`body` as `model`.

    Raises:
        ServiceError: a field is missing or of another type; the message names the first one.
    """
    try:
        return TypeAdapter(model).validate_python(body)
    except ValidationError as exc:
        first = exc.errors()[0]
        raise ServiceError(
            f"the service's answer has another form than agreed ({what}): {first['msg']}",
            field=".".join(map(str, first["loc"])),
            value=first["input"],
            fix="Install the same version of qstore_ray on both sides.",
        ) from exc


def refusal_error(status: int, body: bytes) -> QStoreError:
    """The error that the server described, or what it sent instead of a description.

    It is of the class that the server raised; of a class that is not known here it is a DataError
    with the status.
    """
    try:
        detail = json.loads(body)["detail"]
        name, message, field, fix = (
            str(detail.get(key, "")) for key in ("error", "message", "field", "fix")
        )
        value = _value(detail.get("value"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ServiceError(f"the service answered {status}: {_shown(body)}")
    if (kind := _ERRORS.get(name)) is not None:
        return kind(message, field=field, value=value, fix=fix)
    message = f"the service answered {status}: {message}"
    return DataError(message, field=field, value=value, fix=fix)


class _Written(str):
    """A value as the server shows it, which is not to be quoted again."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _value(shown: Any) -> Any:
    """The value that an error shows: itself if it is a literal, else the text."""
    if shown is None:
        return None
    text = str(shown)
    if len(text) > _LONGEST_VALUE:
        return _Written(text)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return _Written(text)


def _shown(body: bytes) -> str:
    return repr(body[:_SHOWN].decode("utf-8", "replace"))


def status_of(exc: BaseException) -> int | None:
    """The status of the answer that made requests raise, if it was one."""
    response = exc.response if isinstance(exc, requests.HTTPError) else None
    return None if response is None else response.status_code


def pause_asked(exc: BaseException) -> float | None:
    """Seconds that a Retry-After header asks for: a number, or a date."""
    if not isinstance(exc, requests.HTTPError) or exc.response is None:
        return None
    text = exc.response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    # gate: QS206 because the server names a date until which to wait
    return max((when - datetime.now(UTC)).total_seconds(), 0.0)


def translated_error(exc: BaseException, base_url: str) -> ServiceError:
    """What requests and urllib3 raise, in our words; theirs may show headers and is left out."""
    status = status_of(exc)
    if status is not None:
        return ServiceError(
            f"the service keeps answering {status}", value=base_url, fix="Try again later."
        )
    if isinstance(exc, requests.exceptions.SSLError):
        reason = "its certificate is not valid"
    elif isinstance(exc, requests.Timeout):
        reason = "it does not answer in time"
    else:
        reason = f"the connection failed ({type(exc).__name__})"
    return ServiceError(
        f"the service cannot be used: {reason}",
        value=base_url,
        fix="Check the address, the network, and that the service runs.",
    )
