"""Who may use the service, and how an error becomes an answer.

Secrets are compared in constant time, and the comparison happens for both kinds whichever was
given. Without a secret the service answers only requests addressed to this machine, so that a web
page cannot reach it under another name (DNS rebinding).
"""

from __future__ import annotations

import hmac
from typing import Annotated, Any, Protocol

from fastapi import FastAPI, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, SecretStr
from starlette.exceptions import HTTPException

from qstore_ray.data.service.client.address import is_loopback
from qstore_ray.data.service.server.settings import ServiceSettings
from qstore_ray.errors import (
    ConfigError,
    DataError,
    MissingDependencyError,
    QStoreError,
    ResourceError,
    ServiceError,
    UnknownNameError,
    UsageError,
)
from qstore_ray.types import Table

_STATUS: tuple[tuple[type[QStoreError], int], ...] = (  # the first that fits
    (ConfigError, 422),
    (DataError, 422),
    (ResourceError, 503),
    (UsageError, 409),
    (MissingDependencyError, 501),
    (ServiceError, 503),
    (QStoreError, 500),
)
_ADDRESSED = frozenset({"id", "split"})
"""Fields of a name that is part of the address; an unknown name is a 404."""
_OF_THE_REQUEST = frozenset({404, 409, 422})
_PAUSE = "5"  # seconds that a client is asked to wait after 503

_DOCS = "See /docs for the addresses, and for what each takes."
_FIXES = {
    400: "Send what is asked for at this address; see /docs.",
    401: "Send the header Authorization: Bearer TOKEN, with the token that the server was started "
    "with.",
    413: "Send less at once, or start the server with a larger limit.",
}
"""What to do after an answer with this status, unless the error says it itself."""

_bearer = HTTPBearer(auto_error=False, description="The token that the service was started with.")
_key = APIKeyHeader(name="X-API-Key", auto_error=False)


class Secrets(Protocol):
    """What a server has to be sent: one of the two, or nothing."""

    @property
    def token(self) -> SecretStr | None:
        """As a bearer token."""

    @property
    def api_key(self) -> SecretStr | None:
        """As `X-API-Key`."""

    @property
    def is_locked(self) -> bool:
        """Whether there is one."""


class ProblemDetail(BaseModel):
    """An error: what was wrong, where, which value was met, what to do instead."""

    error: str
    message: str
    field: str = ""
    value: str | None = None
    fix: str = ""
    exit_code: int = 1


class ErrorResponse(BaseModel):
    """The body of every answer that is an error."""

    detail: ProblemDetail


def problems(*statuses: int) -> dict[int | str, Table]:
    """The errors that a route may answer, for its OpenAPI page; 401 and 422 always are."""
    return {status: {"model": ErrorResponse} for status in sorted({401, 422, *statuses})}


def require_access(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    key: Annotated[str | None, Security(_key)],
) -> None:
    """Let the request pass, or answer 401."""
    settings: Secrets = request.app.state.settings
    if not settings.is_locked:
        return
    by_token = _equal(settings.token, bearer.credentials if bearer else None)
    by_key = _equal(settings.api_key, key)
    if not (by_token or by_key):
        raise HTTPException(
            401,
            "a token or an API key is needed",
            headers={"WWW-Authenticate": 'Bearer realm="qstore_ray"'},
        )


def _equal(secret: SecretStr | None, given: str | None) -> bool:
    expected = "" if secret is None else secret.get_secret_value()
    same = hmac.compare_digest(expected.encode(), (given or "").encode())
    return same and secret is not None and given is not None


def check_address(host: str, settings: ServiceSettings) -> None:
    """Refuse to open a service without a secret to other machines.

    Raises:
        ConfigError: `host` is not this machine's own, and there is neither token nor key.
    """
    if not is_loopback(host) and not settings.is_locked:
        raise ConfigError(
            "other machines could read and delete every dataset without a token",
            field="host",
            value=host,
            fix="Set QSTORE_DATA_TOKEN (the argument token in Python), or listen on 127.0.0.1.",
        )


def guard(app: FastAPI, settings: Secrets) -> None:
    """Add the check of the addressed host, and the translation of errors into answers."""
    if not settings.is_locked:
        app.add_middleware(
            TrustedHostMiddleware,
            allowed_hosts=["localhost", "127.0.0.1", "[::1]"],
            www_redirect=False,
        )
    app.add_exception_handler(QStoreError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _plain)


def status_of(exc: QStoreError) -> int:
    """The HTTP status that an error is answered with."""
    if isinstance(exc, UnknownNameError) and exc.field in _ADDRESSED:
        return 404
    return next(status for kind, status in _STATUS if isinstance(exc, kind))


async def _ours(_: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, QStoreError)
    status = status_of(exc)
    headers = {"Retry-After": _PAUSE} if status == 503 else None
    detail = ProblemDetail(**exc.as_dict())
    if not detail.fix and status in _OF_THE_REQUEST:
        detail.fix = _DOCS
    return _answer(status, detail, headers)


async def _invalid(_: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, RequestValidationError)
    first = exc.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    return _answer(
        422,
        ProblemDetail(
            error="RequestError", message=first["msg"], field=field, fix="See /docs.", exit_code=2
        ),
    )


async def _plain(_: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, HTTPException)
    detail = ProblemDetail(
        error="RequestError",
        message=str(exc.detail),
        fix=_FIXES.get(exc.status_code, _DOCS),
        exit_code=2,
    )
    # A body that is no JSON is 400 to FastAPI, where one of another shape is 422: one is enough.
    return _answer(422 if exc.status_code == 400 else exc.status_code, detail, exc.headers)


def _answer(status: int, detail: ProblemDetail, headers: Any = None) -> JSONResponse:
    return JSONResponse(
        ErrorResponse(detail=detail).model_dump(mode="json"), status_code=status, headers=headers
    )
