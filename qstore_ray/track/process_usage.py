"""What a process costs the machine: processor time and memory, asked of the operating system."""

from __future__ import annotations

import resource
import sys
import time

_UNITS_PER_MIB = 2**20 if sys.platform == "darwin" else 2**10
"""`ru_maxrss` counts bytes on macOS, KiB elsewhere."""


class ProcessUsage:
    """The processor and memory use of this process since the last sample. It measures the driver,
    which also trains if no workers are configured; Ray's dashboard shows the workers.
    """

    def __init__(self) -> None:
        self._cpu, self._clock = time.process_time(), time.monotonic()

    def sample(self) -> dict[str, float]:
        """`cpu_percent` (100 for each processor kept busy) and `peak_memory_mib` so far."""
        cpu, clock = time.process_time(), time.monotonic()
        busy = (cpu - self._cpu) / max(clock - self._clock, 1e-9)
        self._cpu, self._clock = cpu, clock
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _UNITS_PER_MIB
        return {"cpu_percent": 100.0 * busy, "peak_memory_mib": float(peak)}
