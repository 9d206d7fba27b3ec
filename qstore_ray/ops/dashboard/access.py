"""Who may see the page, and the headers of every answer.

The address that is printed is that of `/enter`, with the token behind `#`, which a browser does not
send. The script of that page sends it as a bearer token to `/session`, and the answer sets a cookie
that scripts cannot read. So the token is in no log and in no request line.

Every request has to be addressed to this machine, so that another page cannot reach the server
under a name of its own (DNS rebinding). Browsers take all ports of a machine for one site, and send
the cookie if a page of another program here asks; such a request gets nothing. The policy of
content allows no inline script, no other origin, and no HTML from strings.
"""

from __future__ import annotations

import hashlib
import hmac
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, Response

from qstore_ray.data.service.client.address import is_loopback
from qstore_ray.ops.dashboard.answers import JsonAnswer

if TYPE_CHECKING:
    from pydantic import SecretStr
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

ENTER: Final = "/enter"
SESSION: Final = "/session"
PAGE: Final = "/page/"
"""Where the files of the page are, which hold nothing of anybody and need no token."""

_OWN: Final = frozenset({"same-origin", "none"})
"""Who has a browser ask, by `Sec-Fetch-Site`: this page, or the user."""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer that does not set them itself."""


class AccessGate:
    """Middleware in front of the routes.

    Args:
        token: what opens the page.
        port: the server's, part of the cookie's name: browsers send cookies to every port.
    """

    def __init__(self, app: ASGIApp, token: SecretStr, port: int) -> None:
        self._app = app
        secret = token.get_secret_value().encode()
        self._token = secret
        self._session = hmac.digest(secret, b"session", hashlib.sha256).hex().encode()
        self._cookie = f"qstore_dashboard_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        app = self._answer(scope) or self._app

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await app(scope, receive, send_with_headers)

    def _answer(self, scope: Scope) -> Response | None:
        """What the request is answered with before any route; None lets it pass."""
        headers, path = Headers(scope=scope), scope["path"]
        if not is_loopback(_host(headers.get("host", ""))):
            return PlainTextResponse("This page is for its own machine alone.\n", 400)
        if path == SESSION and scope["method"] == "POST":
            return self._opened() if self._has_token(headers) else _denied(path)
        is_open = path == ENTER or path.startswith(PAGE)
        may_ask = path == "/" or headers.get("sec-fetch-site", "none") in _OWN
        if is_open or self._has_token(headers) or (may_ask and self._has_session(headers)):
            return None
        return _denied(path)

    def _opened(self) -> Response:
        answer = Response(status_code=204)
        session = self._session.decode()
        answer.set_cookie(self._cookie, session, httponly=True, samesite="strict", path="/")
        return answer

    def _has_token(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(given.encode(), self._token)

    def _has_session(self, headers: Headers) -> bool:
        """`SimpleCookie` of Python gives up at the first cookie that is not of its standard, and
        those of other programs on this machine come along.
        """
        found = cookie_parser(headers.get("cookie", "")).get(self._cookie)
        return found is not None and hmac.compare_digest(found.encode(), self._session)


def _denied(path: str) -> Response:
    headers = {"WWW-Authenticate": 'Bearer realm="qstore dashboard"'}
    if path == "/":
        page = (files("qstore_ray.ops.dashboard") / "page" / "denied.html").read_bytes()
        return Response(page, 401, headers, "text/html; charset=utf-8")
    detail = {
        "error": "RequestError",
        "message": "this needs the token of the dashboard",
        "field": "Authorization",
        "value": None,
        "fix": "Open the address that was printed when the dashboard was started, with what "
        "follows #; a program sends it as a bearer token.",
        "exit_code": 2,
    }
    return JsonAnswer({"detail": detail}, 401, headers)


def _host(header: str) -> str:
    """The host of a Host header, without its port."""
    host, _, port = header.rpartition(":")
    return (host if host and port.isdigit() else header).strip("[]")
