"""The process that reads text of variable length from an HDF5 file, for `hdf5_text.py`.

A program of its own: `python hdf5_text_process.py PATH NAME START STOP MAX_BYTES`. It writes the
texts of the rows as a JSON list, or ends with status 3 and says on stderr what is wrong. What a
damaged file can do to the HDF5 library (run forever, end the process, ask for all memory) it does
to this process alone.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import h5py

_SPARE = 2**28  # bytes for the work of the HDF5 library and of JSON beside the texts


def main(path: str, name: str, start: int, stop: int, max_bytes: int) -> None:
    """Write the texts of rows `start` to before `stop` of the array `name`.

    Raises:
        ValueError: the array has no texts of variable length, or they are longer than `max_bytes`.
    """
    used = Path("/proc/self/statm")  # Linux; elsewhere only the time is bounded
    if used.exists():
        pages = int(used.read_text().split()[0])
        # A text is there as C string, bytes, str and JSON.
        limit = pages * resource.getpagesize() + 8 * max_bytes + _SPARE
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with h5py.File(path, "r", locking=False) as file:
        array = file[name]
        kind = h5py.check_string_dtype(array.dtype)
        if kind is None or kind.length is not None:
            raise ValueError("no longer text of variable length")
        texts = array.asstr()[start:stop].tolist()
    if sum(map(len, texts)) > max_bytes:
        raise ValueError(f"the texts are longer than {max_bytes:,} bytes")
    sys.stdout.write(json.dumps(texts))


if __name__ == "__main__":
    _, path_, name_, *numbers = sys.argv
    try:
        main(path_, name_, *map(int, numbers))
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as exc:
        sys.stderr.write(str(exc) or type(exc).__name__)
        sys.exit(3)
