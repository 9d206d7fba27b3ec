"""One training step of circuits of 64 and 127 qubits, ours and others'.

    python benchmarks/wide.py                                  everything, into docs/wide.md
    python benchmarks/wide.py --cases line-64-cz-2 --pairs 3 --out trial
    python benchmarks/wide.py --page                           the page again, from the last numbers

The step is that of `peers/protocol.py`: every ⟨Z_i⟩ and every neighbours' ⟨Z_i Z_j⟩ of 8 rows, a
linear readout, the gradient of the mean squared error by all parameters. Layers are RY, RZ on each
qubit and one CZ or CX for every pair of neighbours, in rounds; CZ layers are followed by RY at the
end. Ours and a peer are timed in turn, each in a process and an environment of its own, on one
core. What takes others minutes is extrapolated: the contractions are searched, compiled and run
for some of the observables (`--few`, 0 for all), evenly spread over them, and count as many times
as there are others; Aer runs some of its circuits.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE), str(HERE / "peers"), str(HERE.parent)]

import record  # noqa: E402
from environments import InstallError, make, versions  # noqa: E402
from peers import ours  # noqa: E402
from process import Failure, Peer, Server  # noqa: E402
from wide_page import SECTION, page  # noqa: E402

from qstore_ray.circuits.library.ansatze import pairs  # noqa: E402

SEED = 11
BATCH = 8
TARGET = 10.0
AER_CIRCUITS = 24
PEERS = (
    Peer("tensorcircuit", "TensorCircuit-NG on JAX, contraction", "library",
         "wide_tensorcircuit.py", "tensorcircuit", compiles=True),
    Peer("quimb", "quimb on JAX, contraction", "library", "wide_quimb.py", "quimb", compiles=True),
    Peer("aer_mps", "Aer, matrix product state, parameter shift", "library", "wide_aer.py",
         "qiskit", (str(AER_CIRCUITS),), shifts=True),
)  # fmt: skip


class WideCase(NamedTuple):
    """Map, width, entangler and number of layers."""

    entanglement: str
    n: int
    gate: str
    layers: int

    @property
    def name(self) -> str:
        place = {"pairwise": "line", "heavy_hex": "heavy-hex"}[self.entanglement]
        return f"{place}-{self.n}-{self.gate}-{self.layers}"


CASES = tuple(
    WideCase(place, n, gate, layers)
    for place, n in (("pairwise", 64), ("pairwise", 127), ("heavy_hex", 64), ("heavy_hex", 127))
    for gate in ("cz", "cx")
    for layers in (2, 3)
    # Three rounds of CX a layer on the heavy-hex map: cones of up to 37 qubits, which we refuse.
    if (place, gate, layers) != ("heavy_hex", "cx", 3)
)


def main() -> None:
    """Measure, then write the numbers and the page."""
    options = _options()
    if options.out:
        record.RESULTS = options.out
    docs = HERE.parent / "docs" / "wide.md"
    if not options.page:
        _measure(options)
    if options.out is None:
        payload = json.loads((record.RESULTS / "wide.json").read_text())
        text = docs.read_text()
        docs.write_text(text[: text.index(SECTION)] + page(payload))
        print(f"wrote {docs}")


def _measure(options: argparse.Namespace) -> None:
    missing, rows = {}, []
    for name in sorted({peer.environment for peer in PEERS}):
        try:
            make(name)
        except InstallError as exc:
            missing[name] = str(exc)
    with tempfile.TemporaryDirectory(prefix="wide-") as scratch:
        for case in (case for case in CASES if case.name in options.cases):
            paths = Paths(write(case, Path(scratch)), write(case, Path(scratch), few=options.few))
            for peer in (peer for peer in PEERS if peer.name in options.peers):
                if peer.environment in missing:
                    found = {"status": "not installed", "reason": missing[peer.environment]}
                else:
                    found = _compare(peer, paths, options)
                rows.append({"case": case.name, "peer": peer.name, "title": peer.title, **found})
                print(rows[-1], flush=True)
    there = {peer.environment for peer in PEERS} - set(missing)
    installed = {name: versions(name) for name in there}
    record.write(
        "wide", SEED, rows, batch=BATCH, target=TARGET, pairs=options.pairs,
        few=options.few, limit_s=options.limit, environments=installed,
    )  # fmt: skip


class Paths(NamedTuple):
    """The files of a case with all observables, and with some."""

    whole: Path
    some: Path

    @property
    def share(self) -> float:
        """How many observables there are for each of the some."""
        whole, some = (len(json.loads(path.read_text())["observables"]) for path in self)
        return whole / some


def _compare(peer: Peer, paths: Paths, options: argparse.Namespace) -> dict[str, Any]:
    """Times in turn, and how far the gradients are apart."""
    log = paths.whole.parent / "log.txt"
    own, other = Server(ours("auto"), log), Server(peer, log)
    try:
        for server in (own, other):
            server.pin(options.core)
        shifts = peer.shifts
        path = paths.whole if shifts else paths.some
        first = own.ask(f"load {path}", options.limit, "too long")
        answer = other.ask(f"load {path}", options.limit, f"no step in {options.limit:.0f} s")
        own.ask(f"load {paths.whole}", options.limit, "too long")
        own.ask("time 20", options.limit, "too long")
        apart = None
        if not shifts:
            gradients = [np.load(found["gradient"]) for found in (first, answer)]
            apart = float(np.abs(gradients[0] - gradients[1]).max())
        mine, theirs = [], []
        for _ in range(options.pairs):
            mine += own.ask("time 1", options.limit, "too long")["ms"]
            if shifts:
                theirs.append(1e3 * other.ask(f"load {path}", options.limit, "too long")["loss"])
            else:
                ms = other.ask("time 1", options.limit, "a step takes too long")["ms"]
                theirs += [each * paths.share for each in ms]
    except Failure as exc:
        return {"status": exc.status, "reason": str(exc)}
    finally:
        own.stop()
        other.stop()
    ratios = [b / a for a, b in zip(mine, theirs, strict=True)]
    return {
        "status": "extrapolated" if shifts or paths.share > 1 else "measured",
        "ours_ms": statistics.median(mine),
        "peer_ms": statistics.median(theirs),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "peer_first_s": answer["first_s"],
        "apart": apart,
    }


def write(case: WideCase, folder: Path, few: int = 0) -> Path:
    """The case as `protocol.read` reads it, with all or so many of its observables."""
    joined = pairs(case.n, case.entanglement)
    ops: list[list[Any]] = [["ry", [q], [["row", q, 1.0, 0.0]]] for q in range(case.n)]
    slot = 0
    closing = [("ry",)] if case.gate == "cz" else []
    for gates in [("ry", "rz")] * case.layers + closing:
        for gate in gates:
            ops += [[gate, [q], [["param", slot + q, 1.0, 0.0]]] for q in range(case.n)]
            slot += case.n
        if gates != ("ry",):
            ops += [[case.gate, list(pair), []] for pair in joined]
    observables = [[q] for q in range(case.n)] + [sorted(pair) for pair in sorted(joined)]
    if few:
        places = np.linspace(0, len(observables) - 1, few).astype(int)
        observables = [observables[place] for place in places]
    spec = {
        "family": "wide", "n_qubits": case.n, "layers": case.layers, "initial": "zeros",
        "ops": ops, "observables": observables,
    }  # fmt: skip
    path = folder / f"{case.name}-{few}.json"
    path.write_text(json.dumps(spec))
    rng = np.random.default_rng([SEED, case.n, case.layers])
    np.savez(
        path.with_suffix(".npz"),
        rows=rng.uniform(-1, 1, (BATCH, case.n)),
        params=rng.uniform(-np.pi, np.pi, slot),
        w=rng.normal(size=len(observables)),
        c=rng.normal(),
        y=rng.choice([-1.0, 1.0], BATCH),
    )
    return path


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [case.name for case in CASES]
    comma = lambda text: text.split(",")  # noqa: E731
    parser.add_argument("--cases", type=comma, default=names, help=f"of {', '.join(names)}")
    parser.add_argument("--peers", type=comma, default=[peer.name for peer in PEERS])
    parser.add_argument("--pairs", type=int, default=7, help="turns of ours and the peer")
    parser.add_argument("--few", type=int, default=8, help="observables that peers contract")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds of a first step")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, help="a folder for the numbers, instead of the page")
    parser.add_argument("--page", action="store_true", help="only write the page")
    return parser.parse_args()


if __name__ == "__main__":
    main()
