"""Where a study is kept: Optuna's journal file, or a database by its URL.

The journal has one JSON object a line, each on disk before the operation counts. A process that is
killed while it writes leaves part of a last line; it had not happened yet, and is cut off before
anything else is written behind it. Any other damage is an error that names the line.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qstore_ray.credentials import without_login
from qstore_ray.errors import MissingDependencyError, StudyError
from qstore_ray.files import expanded, parsed_json
from qstore_ray.tune.study.address import file_of, is_file, parsed, with_login
from qstore_ray.tune.study.storage_errors import damaged_error, translated

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from sqlalchemy.engine import URL

JOURNAL = "study.journal"

# Optuna holds a lock file beside the journal while it writes, for milliseconds. One that a killed
# writer has left is taken away after this many seconds in which nothing was written.
_GRACE = 5
_CONNECT_SECONDS = 10


def open_storage(folder: Path, url: str | None, *, writing: bool) -> BaseStorage:
    """The storage of a study: its journal in `folder`, or the database at `url`.

    Args:
        writing: this process alone writes to the study, so a torn last line may be cut off. Without
            it nothing is created, and `study_names` has to be asked before.

    Raises:
        ConfigError: not the URL of a database.
        MissingDependencyError: the database's driver is not installed.
        StudyError: locked, damaged, out of reach, or it refuses this user.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # we say ourselves what happens
    if url is not None:
        return _database(url)
    file = folder / JOURNAL
    _check_link(file)
    with translated(str(file)):
        if file.exists():
            _check_journal(file, mend=writing)
        lock = JournalFileSymlinkLock(str(file), grace_period=_GRACE)
        backend = JournalFileBackend(str(file), lock_obj=lock)
        try:
            return optuna.storages.JournalStorage(backend)
        except (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError) as exc:
            # The journal is replayed here; a record that lacks something ends in one of these.
            raise damaged_error(str(file), f"its records do not fit together ({exc!r})") from exc


def study_names(folder: Path, url: str | None) -> list[str]:
    """The studies of a storage; nothing is created, neither a file nor a table.

    Raises:
        ConfigError, MissingDependencyError, StudyError: see `open_storage`.
    """
    import optuna

    with translated(name_of(folder, url)):
        there = _has_journal(folder) if url is None else _has_tables(url)
        if not there:
            return []
        return optuna.get_all_study_names(open_storage(folder, url, writing=False))


def name_of(folder: Path, url: str | None) -> str:
    """The storage as messages name it: without a password.

    Raises:
        ConfigError: not the URL of a database.
    """
    if url is None:
        return str(folder / JOURNAL)
    parsed(url)
    return without_login(url)


def _has_journal(folder: Path) -> bool:
    _check_link(folder / JOURNAL)
    return (folder / JOURNAL).exists()


def _check_link(file: Path) -> None:
    """Refuse a link without a file behind it: the file may be on a disk that is not mounted.

    Raises:
        StudyError: it is one.
    """
    if file.is_symlink() and not file.exists():
        raise StudyError(
            f"a symbolic link that leads to no file: {file.readlink()}",
            field="storage",
            value=str(file),
            fix="Mount or create what it leads to, or delete the link.",
        )


def _check_journal(file: Path, *, mend: bool) -> None:
    data = file.read_bytes()
    whole = data.rfind(b"\n") + 1
    for number, line in enumerate(data[:whole].splitlines(), start=1):
        try:
            record = parsed_json(line)
        except ValueError:
            record = None
        if not isinstance(record, dict) or not isinstance(record.get("op_code"), int):
            raise damaged_error(str(file), f"line {number} is no record")
    if mend and whole < len(data):
        with file.open("r+b") as journal:
            journal.truncate(whole)


def _has_tables(url: str) -> bool:
    """Whether Optuna has kept anything in this database."""
    import sqlalchemy

    file = file_of(url)
    if file is not None:
        _check_link(expanded(file))
    if file is not None and not file.exists() and file.parent.is_dir():
        return False
    address = with_login(url)
    try:
        engine = sqlalchemy.create_engine(address, **_options(address))
    except ImportError as exc:
        raise _no_driver_error(address, url) from exc
    try:
        with engine.connect() as connection:
            return sqlalchemy.inspect(connection).has_table("studies")
    finally:
        engine.dispose()


def _database(url: str) -> BaseStorage:
    import optuna

    address = with_login(url)
    try:
        with translated(without_login(url)):
            return optuna.storages.RDBStorage(
                address.render_as_string(hide_password=False), engine_kwargs=_options(address)
            )
    except ImportError as exc:
        raise _no_driver_error(address, url) from exc


def _options(address: URL) -> dict[str, Any]:
    """Of the engine: a connection that the server has closed meanwhile is replaced unseen."""
    if is_file(address):
        return {}
    options: dict[str, Any] = {"pool_pre_ping": True}
    knows_timeout = address.get_driver_name() in {"psycopg", "psycopg2", "pymysql", "mysqldb"}
    if knows_timeout and not {"connect_timeout", "service"} & set(address.query):
        options["connect_args"] = {"connect_timeout": _CONNECT_SECONDS}
    return options


def _no_driver_error(address: URL, url: str) -> MissingDependencyError:
    installs = {
        "psycopg": "pip install 'psycopg[binary]'",
        "psycopg2": "pip install psycopg2-binary, or write postgresql+psycopg://…",
        "mysqldb": "pip install PyMySQL, and write mysql+pymysql://…",
        "pymysql": "pip install PyMySQL",
    }
    driver = address.get_driver_name()
    return MissingDependencyError(
        f"the driver of this database, {driver}, is not installed",
        field="storage_url",
        value=without_login(url),
        fix=f"{installs.get(driver, f'pip install {driver}')}.",
    )
