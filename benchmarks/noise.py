"""A training step under noise, ours and others'.

    python benchmarks/noise.py           into results/noise.json and docs/noise-performance.md
    python benchmarks/noise.py shots     the shots alone, into the same
    python benchmarks/noise.py exact     the steps with and without noise alone, into the same
    python benchmarks/noise.py page      the page again, from the last numbers

Circuit: RY(x) on each qubit, then layers of RY, RZ on each and a chain of CX; ⟨Z⟩ of each qubit; 32
rows. After every gate, on each of its qubits, X, Y or Z with probability p/4 each; a qubit is read
wrongly with probability 2 %. One thread on one core; ours and the peer take turns.

Two peers follow the density matrix and have exact gradients of the noisy loss: their time does not
depend on p, they are timed on fewer rows where 32 would take minutes, and must agree with each
other. The third draws one trajectory a row, as we do: means over many steps must agree with them.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE / "peers"), str(HERE.parent)]
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # before numpy is loaded

import numpy as np  # noqa: E402
from environments import OWN, make, versions  # noqa: E402
from noise_page import write_page  # noqa: E402
from process import Failure, Peer, Server  # noqa: E402
from protocol import read  # noqa: E402
from record import RESULTS, origin, write  # noqa: E402

SEED, ROWS, READOUT = 7, 32, 0.02
QUBITS, LAYERS, RATES = (4, 6, 8), (3, 6), (0.001, 0.01)
LIMIT_S, MEAN_STEPS, SIGMAS = 900.0, 1000, 5.0
LINEAR = 1e-4
ROUNDS = 7


class Side(NamedTuple):
    """Who is timed, on how many rows at a width, and what ratio is wanted."""

    title: str
    file: str
    environment: str
    rows: dict[int, int]
    target: float | None
    exact: bool


OURS = Side("qstore_ray", "peer_qstore_ray.py", OWN, {}, None, False)
EXACT = Side("qstore_ray, no noise", "peer_qstore_ray.py", OWN, {}, 3.0, True)
PEERS = (
    Side("PennyLane default.mixed", "noise_pennylane.py", "pennylane", {8: 4}, 100.0, True),
    Side("Aer density matrix", "noise_aer.py", "qiskit", {6: 8, 8: 1}, 300.0, True),
    Side("TensorCircuit-NG trajectories", "noise_tensorcircuit.py", "tensorcircuit", {}, 10.0,
         False),
)  # fmt: skip
OWN_SHOTS = Side("qstore_ray", "noise_shots.py", OWN, {}, None, False)
SAMPLER = Side("Aer SamplerV2", "noise_sampler.py", "qiskit", {}, 20.0, False)
SHOT_ROWS = 64


def write_case(
    folder: Path,
    n: int,
    layers: int,
    rows: int,
    p: float | None,
    scale: float = 1.0,
    *,
    pairs: bool = False,
) -> Path:
    """The circuit and its data as the peers read them; the first rows are the same for any count.

    Args:
        scale: of the readout's weights. If it is tiny the loss is linear in the values, and the
            mean gradient of trajectories is that of the density matrix.
        pairs: also measure ⟨Z Z⟩ of all pairs of qubits.
    """
    turn = ["const", 0, 1.0, 0.0]
    ops: list[list[Any]] = [["ry", [q], [["row", q, *turn[2:]]]] for q in range(n)]
    slot = 0
    for _ in range(layers):
        for q in range(n):
            ops += [[gate, [q], [["param", slot + k, *turn[2:]]]] for k, gate in
                    enumerate(("ry", "rz"))]  # fmt: skip
            slot += 2
        ops += [["cx", [q, q + 1], []] for q in range(n - 1)]
    spec: dict[str, Any] = {
        "family": "noise", "n_qubits": n, "layers": layers, "initial": "zeros", "n_rows": n,
        "n_params": slot, "ops": ops,
        "observables": [[q] for q in range(n)]
        + pairs * [list(both) for both in combinations(range(n), 2)],
    }  # fmt: skip
    if p is not None:
        spec["noise"] = {"p": p, "readout": READOUT}
    rng = np.random.default_rng([SEED, n, layers])
    arrays = {
        "params": rng.uniform(-np.pi, np.pi, slot),
        "w": scale * rng.normal(size=len(spec["observables"])), "c": rng.normal(),
        "rows": rng.uniform(-1.0, 1.0, (max(ROWS, rows), n))[:rows],
        "y": rng.choice([-1.0, 1.0], max(ROWS, rows))[:rows],
        "amplitudes": np.zeros((rows, 0)),
    }  # fmt: skip
    path = folder / f"{n}-{layers}-{rows}-{p}-{scale}.json"
    path.write_text(json.dumps(spec))
    np.savez(path.with_suffix(".npz"), **arrays)
    read(path)
    return path


class Runner:
    """A process that takes steps of one case."""

    def __init__(self, side: Side, folder: Path, core: int) -> None:
        peer = Peer(side.title, side.title, "library", side.file, side.environment)
        self._server = Server(peer, folder / f"{side.file}.log")
        self._server.pin(core)

    def load(self, case: Path) -> tuple[float, np.ndarray, float]:
        """Loss and gradient of the first step, and its seconds."""
        answer = self._server.ask(f"load {case}", LIMIT_S, f"over {LIMIT_S:g} s")
        return answer["loss"], np.load(answer["gradient"]), answer["first_s"]

    def mean(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean gradient of the next steps, and the standard error of each number."""
        answer = self._server.ask(f"gradients {count}", LIMIT_S, f"over {LIMIT_S:g} s")
        found = np.load(answer["gradients"])
        return found.mean(axis=0), found.std(axis=0, ddof=1) / np.sqrt(count)

    def times(self, count: int) -> list[float]:
        """Milliseconds of each of the next steps."""
        found: list[float] = self._server.ask(f"time {count}", LIMIT_S, "too slow")["ms"]
        return found

    def stop(self) -> None:
        """End the process."""
        self._server.stop()


def _turns(ours: Runner, peer: Runner) -> tuple[list[float], list[float]]:
    """Median milliseconds of both, in turns; a peer above 5 s a step has three."""
    once = peer.times(1)[0]
    rounds = ROUNDS if once < 5e3 else 3
    count = max(1, min(50, int(200 / once)))
    own, theirs = [], []
    for _ in range(rounds):
        own.append(statistics.median(ours.times(50)))
        theirs.append(statistics.median(peer.times(count)))
    return own, theirs


def compare(side: Side, n: int, layers: int, p: float, folder: Path, core: int) -> dict[str, Any]:
    """One peer beside ours."""
    rows = side.rows.get(n, ROWS)
    row: dict[str, Any] = {
        "peer": side.title, "qubits": n, "layers": layers, "p": p, "timed_rows": rows,
        "target": side.target if side is EXACT or n >= 6 else None,
    }  # fmt: skip
    whole = write_case(folder, n, layers, ROWS, p)
    part = write_case(folder, n, layers, rows, None if side is EXACT else p)
    ours, peer = Runner(OURS, folder, core), Runner(side, folder, core)
    try:
        if side is not EXACT:
            linear = write_case(folder, n, layers, rows, p, LINEAR)
            row["off_by_sigmas"] = _sigmas(ours, peer, side, linear)
            if row["off_by_sigmas"] > SIGMAS:
                return row | {"status": "wrong", "reason": "another gradient"}
        ours.load(whole)
        _, _, first = peer.load(part)
        own, theirs = _turns(ours, peer)
    except Failure as exc:
        return row | {"status": exc.status, "reason": str(exc)}
    finally:
        ours.stop()
        peer.stop()
    scale = ROWS / rows
    ratios = [scale * b / a for a, b in zip(own, theirs, strict=True)]
    ratio = statistics.median(ratios)
    return row | {
        "status": "measured" if rows == ROWS else "scaled", "first_s": first,
        "ours_ms": statistics.median(own), "peer_ms": scale * statistics.median(theirs),
        "ratio": 1 / ratio if side is EXACT else ratio, "ours_all_ms": own, "peer_all_ms": theirs,
    }  # fmt: skip


def _sigmas(ours: Runner, peer: Runner, side: Side, case: Path) -> float:
    """How far the mean of our gradients is from the peer's, in standard errors, at most."""
    ours.load(case)
    own, error = ours.mean(MEAN_STEPS)
    _, theirs, _ = peer.load(case)
    theirs_error = np.zeros_like(theirs)
    if not side.exact:
        theirs, theirs_error = peer.mean(MEAN_STEPS)
    # Numbers that no error can change have no spread, and the loss is not wholly linear.
    expected = np.maximum(np.hypot(error, theirs_error), LINEAR * np.abs(theirs).max())
    return float((np.abs(own - theirs) / expected).max())


def steps(folder: Path, core: int, sides: tuple[Side, ...]) -> list[dict[str, Any]]:
    """Every peer at every size."""
    rows = []
    for n in QUBITS:
        for layers in LAYERS:
            for side in sides:
                # The density matrix takes as long for any p.
                for p in RATES[1:] if side in PEERS[:2] else RATES:
                    rows.append(compare(side, n, layers, p, folder, core))
                    print({k: v for k, v in rows[-1].items() if "all" not in k}, flush=True)
    return rows


def shots(folder: Path, core: int) -> dict[str, Any]:
    """1,024 shots of 64 rows, 8 qubits, 3 layers, 36 observables: ours and Aer's SamplerV2."""
    case = write_case(folder, 8, 3, SHOT_ROWS, None, pairs=True)
    ours, peer = Runner(OWN_SHOTS, folder, core), Runner(SAMPLER, folder, core)
    try:
        for side in (ours, peer):
            side.load(case)
        (own, error), (theirs, other) = ours.mean(20), peer.mean(20)
        off = float((np.abs(own - theirs) / np.maximum(np.hypot(error, other), 1e-3)).max())
        own_ms, peer_ms = _turns(ours, peer)
    finally:
        ours.stop()
        peer.stop()
    ratio = statistics.median(b / a for a, b in zip(own_ms, peer_ms, strict=True))
    return {
        "peer": SAMPLER.title, "qubits": 8, "layers": 3, "rows": SHOT_ROWS, "shots": 1024,
        "observables": 36, "target": SAMPLER.target, "off_by_sigmas": off,
        "ours_ms": statistics.median(own_ms), "peer_ms": statistics.median(peer_ms),
        "ratio": ratio, "ours_all_ms": own_ms, "peer_all_ms": peer_ms,
    }  # fmt: skip


def main() -> None:
    """Measure, write the numbers and the page."""
    if sys.argv[1:] == ["page"]:
        write_page()
        return
    environments = [name for name in ("pennylane", "qiskit", "tensorcircuit") if make(name) >= 0.0]
    core = max(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="noise-") as scratch:
        if sys.argv[1:] == ["exact"]:
            _renew_rows(steps(Path(scratch), core, (EXACT,)))
            return
        sampled = shots(Path(scratch), core)
        print(sampled, flush=True)
        if sys.argv[1:] == ["shots"]:
            _renew(sampled)
            return
        rows = steps(Path(scratch), core, (EXACT, *PEERS))
    write(
        "noise", SEED, rows, shots=sampled, rows_of_a_batch=ROWS, readout=READOUT,
        environments={name: versions(name) for name in environments},
    )  # fmt: skip
    write_page()


def _renew(sampled: dict[str, Any]) -> None:
    """Put the shots in the place of older ones, and leave the steps."""
    path = RESULTS / "noise.json"
    payload = json.loads(path.read_text())
    payload["summary"]["shots"] = sampled
    path.write_text(json.dumps(payload, indent=1) + "\n")
    write_page()


def _renew_rows(rows: list[dict[str, Any]]) -> None:
    """Put rows in the place of older ones of the same case, and leave the others."""
    path = RESULTS / "noise.json"
    payload = json.loads(path.read_text())
    case = ("peer", "qubits", "layers", "p")
    found = {tuple(row[name] for name in case): row for row in rows}
    payload["summary"]["without_noise"] = origin()
    payload["rows"] = [found.get(tuple(row[name] for name in case), row) for row in payload["rows"]]
    path.write_text(json.dumps(payload, indent=1) + "\n")
    write_page()


if __name__ == "__main__":
    main()
