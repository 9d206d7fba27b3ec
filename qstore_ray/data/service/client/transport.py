"""One HTTP exchange with a server that may be slow, broken or hostile.

What may pass by itself (no connection, a dropped connection, 429, 5xx) is tried again, but only
where asking twice has no second effect. Everything is bounded: the wait for a connection, for the
next bytes, and for the whole call; the size of an answer; the number of attempts; the pause that a
server may ask for. Redirects are followed within the same origin only, so that no server can send
us to an address that only we can reach (SSRF). Bodies are never decompressed, so that a small one
cannot become a large one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

import requests
from requests.auth import AuthBase

from qstore_ray.data.service.client.address import checked_url, same_origin
from qstore_ray.data.service.client.answers import (
    FOREIGN,
    parsed,
    pause_asked,
    refusal_error,
    status_of,
    translated_error,
)
from qstore_ray.data.service.client.breaker import CircuitBreaker
from qstore_ray.errors import ConfigError, QStoreError, ServiceError
from qstore_ray.retry import call_with_retries

if TYPE_CHECKING:
    from pydantic import SecretStr

T = TypeVar("T")

_CHUNK = 2**16
_REDIRECTS = 3
_PASSING = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Bounds of one call, in seconds.

    Args:
        connect: until the connection stands.
        read: between two pieces of the answer.
        total: for the whole call with all its attempts and pauses.
    """

    connect: float = 5.0
    read: float = 30.0
    total: float = 120.0

    def __post_init__(self) -> None:
        for name in ("connect", "read", "total"):
            if not 0.0 < getattr(self, name) < float("inf"):
                raise ConfigError(
                    "must be positive seconds", field=f"timeout.{name}", value=getattr(self, name)
                )


class _Credentials(AuthBase):
    """Adds the secrets to a request. Being there, it also keeps requests from reading ~/.netrc."""

    def __init__(self, token: SecretStr | None, api_key: SecretStr | None) -> None:
        self._token, self._key = token, api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        if self._key is not None:
            request.headers["X-API-Key"] = self._key.get_secret_value()
        return request


class Transport:
    """Sends requests to one origin.

    Args:
        base_url: `https://host[:port][/path]`; `http` is for this machine, or without a secret.
        plain_http: allow a secret over `http` to another machine (inside a closed network).
        retries: attempts beyond the first, for calls that may be repeated.
        longest_pause: bound of one pause between attempts, also where the server asks for more.
        max_bytes: largest JSON answer.

    Raises:
        ConfigError: not such an address, or a secret that would travel unencrypted.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: SecretStr | None,
        api_key: SecretStr | None,
        timeouts: Timeouts,
        retries: int,
        longest_pause: float,
        max_bytes: int,
        breaker: CircuitBreaker,
        plain_http: bool = False,
    ) -> None:
        self.base_url = checked_url(base_url, secret=bool(token or api_key), plain=plain_http)
        if retries < 0:
            raise ConfigError("must be 0 or more", field="retries", value=retries)
        self._session = requests.Session()
        self._session.auth = _Credentials(token, api_key)
        self._session.headers["Accept-Encoding"] = "identity"
        self._timeouts, self._retries = timeouts, retries
        self._longest_pause, self._max_bytes, self._breaker = longest_pause, max_bytes, breaker

    def json(self, method: str, path: str, **options: Any) -> tuple[Any, Mapping[str, str]]:
        """The JSON body and the headers of the answer; None for an empty body.

        Raises:
            ServiceError: no answer in time, or one that is not JSON, too large, or an error.
            QStoreError: the server refuses the request; of the class that it raised (`answers`).
        """

        def once(deadline: float) -> tuple[Any, Mapping[str, str]]:
            with self.exchange(method, path, deadline, **options) as response:
                body = b"".join(self.body(response, deadline, self._max_bytes))
                return parsed(response, body), response.headers

        return self.repeated(once, may_repeat=method == "GET")

    def repeated(self, once: Callable[[float], T], *, may_repeat: bool = True) -> T:
        """Call `once(deadline)` until it returns, within the bounds; foreign errors translated."""
        deadline = time.monotonic() + self._timeouts.total

        def attempt() -> T:
            self._breaker.check()
            try:
                result = once(deadline)
            except QStoreError:
                self._breaker.succeeded()  # the server answered, with an error
                raise
            except FOREIGN as exc:
                if status_of(exc) == HTTPStatus.TOO_MANY_REQUESTS:
                    self._breaker.succeeded()
                else:
                    self._breaker.failed()
                if time.monotonic() + (pause_asked(exc) or 0.0) > deadline:
                    raise translated_error(exc, self.base_url) from exc
                raise
            self._breaker.succeeded()
            return result

        try:
            return call_with_retries(
                attempt,
                retry_on=FOREIGN,
                attempts=self._retries + 1 if may_repeat else 1,
                longest_pause=min(self._longest_pause, self._timeouts.total),
                pause_asked=pause_asked,
            )
        except FOREIGN as exc:
            raise translated_error(exc, self.base_url) from exc

    @contextmanager
    def exchange(
        self, method: str, path: str, deadline: float, **options: Any
    ) -> Iterator[requests.Response]:
        """One request; its answer, the body still unread, is closed afterwards.

        Args:
            deadline: when it has to be over, in seconds of `time.monotonic`.

        Raises:
            QStoreError: a status that asking again does not change; of the class that the server
                raised, if it described an error.
            requests.RequestException: what may pass by itself.
            ServiceError: too many redirects, or one of a request that must not be repeated.
        """
        url = self.base_url + path
        for _ in range(_REDIRECTS + 1):
            left = deadline - time.monotonic()
            if left <= 0.0:
                raise requests.Timeout
            timeout = (min(self._timeouts.connect, left), min(self._timeouts.read, left))
            with self._session.request(
                method, url, stream=True, allow_redirects=False, timeout=timeout, **options
            ) as response:
                if not response.is_redirect:
                    self._check_status(response, deadline)
                    yield response
                    return
                url = same_origin(self.base_url, url, response.headers["Location"])
                if method not in {"GET", "HEAD"}:
                    raise ServiceError(
                        "the server redirects a request that must not be repeated", value=url
                    )
        raise ServiceError(f"more than {_REDIRECTS} redirects", value=url)

    def body(self, response: requests.Response, deadline: float, max_bytes: int) -> Iterator[bytes]:
        """The body in pieces, as they come, until `deadline` in seconds of `time.monotonic`.

        Raises:
            ServiceError: compressed, or larger than `max_bytes`.
            requests.Timeout: later than the deadline.
        """
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise ServiceError(
                "the answer is compressed, which was not asked for",
                value=response.headers["Content-Encoding"],
                fix="Switch compression off in the proxy before the service.",
            )
        received = 0
        while piece := response.raw.read1(_CHUNK, decode_content=False):
            received += len(piece)
            if received > max_bytes:
                raise ServiceError(f"the answer is larger than {max_bytes:,} bytes")
            yield piece
            if time.monotonic() > deadline:
                raise requests.Timeout

    def _check_status(self, response: requests.Response, deadline: float) -> None:
        status = response.status_code
        if status < 400:
            return
        if status in _PASSING:
            raise requests.HTTPError(response=response)
        body = b"".join(self.body(response, deadline, self._max_bytes))
        if status in {401, 403}:
            raise ServiceError(
                f"the service refuses us with {status}",
                value=self.base_url,
                fix="Give the token that the service was started with (QSTORE_DATA_TOKEN).",
            )
        raise refusal_error(status, body)
