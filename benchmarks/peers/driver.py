"""The measurement: check each peer's answer, then time it against ours, pair by pair.

For one circuit after the other, every peer first computes the loss and the gradient; a peer that
differs from ours by more than 1e-6 is written down as wrong and not timed. Then blocks of steps of
ours and of the peer alternate for several rounds on one core, so that a drift of the machine meets
both. Peers that would take too long are predicted from narrower circuits and skipped, and the
reason is written down.
"""

from __future__ import annotations

import math
import queue
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from families import BATCH, build, write
from process import Failure, Peer, Server
from protocol import read
from timing import time_pair

STEP_LIMIT_S = 30.0
COMPILE_LIMIT_S = 90.0
TOLERANCE = 1e-6
Row = dict[str, Any]


@dataclass
class Known:
    """What was seen of one peer in one family: seconds by number of qubits."""

    step_s: dict[int, float] = field(default_factory=dict)  # of one row
    first_s: dict[int, float] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)


@dataclass
class Driver:
    """Measures cases until the time is over.

    Args:
        own: our side.
        peers: whom to compare.
        folder: where cases and logs go.
        core: the core on which everything is timed.
        cores: the cores on which peers get ready (compile), one peer a core at a time.
        deadline: `time.monotonic()` at which no new peer is started.
    """

    own: Peer
    peers: tuple[Peer, ...]
    folder: Path
    core: int
    cores: tuple[int, ...]
    deadline: float

    def __post_init__(self) -> None:
        self._servers = {p.name: self._server(p) for p in (self.own, *self.peers)}
        self._known: dict[tuple[str, str], Known] = {}

    def measure(self, family: str, n: int) -> list[Row]:
        """One row for each peer."""
        path = write(family, n, self.folder / "cases")
        case = read(path)
        about = {
            "family": family,
            "n": n,
            "layers": case.layers,
            "batch": case.batch,
            "threads": 1,
            "dtype": "complex128",
        }
        rows = [
            about | {"peer": p.name, "peer_kind": p.kind, "status": "pending"} for p in self.peers
        ]
        mine = self._servers[self.own.name]
        try:
            expected = self._load(mine, path, self.core)
        except Failure as failure:
            return [row | _outcome(failure.status, f"ours: {failure.reason}") for row in rows]
        work = len(case.ops)
        cores: queue.Queue[int] = queue.Queue()
        for core in self.cores:
            cores.put(core)
        with ThreadPoolExecutor(len(self.cores)) as pool:
            jobs = [pool.submit(self._ready, p, path, n, work, cores) for p in self.peers]
            found = [job.result() for job in jobs]
        for peer, row, answer in zip(self.peers, rows, found, strict=True):
            try:
                if isinstance(answer, Failure):
                    raise answer
                row["compile_s" if peer.compiles else "first_s"] = answer["first_s"]
                _compare(answer, expected)
                self._check_time()
                server = self._servers[peer.name]
                server.pin(self.core)
                row.update(time_pair(mine, server, STEP_LIMIT_S), status="ranked")
            except Failure as failure:
                row.update(_outcome(failure.status, failure.reason))
            self._remember(peer, row, answer, work)
        return rows

    def first_step(self, peer: Peer, family: str, n: int) -> Row:
        """Seconds from starting a fresh process to its first result."""
        path = write(family, n, self.folder / "cases")
        server = self._server(peer)
        about = {"family": family, "n": n, "peer": peer.name}
        began = time.perf_counter()
        try:
            self._load(server, path, self.core)
            return about | {"seconds": time.perf_counter() - began}
        except Failure as failure:
            return about | _outcome(failure.status, failure.reason)
        finally:
            server.stop()

    def stop(self) -> None:
        """End all processes."""
        for server in self._servers.values():
            server.stop()

    def _server(self, peer: Peer) -> Server:
        self.folder.mkdir(parents=True, exist_ok=True)
        return Server(peer, self.folder / f"{peer.name}.log")

    def _ready(
        self, peer: Peer, path: Path, n: int, work: int, cores: queue.Queue[int]
    ) -> dict[str, Any] | Failure:
        core = cores.get()
        try:
            self._check_time()
            self._predict(peer, path.stem.partition("-")[0], n, work)
            return self._load(self._servers[peer.name], path, core)
        except Failure as failure:
            return failure
        finally:
            cores.put(core)

    def _load(self, server: Server, path: Path, core: int) -> dict[str, Any]:
        server.pin(core)
        limit = COMPILE_LIMIT_S if server.peer.compiles or server.peer is self.own else STEP_LIMIT_S
        what = "compiling" if server.peer.compiles else "a step"
        answer = server.ask(f"load {path}", limit, f"{what} takes over {limit:g} s")
        file = Path(answer["gradient"])
        answer["gradient"] = np.load(file)
        file.unlink()
        return answer

    def _check_time(self) -> None:
        if time.monotonic() > self.deadline:
            raise Failure("time", "the time given to the whole measurement was used up")

    def _predict(self, peer: Peer, family: str, n: int, work: int) -> None:
        """Raise where narrower circuits show that this one would take too long."""
        known = self._known.get((peer.name, family), Known())
        too_long = [m for m in known.failed if m < n]
        if too_long:
            m = max(too_long)
            raise Failure("predicted", f"at n = {m} already: {known.failed[m]}")
        growth = {m: work / len(build(family, m).circuit.template.ops) for m in known.first_s}
        compiled = [s * growth[m] for m, s in known.first_s.items() if m < n]
        if peer.compiles and compiled and max(compiled) > COMPILE_LIMIT_S:
            raise Failure(
                "predicted",
                f"compiling is predicted to take {max(compiled):.0f} s, over {COMPILE_LIMIT_S:g} s",
            )
        rows = BATCH.get(n, 32)
        seen = sorted(m for m in known.step_s if m < n)
        steps = [known.step_s[m] * growth[m] ** (2 if peer.shifts else 1) * rows for m in seen]
        if len(seen) > 1:  # times grow faster than exponentially: a straight line is too low
            a, b = seen[-2:]
            slope = math.log(known.step_s[b] / known.step_s[a]) / (b - a)
            steps.append(known.step_s[b] * math.exp(slope * (n - b)) * rows)
        if steps and max(steps) > STEP_LIMIT_S:
            raise Failure(
                "predicted",
                f"a step is predicted to take {max(steps):.0f} s, over {STEP_LIMIT_S:g} s",
            )

    def _remember(self, peer: Peer, row: Row, answer: Any, work: int) -> None:
        known = self._known.setdefault((peer.name, row["family"]), Known())
        if row["status"] in ("limit", "memory"):
            known.failed[row["n"]] = row["reason"]
        if not isinstance(answer, Failure):
            known.first_s[row["n"]] = answer["first_s"]
            if "peer_ms" in row:
                known.step_s[row["n"]] = row["peer_ms"] / 1e3 / row["batch"]


def _compare(found: dict[str, Any], expected: dict[str, Any]) -> None:
    loss = abs(found["loss"] - expected["loss"])
    gradient = float(np.abs(found["gradient"] - expected["gradient"]).max())
    scale = max(1.0, abs(expected["loss"]), float(np.abs(expected["gradient"]).max()))
    if not max(loss, gradient) <= TOLERANCE * scale:
        raise Failure("mismatch", f"loss differs by {loss:.1e}, gradient by {gradient:.1e}")


def _outcome(status: str, reason: str) -> Row:
    return {"status": status, "reason": reason}
