"""Values and gradients of one row on 20 to 26 qubits, with two threads, ours and others'.

    python benchmarks/large.py                                 everything (about 25 minutes)
    python benchmarks/large.py --qubits 20 --pairs 2 --out trial

Loss and gradient of F2 of `peers/families.py` for one row. Ours and a peer are timed in turn, each
in a process and an environment of its own, on the same cores. The section of docs/performance.md is
written with the rest of that page, by `python benchmarks/peers/run.py --page`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE), str(HERE / "peers"), str(HERE.parent)]

import families  # noqa: E402
import record  # noqa: E402
from environments import OWN, make, versions  # noqa: E402
from process import Failure, Peer, Server  # noqa: E402

from qstore_ray.simulate.engines.engines import state_bytes  # noqa: E402

TARGET = 3.0
PEERS = (
    Peer("qulacs", "qulacs, backprop", "library", "peer_qulacs.py", "qulacs"),
    Peer(
        "lightning", "PennyLane lightning.qubit, adjoint", "library", "large_lightning.py",
        "pennylane",
    ),
)  # fmt: skip


def ours(threads: int) -> Peer:
    """Our own side."""
    arguments = ("auto", str(threads))
    return Peer("qstore_ray", "qstore_ray", "ours", "peer_qstore_ray.py", OWN, arguments)


def main() -> None:
    """Measure, and write the numbers."""
    options = _options()
    if options.out:
        record.RESULTS = options.out
    for peer in PEERS:
        make(peer.environment)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="large-") as scratch:
        for n in options.qubits:
            path = families.write("F2", n, Path(scratch))
            for peer in PEERS:
                about = {"n": n, "peer": peer.name, "title": peer.title}
                rows.append(about | _compare(peer, path, options))
                print(rows[-1], flush=True)
                rows[-1]["least_gib"] = state_bytes("native", n, 1, "complex128") / 2**30
    record.write(
        "large", families.SEED, rows, threads=len(options.cores), target=TARGET,
        pairs=options.pairs, limit_s=options.limit,
        environments={peer.environment: versions(peer.environment) for peer in PEERS},
    )  # fmt: skip


def _compare(peer: Peer, path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Times in turn, and how far the gradients are apart."""
    log, cores = path.parent / "log.txt", options.cores
    sides = [Server(ours(len(cores)), log), Server(ours(1), log), Server(peer, log)]
    try:
        for server in sides:
            server.pin(*cores)
        first, _, last = (_load(server, path, options.limit) for server in sides)
        gradients = [np.load(found["gradient"]) for found in (first, last)]
        times: list[list[float]] = [[], [], []]
        for _ in range(options.pairs):
            for side, server in zip(times, sides, strict=True):
                answer = server.ask("time 1", options.limit, "a step takes too long")
                side.extend(answer["ms"])
        memory = sides[0].memory_gib()
    except Failure as exc:
        return {"status": exc.status, "reason": str(exc)}
    finally:
        for server in sides:
            server.stop()
    mine, single, theirs = map(statistics.median, times)
    return {
        "status": "measured",
        "ours_ms": mine,
        "ours_alone_ms": single,
        "peer_ms": theirs,
        "ratio": statistics.median(b / a for a, b in zip(times[0], times[2], strict=True)),
        "threads_ratio": statistics.median(b / a for a, b in zip(*times[:2], strict=True)),
        "ours_gib": memory,
        "apart": float(np.abs(gradients[0] - gradients[1]).max()),
    }


def _load(server: Server, path: Path, limit: float) -> dict[str, Any]:
    return server.ask(f"load {path}", limit, f"no step in {limit:.0f} s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    numbers = lambda text: [int(part) for part in text.split(",")]  # noqa: E731
    parser.add_argument("--qubits", type=numbers, default=[20, 22, 24, 26])
    parser.add_argument("--pairs", type=int, default=3, help="turns of ours and the peer")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds of a step")
    parser.add_argument("--cores", type=numbers, default=sorted(os.sched_getaffinity(0))[:2])
    parser.add_argument("--out", type=Path, help="a folder for the numbers")
    return parser.parse_args()


if __name__ == "__main__":
    main()
