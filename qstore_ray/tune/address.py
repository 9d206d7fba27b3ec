"""The address of a study's database: a URL, and the login that is kept nowhere.

A URL may be written with a password, which is used and then forgotten: what is written to files,
trackers, messages and the study itself is the URL without it. Whoever opens the study later has
the password from the environment (`QSTORE_STORAGE_USER`, `QSTORE_STORAGE_PASSWORD`), or leaves it
to the database's own client (`PGPASSWORD`, `~/.pgpass`). The user's name stays in the URL: no
secret, and such a file is searched by it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

USER: Final = "QSTORE_STORAGE_USER"
PASSWORD: Final = "QSTORE_STORAGE_PASSWORD"  # noqa: S105 - the name of a variable

_FIX = "For example sqlite:///runs/studies.db, or leave it out for a journal file."


def parsed(url: str) -> URL:
    """The parts of a database's URL.

    Raises:
        ConfigError: not the URL of a database, or of one in memory.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        found = make_url(url)
    except (ArgumentError, ValueError) as exc:  # whose text may hold a password, as `url` may
        raise ConfigError("not the URL of a database", field="storage_url", fix=_FIX) from exc
    try:
        found.get_dialect()
    except NoSuchModuleError as exc:
        raise ConfigError(
            "no such kind of database", field="storage_url", value=found.drivername, fix=_FIX
        ) from exc
    if is_file(found) and found.database in (None, "", ":memory:"):
        raise ConfigError(
            "a database in memory is gone when the search ends",
            field="storage_url",
            value=without_password(url),
            fix=_FIX,
        )
    return found


def is_file(url: URL) -> bool:
    """Whether the database is a file of this machine, which has no users."""
    return url.get_backend_name() == "sqlite"


def without_password(url: str) -> str:
    """The URL as it may be written down: no password, no secret among its options.

    A text that is no URL is cut where a login could begin; it cannot be used anyway.
    """
    from sqlalchemy.engine import URL, make_url
    from sqlalchemy.exc import ArgumentError

    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        return url.partition("//")[0]
    options = {name: value for name, value in found.query.items() if not _is_secret(name)}
    return URL.create(
        found.drivername,
        username=found.username,
        host=found.host,
        port=found.port,
        database=found.database,
        query=options,
    ).render_as_string()


def with_login(url: str) -> URL:
    """The URL to connect to: what it does not say of the login is taken from the environment.

    Raises:
        ConfigError: see `parsed`.
    """
    found = parsed(url)
    if is_file(found):
        return found
    user, password = os.environ.get(USER), os.environ.get(PASSWORD)
    if user and not found.username:
        found = found.set(username=user)
    if password and not found.password and not any(map(_is_secret, found.query)):
        found = found.set(password=password)
    return found


def reference_without_password(reference: str) -> str:
    """The same for `URL#name`, as `warm_start` has it; a folder stays as it is."""
    address, _, name = reference.rpartition("#")
    return f"{without_password(address)}#{name}" if "://" in reference else reference


def absolute(url: str) -> str:
    """The URL without its password, and with the whole path where it names a file."""
    from sqlalchemy.engine import make_url

    found = make_url(without_password(url))
    name = found.database
    if is_file(found) and name and not name.startswith("file:"):
        found = found.set(database=Path(name).expanduser().resolve().as_posix())
    return found.render_as_string()


def same_database(url: str, other: str) -> bool:
    """Whether two URLs name one database, whoever logs in and by whichever driver."""
    from sqlalchemy.engine import make_url

    def place(text: str) -> tuple[object, ...]:
        found = make_url(absolute(text))
        return found.get_backend_name(), found.host, found.port, found.database

    return place(url) == place(other)


def _is_secret(option: str) -> bool:
    """Whether an option of a URL, such as `sslpassword`, holds a secret."""
    words = ("password", "passwd", "passphrase", "secret", "token")
    return any(word in option.lower() for word in words)


def file_of(url: str) -> Path | None:
    """The file of a database that is one."""
    found = parsed(url)
    name = found.database or ""
    return Path(name) if is_file(found) and not name.startswith("file:") else None
