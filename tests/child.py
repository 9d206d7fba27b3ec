"""Runs work in a process of its own, which may kill itself.

A process with threads cannot be forked: the child has none of them, but all the locks that they
held, and waits for both forever. Qiskit's thread pool alone is enough for that. So each child is
forked off a server without threads (`multiprocessing`'s), which has imported what children need.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

IMPORTED = [
    "qiskit_ibm_runtime.executor_estimator",
    "qiskit_ibm_runtime.executor_sampler",
    "qstore_ray.backends.ibm.gateway.opening",
    "qstore_ray.cli.commands.train",
    "tests.child",
    "tests.ibm.test_killed_gateway",
]
OWN_OF_ARROW = "jemalloc_bg_thd"
"""A thread of Arrow's allocator, which takes care of forks."""


def in_child(work: Callable[..., object], *arguments: Any, seconds: float = 300.0) -> int:
    """Call `work(*arguments)` in a child, with this process's environment.

    Args:
        work: a function of a module; it and its arguments are pickled.
        seconds: after which the child hangs.

    Returns:
        0, 1 if `work` raised, or minus the signal that ended the child.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    child = context.Process(target=_run, args=(dict(os.environ), work, arguments))
    child.start()
    try:
        assert wait([child.sentinel], seconds), f"{work} hangs"
    finally:
        child.kill()
        child.join()
    assert child.exitcode is not None
    return child.exitcode


def _run(environment: dict[str, str], work: Callable[..., object], arguments: Any) -> None:
    threads = Path(f"/proc/{os.getppid()}/task").glob("*/comm")
    names = [path.read_text().strip() for path in threads]
    assert len(names) - names.count(OWN_OF_ARROW) == 1, f"a process with threads forked: {names}"
    os.environ.clear()
    os.environ.update(environment)
    work(*arguments)
