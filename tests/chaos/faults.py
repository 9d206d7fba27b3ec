"""Faults of the machine that a process trains on; each is begun once, in that process."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import ray

Fault = Callable[[random.Random, Path], None]
"""Begins it. The folder is the test's: what a fault leaves there outlives the process."""

DAY = 86_400.0
_STORE = 80_000_000  # bytes of Ray's object store on a node
_HELD: list[np.ndarray] = []
_PIECE = 2**22
_GROUP, _NUMBERS = Path("/sys/fs/cgroup/memory"), ("usage_in_bytes", "limit_in_bytes")
_MOST_PIECES = 500  # 2 GB, more than any limit here


def no_fault(_: random.Random, __: Path) -> None:
    """The kills are enough."""


def clock_jumps(chance: random.Random, _: Path) -> None:
    """The clock of the system jumps by up to a year, back and forth, each time it is read."""
    usual = time.time
    time.time = lambda: usual() + chance.uniform(-365.0, 365.0) * DAY  # type: ignore[assignment]


def slow_disk(chance: random.Random, _: Path) -> None:
    """Writes, and the calls that wait for the disk, take up to a hundredth of a second more."""
    for name in ("write", "fsync", "replace"):
        usual = getattr(os, name)

        def late(*given: object, usual: Callable[..., object] = usual, **named: object) -> object:
            time.sleep(chance.uniform(0.0, 0.01))
            return usual(*given, **named)

        setattr(os, name, late)


def _is_worker() -> bool:
    return ray.is_initialized() and ray.get_runtime_context().worker.mode == ray.WORKER_MODE


def _share_used() -> float:
    """Of the limit on this process and its neighbours."""
    used, most = (int((_GROUP / f"memory.{name}").read_text()) for name in _NUMBERS)
    return used / most


def full_memory(_: random.Random, folder: Path) -> None:
    """A worker takes memory until it is killed, once for each file `take-*` of the folder."""
    if not _is_worker():
        return
    for wish in sorted(folder.glob("take-*")):
        wish.unlink()
        taken = []
        while len(taken) < _MOST_PIECES:
            taken.append(b"x" * _PIECE)
            # Ray needs seconds from the limit that it has set itself to the end of a worker.
            time.sleep(0.01 if _share_used() < 0.93 else 0.5)
        raise AssertionError("nothing limits the memory of this process")


def full_object_store(_: random.Random, __: Path) -> None:
    """Objects that are in use, and so cannot leave, fill Ray's store on the node of a worker."""
    if _is_worker():
        refs = [ray.put(np.zeros(_STORE // 8 // 8)) for _ in range(8)]
        _HELD.extend(ray.get(refs))


FAULTS: dict[str, Fault] = {
    "none": no_fault,
    "clock": clock_jumps,
    "slow": slow_disk,
    "memory": full_memory,
    "store": full_object_store,
}
