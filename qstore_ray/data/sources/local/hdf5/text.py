"""Text of variable length in HDF5 files, read by a process that may fail.

Such text is kept in heaps of the file, to which every row points. In a damaged file the pointers
lead the HDF5 library anywhere: it may run forever, take all memory or end the process. No error
handling helps against that within one process, so another one reads, with a bound on its time and
memory; what becomes of it is data or an error here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.data.files.files import is_remote
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

SECONDS = 60.0
_READER = Path(__file__).with_name("text_process.py")
_FIX = 'Write text of a fixed length: np.array(labels, dtype="S").'


def read_texts(path: str, name: str, start: int, stop: int, max_bytes: int) -> AnyArray:
    """The texts (rows,) of rows `start` to before `stop` of the array `name`, in about a second.

    Raises:
        DataError: a remote file, a damaged one, one that takes too long, or texts of more than
            `max_bytes`, as they are or as an array, in which all are as long as the longest.
    """
    check_readable(path, name)
    # -P: the folder of the program is no place to import from.
    program = [sys.executable, "-P", str(_READER), path, name]
    try:
        done = subprocess.run(  # noqa: S603 - our own program, no shell
            [*program, str(start), str(stop), str(max_bytes)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise _damaged_error(
            path, name, f"reading its text took longer than {SECONDS:g} s"
        ) from exc
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        how = f"status {done.returncode}"
        raise _damaged_error(
            path, name, said if done.returncode == 3 else f"{how}: {said}".rstrip(": ")
        )
    texts = json.loads(done.stdout)
    longest = max(map(len, texts), default=0)
    if 4 * longest * len(texts) > max_bytes:
        raise DataError(
            f"{len(texts):,} texts, the longest of {longest:,} characters, are "
            f"{4 * longest * len(texts):,} bytes, {max_bytes:,} are allowed",
            field=path,
            value=name,
            fix="Set params.rows_per_task lower, or raise params.max_bytes if this is meant.",
        )
    return np.array(texts, dtype=f"U{max(longest, 1)}")


def check_readable(path: str, name: str) -> None:
    """Raise `DataError` where another process on this machine could not open the file."""
    if is_remote(path):
        raise DataError(
            "text of variable length is read from files of this machine only",
            field=path,
            value=name,
            fix=f"Copy the file here. {_FIX}",
        )


def _damaged_error(path: str, name: str, reason: str) -> DataError:
    return DataError(
        f"a damaged file, or text that cannot be read: {reason}", field=path, value=name, fix=_FIX
    )
