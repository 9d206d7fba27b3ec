"""The address of a study's database: what its URL says, and where the login comes from.

A password in the URL is used and written nowhere (see `qstore_ray.credentials`). Whoever opens the
study later has it from `QSTORE_STORAGE_PASSWORD` (with `QSTORE_STORAGE_USERNAME` if the URL names
no user), from the whole URL in `QSTORE_STORAGE_URI`, from a `.netrc` file, or leaves it to the
database's own client (`PGPASSWORD`, `~/.pgpass`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qstore_ray.credentials import login_url, without_login
from qstore_ray.errors import ConfigError, QStoreError, StudyError
from qstore_ray.files import real_path
from qstore_ray.storage.address import is_address

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

LOGIN: Final = "QSTORE_STORAGE"
"""How the names of the environment variables of a login begin."""

_FIX = "For example sqlite:///runs/studies.db, or leave it out for a journal file."


def parsed(url: str) -> URL:
    """The parts of a database's URL.

    Raises:
        ConfigError: not the URL of a database.
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
        short = found.drivername.startswith("postgres") and "Write postgresql://…, in full."
        raise ConfigError(
            "no such kind of database",
            field="storage_url",
            value=found.drivername,
            fix=short or _FIX,
        ) from exc
    return found


@contextmanager
def for_field(field: str) -> Iterator[None]:
    """Name the user's field in errors about a URL that was given elsewhere than as `storage_url`.

    Args:
        field: where the URL was given, such as `tune.storage_url`.
    """
    try:
        yield
    except QStoreError as exc:
        if exc.field == "storage_url":
            exc.field = field
        raise


def check_outlives(url: str) -> None:
    """Check that a database is still there when this process has ended.

    Raises:
        ConfigError: it is in memory, or not the URL of a database.
    """
    found = with_login(url)
    if is_file(found) and found.database in (None, "", ":memory:"):
        raise ConfigError(
            "a database in memory is gone when the search ends",
            field="storage_url",
            value=without_login(url),
            fix=_FIX,
        )


def with_login(url: str) -> URL:
    """The URL to connect to, with its login.

    Raises:
        ConfigError: not the URL of a database.
        StudyError: the `.netrc` file is damaged, or others may read it.
    """
    try:
        found = parsed(login_url(url, LOGIN))
    except OSError as exc:
        raise StudyError(
            f"no login for the database: {exc}",
            field="storage",
            value=without_login(url),
            fix=f"Or set {LOGIN}_PASSWORD.",
        ) from exc
    if is_file(found):
        _check_query(found)
    return found


def _check_query(url: URL) -> None:
    """Refuse query arguments that SQLite's driver would ignore with a warning."""
    from sqlalchemy.exc import SAWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", SAWarning)
        try:
            url.get_dialect()().create_connect_args(url)
        except SAWarning as exc:
            raise ConfigError(
                "SQLite does not know an argument after the question mark",
                field="storage_url",
                value=", ".join(sorted(url.query)),  # their values may be secrets
                fix="Leave it out. A SQLite file has no users and no password.",
            ) from exc


def is_file(url: URL) -> bool:
    """Whether the database is a file of this machine, which has no users."""
    return url.get_backend_name() == "sqlite"


def file_of(url: str) -> Path | None:
    """The file of a database that is one."""
    found = parsed(url)
    name = found.database or ""
    return Path(name) if is_file(found) and not name.startswith("file:") else None


def absolute(url: str) -> str:
    """The URL without its login, and with the whole path where it names a file.

    Raises:
        ConfigError: not the URL of a database.
    """
    found = parsed(without_login(url))
    file = file_of(without_login(url))
    if file is not None and file.name:
        found = found.set(database=real_path(file).as_posix())
    return found.render_as_string(hide_password=False)


def same_database(url: str, other: str) -> bool:
    """Whether two URLs name one database, for any login and any driver.

    Raises:
        ConfigError: one of them is not the URL of a database.
    """

    def place(text: str) -> tuple[object, ...]:
        found = parsed(absolute(text))
        return found.get_backend_name(), found.host, found.port, found.database

    return place(url) == place(other)


def is_folder_address(reference: str) -> bool:
    """Whether a study is named by its address in an object store."""
    return is_address(reference) and reference.partition("://")[0].lower() in ("s3", "gs", "az")


def split_reference(reference: str) -> tuple[str, str]:
    """Address and study of `URL#name`; the address of a study's folder is empty."""
    if "://" not in reference or is_folder_address(reference):
        return "", reference
    address, _, name = reference.rpartition("#")
    return address, name
