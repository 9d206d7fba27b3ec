"""An empty sqlite store, kept in the user's cache for the next store that is created.

MLflow makes its tables by all migrations since its first release, which takes a second of CPU time;
to copy a store that has them takes a thirtieth. One file is kept for each version of MLflow. It
holds no experiment, because the row of MLflow's default experiment names a folder; MLflow adds that
row to a store without it, and checks the version of the tables of each store that it opens.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from qstore_ray.files import cache_root, is_there

_log = logging.getLogger(__name__)


def copy_empty(store: Path, version: str) -> bool:
    """Fill the new file `store` with the empty store of this version of MLflow.

    Returns:
        False if none is kept, or it is damaged; there is no file then.
    """
    kept = _kept(version)
    if not is_there(kept):
        return False
    try:
        with (
            closing(sqlite3.connect(f"{kept.as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(store)) as copy,
        ):
            source.backup(copy)
            has_tables = copy.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
            if has_tables and copy.execute("PRAGMA quick_check").fetchone() == ("ok",):
                return True
    except sqlite3.Error as exc:
        _log.debug("the empty store %s cannot be copied: %s", kept, exc)
    store.unlink(missing_ok=True)
    return False


def keep_empty(store: Path, version: str) -> None:
    """Keep the tables of a store that MLflow has just created.

    Where the cache cannot be written, the next store takes the second again.
    """
    if not is_there(cache_root().parent):  # a user without a home
        return
    kept = _kept(version)
    part = kept.with_name(f".{kept.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(store)) as source, closing(sqlite3.connect(part)) as copy:
            source.backup(copy)
            copy.execute("DELETE FROM experiments")
            copy.commit()
            copy.execute("VACUUM")  # else the bytes of the deleted row, a path, would be copied
        part.replace(kept)
    except (OSError, sqlite3.Error) as exc:
        _log.debug("no empty store can be kept at %s: %s", kept, exc)
        if is_there(part):
            part.unlink()


def _kept(version: str) -> Path:
    return cache_root() / "qstore_ray" / "mlflow" / f"empty-{version}.db"
