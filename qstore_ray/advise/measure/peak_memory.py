"""The largest resident memory of this process since a moment of our choice (Linux)."""

from __future__ import annotations

import resource
from pathlib import Path

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


def reset_peak() -> None:
    """Begin a new measurement; where the system has no such counter, the old one continues."""
    if _CLEAR.exists():
        _CLEAR.write_text("5")


def peak_mb() -> float:
    """MiB that were resident at most since `reset_peak`."""
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
