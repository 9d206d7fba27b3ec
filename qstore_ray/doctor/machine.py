"""What this process has of its machine: processors, memory, shared memory, disks, threads."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from qstore_ray.doctor.diagnosis import Diagnosis
from qstore_ray.environment import available_cpus, memory_limit

_GROUP = Path("/sys/fs/cgroup")
_SHARED = Path("/dev/shm")  # noqa: S108 - the folder itself is looked at
_OBJECT_STORE = 256 * 2**20
"""Bytes that a Ray of our own takes of the shared memory; `cluster.object_store_mb`."""
_LITTLE_DISK = 2 * 2**30
_LITTLE_MEMORY = 2**30
_LONGEST_TEMP = 60
"""Ray's sockets lie some 45 letters below the temporary folder, and a path may have 107."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def examine_machine(group: Path = _GROUP, shared: Path = _SHARED) -> Iterator[Diagnosis]:
    """Processors, memory, shared memory, the temporary folder, and numbers of threads.

    Args:
        group: the control group of this process. shared: the folder of shared memory.
    """
    yield _processors(group)
    yield _memory(group)
    if shared.is_dir():
        yield _shared_memory(shared)
    yield _temporary_folder(Path(tempfile.gettempdir()))
    yield from _threads()


def quota(group: Path = _GROUP) -> float | None:
    """Processors that a container may use, by its control group; None if it has no limit."""
    fields = _text(group / "cpu.max").split()
    if len(fields) == 2 and fields[0] != "max":
        return int(fields[0]) / int(fields[1])
    most, period = _text(group / "cpu/cpu.cfs_quota_us"), _text(group / "cpu/cpu.cfs_period_us")
    return int(most) / int(period) if most and period and int(most) > 0 else None


def size(count: float) -> str:
    """Bytes in the unit that reads best."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def _processors(group: Path) -> Diagnosis:
    cpus, limit = available_cpus(), quota(group)
    if limit is not None and limit < cpus:
        most = max(1, int(limit))
        return Diagnosis(
            "processors",
            "note",
            f"{cpus}, of which the container may use {limit:g} at a time",
            f"Take at most {most} worker{'s' * (most != 1)}: trainer.num_workers = {most}.",
        )
    return Diagnosis("processors", "ok", f"{cpus} of {os.cpu_count() or cpus}")


def _memory(group: Path) -> Diagnosis:
    page = os.sysconf("SC_PAGE_SIZE")
    total = page * os.sysconf("SC_PHYS_PAGES")
    free = page * os.sysconf("SC_AVPHYS_PAGES") if "SC_AVPHYS_PAGES" in os.sysconf_names else total
    limit = memory_limit(group)
    text = size(total)
    if limit is not None and limit < total:
        used = int(_text(group / "memory.current") or 0)
        total, free = limit, min(free, limit - used)
        text = f"{text}, of which the container may use {size(limit)}"
    if total < _LITTLE_MEMORY:
        return Diagnosis("memory", "note", text, "Ray needs 1 GiB: take trainer.num_workers = 0.")
    return Diagnosis("memory", "ok", text)


def _shared_memory(folder: Path) -> Diagnosis:
    usage = shutil.disk_usage(folder)
    text = f"{size(usage.free)} free of {size(usage.total)} in {folder}"
    if usage.free < _OBJECT_STORE:
        return Diagnosis(
            "shared memory", "note", f"{text}; Ray then keeps objects in files, which is slower",
            "Give the container more: docker run --shm-size=1g; in Kubernetes an emptyDir with "
            "medium: Memory at /dev/shm. Or set cluster.object_store_mb = 80.",
        )  # fmt: skip
    return Diagnosis("shared memory", "ok", text)


def _temporary_folder(folder: Path) -> Diagnosis:
    usage = shutil.disk_usage(folder)
    text = f"{size(usage.free)} free in {folder}"
    if len(str(folder)) > _LONGEST_TEMP:
        return Diagnosis(
            "temporary folder", "fault", f"the path {folder} is too long for Ray's sockets",
            "export TMPDIR=/tmp",
        )  # fmt: skip
    if usage.free < _LITTLE_DISK or usage.free < 0.05 * usage.total:
        return Diagnosis(
            "temporary folder", "note", f"{text}; Ray warns and stops spilling at 95 % use",
            "Free some of it, or set TMPDIR to a folder on another disk.",
        )  # fmt: skip
    return Diagnosis("temporary folder", "ok", text)


def _threads() -> Iterator[Diagnosis]:
    cpus = available_cpus()
    given = {name: os.environ[name] for name in _THREADS if os.environ.get(name)}
    for name, text in given.items():
        if not text.isdigit() or int(text) > cpus:
            yield Diagnosis(
                "threads", "note", f"{name}={text} on {cpus} processors", f"unset {name}"
            )
            return
    shown = ", ".join(f"{name}={text}" for name, text in given.items())
    yield Diagnosis("threads", "ok", shown or "not limited; a worker takes cluster.cpus_per_worker")


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:  # no such control group, or another version of it
        return ""
