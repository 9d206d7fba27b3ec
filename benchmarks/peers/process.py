"""A peer's process as the driver sees it: commands with a time limit and a memory limit.

A peer that takes too long or too much memory is ended, by its own process id, and started anew for
the next case. A peer has as many threads as cores, and the driver chooses them: one by default.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

from environments import HERE, OWN, ROOT, python_of

MEMORY_GIB = 8.0
START_S = 300.0  # importing quimb from a cold disk, on a busy machine, takes minutes

_ONE_THREAD = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_X64": "1",
}


class Failure(Exception):  # noqa: N818 - an outcome that is written down, not a fault of ours
    """A peer did not answer, or answered that it cannot: a status and the reason."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Peer(NamedTuple):
    """Who is compared: its file, environment and arguments, and what kind of peer it is."""

    name: str
    title: str
    kind: str  # library, expert, ours
    file: str
    environment: str
    arguments: tuple[str, ...] = ()
    compiles: bool = False  # its first step includes a compilation
    shifts: bool = False  # it runs the circuit twice for every angle


class Server:
    """The running process of one peer."""

    def __init__(self, peer: Peer, log: Path) -> None:
        self.peer = peer
        self._cores: set[int] = set()
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def pin(self, core: int, *others: int) -> None:
        """Run on these cores from now on, with all its threads; starts the process if need be.

        It has as many threads as it is started with cores.
        """
        self._cores = {core, *others}
        if self._process is None:
            self._start()
        assert self._process is not None
        for thread in Path(f"/proc/{self._process.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), self._cores)

    def _start(self) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        environment |= _ONE_THREAD
        if len(self._cores) > 1:
            environment["OMP_NUM_THREADS"] = str(len(self._cores))
        environment.pop("PYTHONPATH", None)
        if self.peer.environment == OWN:
            environment["PYTHONPATH"] = os.environ.get("PYTHONPATH", str(ROOT))
        command = [str(python_of(self.peer.environment)), str(HERE / self.peer.file)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *self.peer.arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                bufsize=0,
                preexec_fn=lambda: os.sched_setaffinity(0, self._cores),  # noqa: PLW1509
            )
        self._answer(START_S, "it took too long to start")

    def ask(self, command: str, limit_s: float, too_long: str) -> dict[str, Any]:
        """Send one command; its answer.

        Raises:
            Failure: no answer within the limit, too much memory, or an answer that says no.
        """
        assert self._process is not None, "pin it first"
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")
        return self._answer(limit_s, too_long)

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def memory_gib(self) -> float:
        """Resident memory now."""
        assert self._process is not None
        try:
            status = Path(f"/proc/{self._process.pid}/statm").read_text()
        except FileNotFoundError:
            return 0.0
        pages = int(status.split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**30

    def _answer(self, limit_s: float, too_long: str) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        end, text = time.monotonic() + limit_s, b""
        while not text.endswith(b"\n"):
            if select.select([process.stdout], [], [], 0.1)[0]:
                part = process.stdout.read(65536)
                if not part:
                    code = process.wait()
                    self._process = None
                    raise Failure("error", f"its process ended with code {code}")
                text += part
            elif time.monotonic() > end:
                self.stop()
                raise Failure("limit", too_long)
            elif self.memory_gib() > MEMORY_GIB:
                self.stop()
                raise Failure("memory", f"it took more than {MEMORY_GIB:g} GiB of memory")
        answer: dict[str, Any] = json.loads(text)
        if not answer["ok"]:
            raise Failure(answer["status"], answer["reason"])
        return answer
