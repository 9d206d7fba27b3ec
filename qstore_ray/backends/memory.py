"""Whether states fit the memory of this machine, and a number of threads is one."""

from __future__ import annotations

import os
from functools import lru_cache
from numbers import Integral

from qstore_ray.errors import ConfigError, ResourceError
from qstore_ray.simulate.engines.engines import Precision, state_bytes


@lru_cache(maxsize=256)
def check_width(engine: str, n_qubits: int, threads: int, precision: Precision) -> None:
    """Check that states of that width can be computed.

    Raises:
        ResourceError: they need more memory than this machine has.
    """
    needed = state_bytes(engine, n_qubits, threads, precision)
    memory = memory_bytes()
    if needed > memory:
        raise ResourceError(
            f"{n_qubits} qubits need {needed / 2**30:,.0f} GiB of memory, this machine has "
            f"{memory / 2**30:,.0f} GiB",
            field="n_qubits",
            value=n_qubits,
            fix="Take fewer qubits.",
        )


def check_states(n_rows: int, n_qubits: int) -> None:
    """Check that N states can be held.

    Raises:
        ResourceError: they need more memory than this machine has.
    """
    needed = 16 * n_rows * 2**n_qubits
    memory = memory_bytes()
    if needed > memory:
        raise ResourceError(
            f"{n_rows:,} states of {n_qubits} qubits need {needed / 2**30:,.0f} GiB of memory, "
            f"this machine has {memory / 2**30:,.0f} GiB",
            field="rows",
            value=n_rows,
            fix=f"Ask for at most {memory // (16 * 2**n_qubits):,} rows at a time.",
        )


def check_trajectories(n_rows: int, trajectories: int, bytes_each: int) -> None:
    """Check that the trajectories of N rows can be held.

    Args:
        trajectories: of each row.
        bytes_each: what a trajectory takes.

    Raises:
        ResourceError: they need more memory than this machine has.
    """
    needed, memory = n_rows * trajectories * bytes_each, memory_bytes()
    if needed > memory:
        rows = "a row" if n_rows == 1 else f"{n_rows:,} rows"
        raise ResourceError(
            f"{trajectories:,} trajectories of {rows} need {needed / 2**30:,.0f} GiB of memory, "
            f"this machine has {memory / 2**30:,.0f} GiB",
            field="noise.trajectories",
            value=trajectories,
            fix=f"Take at most {memory // (n_rows * bytes_each):,}, or the mean of several "
            "evaluations.",
        )


def memory_bytes() -> int:
    """The memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def checked_threads(threads: int) -> int:
    """A number of threads.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(threads, bool) or not isinstance(threads, Integral) or threads < 1:
        raise ConfigError(
            "the number of threads is a whole number from 1",
            field="threads",
            value=threads,
            fix="Take 1, or the number of cores of this machine.",
        )
    return int(threads)
