"""What this process may use of its machine, and its environment variables."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")
_MEMORY = Path("/proc/meminfo")


@contextmanager
def environment(
    values: Mapping[str, str] | None = None, *, defaults: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Set variables inside the block, and restore the previous values when it ends or raises.

    Args:
        values: override existing variables. defaults: apply only to variables that are not set.
    """
    unset = {name: value for name, value in (defaults or {}).items() if name not in os.environ}
    wanted = {**unset, **(values or {})}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def available_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_limit(group: Path = _GROUP) -> int | None:
    """Bytes that a container may use, by its control group; None if it has no limit."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        text = _text(group / name)
        if text and text != "max" and int(text) < 2**60:
            return int(text)
    return None


def free_memory(group: Path = _GROUP, memory: Path = _MEMORY) -> int | None:
    """Bytes that this process may still take, also in a container; None if nobody says."""
    found = [line.split() for line in _text(memory).splitlines() if line.startswith("MemAvailable")]
    free = int(found[0][1]) * 1024 if found else None
    limit = memory_limit(group)
    if limit is None:
        return free
    used = _text(group / "memory.current") or _text(group / "memory/memory.usage_in_bytes") or "0"
    left = max(0, limit - int(used))
    return left if free is None else min(free, left)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
