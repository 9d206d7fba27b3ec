"""The file of a ledger, opened by its only writer, who says which lines have to be on disk."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from qstore_ray.backends.ibm.ledger.entries import Entry, encode_line
from qstore_ray.backends.ibm.ledger.replay import LedgerContents
from qstore_ray.backends.ibm.ledger.results import sync_folder
from qstore_ray.errors import ConfigError, LedgerError
from qstore_ray.files import unwritable_fix


class LedgerFile:
    """Appends lines to a ledger, one call at a time.

    After a line that could not be written, nothing more is: a failed fsync may have lost what was
    written before it, so what is on disk is not known until the file is read again.

    Args:
        path: of the file; an unfinished last line is cut off.
        contents: what was read from it.

    Raises:
        LedgerError: the file cannot be written.
    """

    def __init__(self, path: Path, contents: LedgerContents) -> None:
        self._path = path
        self._lines, self._checksum = contents.lines, contents.checksum
        self._refuses = ""
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.ftruncate(self._file, contents.length)
            os.fsync(self._file)
            sync_folder(path.parent)
        except OSError as exc:
            raise unwritable_error(path, exc) from exc

    def append(self, entry: Entry, at: str, *, sync: bool = True) -> None:
        """Add a line.

        Args:
            sync: return when it is on disk, with all lines before; else it may be lost with power.

        Raises:
            LedgerError: it could not be written, or one before it could not.
        """
        if self._refuses:
            raise LedgerError(
                self._refuses,
                field="ledger",
                value=str(self._path),
                fix="Start the gateway again: it reads what is on disk and resumes.",
            )
        line, checksum = encode_line(self._lines, at, entry, self._checksum)
        try:
            _write(self._file, line)
            if sync:
                os.fsync(self._file)
        except OSError as exc:
            self._refuses = "an earlier line of the ledger could not be written"
            raise unwritable_error(self._path, exc) from exc
        self._lines, self._checksum = self._lines + 1, checksum

    def close(self) -> None:
        """Close the file; nothing can be appended afterwards."""
        if self._file >= 0:
            os.close(self._file)
            self._file, self._refuses = -1, "the ledger is closed"


def _write(file: int, line: bytes) -> None:
    """Write the line whole or not at all; the rest of a line is what a full disk leaves out."""
    before = os.fstat(file).st_size
    if os.write(file, line) < len(line):
        with suppress(OSError):
            os.ftruncate(file, before)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def unusable_error(folder: Path, exc: OSError) -> ConfigError:
    """The error for a folder that can have no ledger."""
    return ConfigError(
        f"the ledger cannot be in this folder: {exc.strerror or type(exc).__name__}",
        field="ledger",
        value=str(folder),
        fix="Give a folder on the gateway's node that you may write to.",
    )


def unwritable_error(path: Path, exc: OSError) -> LedgerError:
    """The error for a ledger that cannot be written."""
    return LedgerError(
        f"cannot write the ledger: {exc.strerror or type(exc).__name__}",
        field="ledger",
        value=str(path),
        fix=unwritable_fix(exc),
    )
