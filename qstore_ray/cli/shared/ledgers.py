"""Ledgers of paid hardware by what a user types: a folder, one above several, or a run's name."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from qstore_ray.errors import UsageError

_OF_CALLS: Final = "predict-"
"""How the names of records of predictions and scores begin, before the name of their run."""


def ledgers_of(given: str, *, of_calls: bool = True) -> list[Path]:
    """The folders of the ledgers that a user means.

    Args:
        given: a ledger's folder, a folder above ledgers, or the name or id of a run whose ledger
            is in the default folder.
        of_calls: with those of the predictions and scores of a run that is named.

    Raises:
        UsageError: no ledger is found.
    """
    from qstore_ray.backends.ibm.ledger.place import ledger_root
    from qstore_ray.backends.ibm.ledger.replay import LEDGER
    from qstore_ray.files import expanded

    folder, root = expanded(given), ledger_root()
    if (folder / LEDGER).exists():
        return [folder]
    if folder.is_dir():
        found = sorted(path.parent for path in folder.rglob(LEDGER))
    else:
        before = f"({_OF_CALLS})?" if of_calls else ""
        name = re.compile(before + re.escape(given) + r"(-[0-9a-f]{6,})?")
        below = sorted(path.parent for path in root.glob(f"*/*/*/{LEDGER}"))
        found = [path for path in below if name.fullmatch(path.name)]
    if not found:
        raise UsageError(
            "no ledger is in this folder, and no run of this name has one",
            field="FOLDER",
            value=given,
            fix=f"Give the folder of a ledger, or a run that has one in {root}.",
        )
    return found


def ledger_of(given: str) -> Path:
    """The folder of the one ledger that a user means.

    Raises:
        UsageError: no ledger is found, or several with jobs.
        LedgerError: one of several is damaged.
    """
    from qstore_ray.backends.ibm.ledger.replay import replay

    found = ledgers_of(given)
    if len(found) > 1:  # a run is meant rather than what was measured with it later
        with suppress(UsageError):
            found = ledgers_of(given, of_calls=False)
    if len(found) > 1:  # a run that was killed before its first job leaves an empty one
        found = [folder for folder in found if replay(folder).records] or found
    if len(found) > 1:
        raise UsageError(
            f"there are {len(found)} ledgers",
            field="FOLDER",
            value=given,
            fix=f"Give one of: {', '.join(map(str, found))}.",
        )
    return found[0]
