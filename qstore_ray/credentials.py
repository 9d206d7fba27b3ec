"""Logins in URLs: kept in memory to connect with, never written to a file.

A configuration with `postgresql://ann:pw@db/mlflow` holds a `PublicUrl`: its text is
`postgresql://ann@db/mlflow`, the only form in files, trackers, messages and other processes.
To connect, call `login_url`, which returns the whole URL in the process that read the
configuration. Any other process, such as a later sync of the run, takes the login from the
environment or from a `.netrc` file that only its owner can read.
"""

from __future__ import annotations

import netrc
import os
import re
import stat
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from urllib.parse import quote

HIDDEN: Final = "***"
"""The replacement for a secret in text."""

_SERVERS = ("http", "https", "databricks")
# As SQLAlchemy parses a URL (a password may contain a slash), and as HTTP clients do.
_DATABASE = re.compile(
    r"(?P<scheme>[\w+.-]+)://(?:(?P<login>[^/@:]*(?::[^@]*)?)@)?(?P<rest>.*)", re.DOTALL
)
_SERVER = re.compile(r"(?P<scheme>[\w+.-]+)://(?:(?P<login>[^/?#]*)@)?(?P<rest>.*)", re.DOTALL)
_SECRET = re.compile(
    r"token|passw|pwd|secret|credential|signature|^sig$|(?:api|access|private)_?key", re.IGNORECASE
)
_SECRET_KEY = re.compile(
    r"(?:^|[^a-z])(?:token|passwords?|passwd|passphrase|secrets?|credentials?"
    r"|(?:api|access|private)_?key)(?:$|[^a-z])"
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_IN_TEXT = re.compile(r"(://)[^\s/]*@")
_DATABASE_IN_TEXT = re.compile(r"\b(?!https?:)([a-z][\w+.-]*://)[^\s/@:]*:[^\s@]*@", re.IGNORECASE)
_QUERY_IN_TEXT = re.compile(
    r"([?&][^=&\s]*(?:token|passw|pwd|secret|credential|key|sig)[^=&\s]*=)[^&\s\"')}\]]+",
    re.IGNORECASE,
)
_OTHERS = 0o077


class PublicUrl(str):
    """A URL whose text has no password, token or secret; `login_url` gives the whole one.

    A pickled or copied text, as another process gets it, has no login either.
    """

    __slots__ = ("whole",)
    whole: str

    def __new__(cls, url: str) -> Self:
        """Create the URL without its login; `whole` keeps the login."""
        public = super().__new__(cls, without_login(url))
        public.whole = url.whole if isinstance(url, PublicUrl) else url
        return public

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return PublicUrl, (str(self),)


class _Parts(NamedTuple):
    scheme: str
    user: str
    password: str | None
    rest: str

    @property
    def is_server(self) -> bool:
        return self.scheme.partition("+")[0].lower() in _SERVERS


def without_login(url: str) -> str:
    """`url` without password, and without parameters such as `?password=` or `?token=`.

    The user's name at a database stays, because it is no secret and says whose tables are meant.
    For a server it may be a token, so it goes too. What is no URL stays as it is.
    """
    parts = _parts(url)
    if parts is None:
        return url
    user = f"{parts.user}@" if parts.user and not parts.is_server else ""
    place, mark, query = parts.rest.partition("?")
    kept = [
        part for part in query.split("&") if part and not _SECRET.search(part.partition("=")[0])
    ]
    if not mark or kept == query.split("&"):
        return f"{parts.scheme}://{user}{parts.rest}"
    return f"{parts.scheme}://{user}{place}" + (f"?{'&'.join(kept)}" if kept else "")


def is_secret(key: str) -> bool:
    """Return whether a value under this key must be hidden."""
    return _SECRET_KEY.search(_HUMP.sub("_", key).lower()) is not None


def redact_text(text: str) -> str:
    """`text` with user, password and token of every URL in it replaced by `***`."""
    text = _DATABASE_IN_TEXT.sub(rf"\1{HIDDEN}@", text)
    return _QUERY_IN_TEXT.sub(rf"\1{HIDDEN}", _IN_TEXT.sub(rf"\1{HIDDEN}@", text))


def login_url(url: str, variables: str) -> str:
    """`url` with its login, to connect with and for nothing else.

    In this order: the login that was given in the URL; that of the URL in the environment variable
    `<variables>_URI`, if it has the same address; for a database `<variables>_USERNAME` and
    `<variables>_PASSWORD`; and the entry of its host in `$NETRC` or `~/.netrc`. Without any the URL
    is returned as it is: servers take logins in other ways too.

    Args:
        variables: how the names of the environment variables begin, such as MLFLOW_TRACKING.

    Raises:
        OSError: others may read the `.netrc` file, or it is damaged.
    """
    whole = url.whole if isinstance(url, PublicUrl) else url
    if without_login(whole) != whole:
        return whole
    elsewhere = os.environ.get(f"{variables}_URI", "")
    if without_login(elsewhere) == whole:
        return elsewhere
    parts = _parts(whole)
    if parts is None or parts.is_server or parts.scheme.partition("+")[0] == "sqlite":
        return whole
    user = parts.user or os.environ.get(f"{variables}_USERNAME", "")
    password = os.environ.get(f"{variables}_PASSWORD")
    if not password:
        user, password = _from_netrc(parts)
    if not password:
        return whole
    return f"{parts.scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{parts.rest}"


def _parts(url: str) -> _Parts | None:
    scheme = url.partition("://")[0]
    pattern = _SERVER if scheme.partition("+")[0].lower() in _SERVERS else _DATABASE
    found = pattern.fullmatch(url)
    if found is None:
        return None
    user, colon, password = (found["login"] or "").partition(":")
    return _Parts(scheme, user, password if colon else None, found["rest"])


def _from_netrc(parts: _Parts) -> tuple[str, str | None]:
    """User and password that the `.netrc` file has for this host, and this user if there is one."""
    named = os.environ.get("NETRC") or "~/.netrc"
    file = Path(os.path.expanduser(named))  # noqa: PTH111 - Path's raises for a user without a home
    host = re.split(r"[:/?]", parts.rest, maxsplit=1)[0]
    if not host or not file.is_file():
        return parts.user, None
    if stat.S_IMODE(file.stat().st_mode) & _OTHERS:
        raise PermissionError(f"others may read {file}: type `chmod 600 {file}`")
    try:
        entry = netrc.netrc(str(file)).authenticators(host)
    except netrc.NetrcParseError as exc:
        raise OSError(f"line {exc.lineno} of {file} is damaged") from exc
    if entry is None or (parts.user and entry[0] != parts.user):
        return parts.user, None
    return entry[0] or "", entry[2]
