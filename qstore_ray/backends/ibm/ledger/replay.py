"""Read a ledger: the state of each job, by going through all lines.

A process that is killed while it writes leaves an unfinished last line, and a loss of power leaves
one with zeros in it. The step after it was not taken, so the line is dropped, with a notice, and
the lines before it say how to resume. Any other damage means that paid jobs may be unknown, and is
an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from qstore_ray.backends.ibm.ledger.entries import VERSION, LedgerLine, LedgerOwner, decode_line
from qstore_ray.backends.ibm.ledger.record import HardwareJob, advance
from qstore_ray.errors import LedgerError

LEDGER: Final = "ledger.jsonl"


@dataclass(frozen=True)
class LedgerContents:
    """What a ledger says.

    Attributes:
        owner: whose jobs these are; None for a ledger without a first line.
        records: key of a job → its record, in the order of the intents.
        lines: how many lines are whole. length: their bytes. checksum: of the last one.
        notice: what was dropped; "" if nothing was.
    """

    owner: LedgerOwner | None = None
    records: Mapping[str, HardwareJob] = field(default_factory=dict)
    lines: int = 0
    length: int = 0
    checksum: str = ""
    notice: str = ""

    def successors(self, record: HardwareJob) -> tuple[str, ...]:
        """The later jobs that ran requests of a job that failed or was cancelled, by their keys.

        A job that several trials share is run again in parts, one for each of them.
        """
        if not record.is_dead:
            return ()
        names, keys = {share.key for share in record.requests}, list(self.records)
        later = keys[keys.index(record.key) + 1 :]
        return tuple(
            key for key in later if names & {share.key for share in self.records[key].requests}
        )


def replay(folder: Path) -> LedgerContents:
    """The contents of the ledger in a folder, which another process may be writing.

    Raises:
        LedgerError: no ledger, one that cannot be read, or a damaged line (its number is named).
    """
    path = folder / LEDGER
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise LedgerError(
            f"cannot read the ledger: {exc.strerror or type(exc).__name__}",
            field="ledger",
            value=str(path),
            fix="Give the folder of a ledger.",
        ) from exc
    return _contents(data, path)


def check_owner(owner: LedgerOwner, wanted: LedgerOwner, folder: Path) -> None:
    """Refuse the ledger of another run, instance or backend.

    Raises:
        LedgerError: naming what differs.
    """
    for name in ("run", "instance", "backend"):
        found, asked = getattr(owner, name), getattr(wanted, name)
        if found != asked:
            raise LedgerError(
                f"the ledger in {folder} is of the {name} {found!r}, not of {asked!r}",
                field=name,
                value=asked,
                fix="Take another folder, or the run that the ledger is of.",
            )


def _contents(data: bytes, path: Path) -> LedgerContents:
    owner: LedgerOwner | None = None
    records: dict[str, HardwareJob] = {}
    *texts, _unfinished = data.split(b"\n")
    length, checksum, lines, notice = 0, "", 0, ""
    for text in texts:
        line = decode_line(text, lines, checksum)
        if line is None:
            if length + len(text) + 1 < len(data) or b"\0" not in text:
                raise _damaged_error(path, lines + 1)
            break
        owner = _apply(line, owner, records, path)
        length, checksum, lines = length + len(text) + 1, line.checksum, lines + 1
    if length < len(data):
        notice = f"the unfinished line {lines + 1} of the ledger {path} was dropped"
    return LedgerContents(owner, records, lines, length, checksum, notice)


def _apply(
    line: LedgerLine, owner: LedgerOwner | None, records: dict[str, HardwareJob], path: Path
) -> LedgerOwner:
    """Go one line further; the owner, from the first line."""
    entry = line.entry
    if isinstance(entry, LedgerOwner):
        if owner is not None:
            raise _damaged_error(path, line.seq + 1)
        if entry.version > VERSION:
            raise LedgerError(
                f"the ledger has format {entry.version}, and this program reads up to {VERSION}",
                field="ledger",
                value=str(path),
                fix="Update the program.",
            )
        return entry
    if owner is None:
        raise _damaged_error(path, line.seq + 1)
    try:
        records[entry.key] = advance(records.get(entry.key), entry, line.at)
    except LedgerError as exc:
        raise _damaged_error(path, line.seq + 1) from exc
    return owner


def _damaged_error(path: Path, number: int) -> LedgerError:
    return LedgerError(
        f"line {number} of the ledger is damaged or out of place",
        field="ledger",
        value=str(path),
        fix="Restore the file from a copy. Without one, look at the service for the jobs of this "
        "run, which are or will be billed, and take another folder for the ledger.",
    )
