"""A limit on the memory of processes together, as a container has it, by cgroup v1."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

_GROUPS = Path("/sys/fs/cgroup/memory")
_ENTER = """set -e
mount -t tmpfs none /sys/fs/cgroup
mkdir /sys/fs/cgroup/all /sys/fs/cgroup/memory
mount -t cgroup -o memory none /sys/fs/cgroup/all
echo $$ > "/sys/fs/cgroup/all/$1/cgroup.procs"
mount --bind "/sys/fs/cgroup/all/$1" /sys/fs/cgroup/memory
shift
exec "$@"
"""


def why_not() -> str:
    """Why there can be no such limit here, or ""."""
    if os.geteuid() != 0:
        return "a group of processes with a limit needs root"
    if not (_GROUPS / "memory.limit_in_bytes").exists():
        return "the limit needs cgroup v1 with its memory controller"
    return "" if shutil.which("mount") else "the limit needs the command mount"


needs_memory_limits = pytest.mark.skipif(bool(why_not()), reason=why_not() or "there are limits")


class MemoryLimit:
    """A group of processes; past the limit, the kernel kills one of them.

    Args:
        megabytes: of all processes together.
    """

    def __init__(self, megabytes: int) -> None:
        self._name = f"qstore-{secrets.token_hex(4)}"
        self._group = _GROUPS / self._name
        self._group.mkdir()
        (self._group / "memory.limit_in_bytes").write_text(str(megabytes * 2**20))

    def entry(self) -> list[str]:
        """The beginning of a command that is to run in the group, and to see only its limit.

        It is run in a mount namespace of its own, such as `ip netns exec` makes.
        """
        return ["sh", "-c", _ENTER, "enter", self._name]

    def kills(self) -> int:
        """How many processes the kernel has killed here."""
        lines = (self._group / "memory.oom_control").read_text().split()
        return int(lines[lines.index("oom_kill") + 1])

    def close(self) -> None:
        """Kill what is left in the group, and delete it."""
        deadline = time.monotonic() + 30.0
        while self._group.exists():
            for pid in (self._group / "cgroup.procs").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            with suppress(OSError):  # some are still ending
                self._group.rmdir()
            assert time.monotonic() < deadline, "processes of the group do not end"
            time.sleep(0.05)
