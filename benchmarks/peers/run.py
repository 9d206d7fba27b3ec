"""One training step, ours and others', on six families of circuits.

    python benchmarks/peers/run.py                             everything, into docs/performance.md
    python benchmarks/peers/run.py --families F1,F2 --qubits 4,8 --out trial
    python benchmarks/peers/run.py --page                      the page again, from the last numbers

Makes the peers' environments first. What does not fit into the minutes is listed as not measured.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path += [str(HERE.parent), str(ROOT)]

import record  # noqa: E402
from driver import Driver, Row  # noqa: E402
from environments import PACKAGES, InstallError, make, versions  # noqa: E402
from families import FAMILIES, QUBITS, SEED, widths  # noqa: E402
from page import page  # noqa: E402
from peers import PEERS, ours  # noqa: E402
from plot import plot  # noqa: E402

if TYPE_CHECKING:
    from process import Peer

ORDER = (4, 8, 12, 10, 16, 20)  # the widths with targets of their own first
FIRST_STEPS = (("F2", 8), ("F2", 12))


def main() -> None:
    """Measure, then write the numbers, the page and the picture."""
    options = _options()
    results = options.out or record.RESULTS
    docs = options.out or ROOT / "docs"
    record.RESULTS = results
    results.mkdir(parents=True, exist_ok=True)
    if not options.page:
        _measure(options)
    payload = json.loads((results / "peers.json").read_text())
    plot(payload["rows"], docs / "performance.png")
    link = os.path.relpath(results / "peers.json", docs)
    text = page(payload, json=link, picture="performance.png", results=results)
    (docs / "performance.md").write_text(text)
    print(f"\nwrote {results / 'peers.json'}, {docs / 'performance.md'} and performance.png")


def _measure(options: argparse.Namespace) -> None:
    began = time.monotonic()
    chosen = tuple(peer for peer in PEERS if peer.name in options.peers)
    made, missing = _environments({peer.environment for peer in chosen})
    peers = tuple(peer for peer in chosen if peer.environment not in missing)
    with tempfile.TemporaryDirectory(prefix="peers-") as scratch:
        driver = Driver(
            own=ours(options.engine),
            peers=peers,
            folder=options.out or Path(scratch),
            core=options.core,
            cores=tuple(sorted(os.sched_getaffinity(0))),
            deadline=began + 60 * options.minutes,
        )
        rows: list[Row] = []
        try:
            first = _first_steps(driver, peers, options) if options.first_steps else []
            for n in (n for n in ORDER if n in options.qubits):
                for family in (f for f in options.families if n in widths(f)):
                    found = driver.measure(family, n)
                    _say(found, time.monotonic() - began)
                    rows += found
        finally:
            driver.stop()
    rows += [
        _absent(row, peer, missing) for peer in chosen if peer not in peers for row in rows[:1]
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # the rows were printed one by one
        record.write(
            "peers",
            SEED,
            rows,
            engine=options.engine,
            minutes=(time.monotonic() - began) / 60,
            first_step=first,
            environments={name: versions(name) for name in made},
            environment_seconds=made,
            environments_missing=missing,
        )


def _environments(names: set[str]) -> tuple[dict[str, float], dict[str, str]]:
    """Seconds that each environment took (0 for one that was there); why others are missing."""
    made: dict[str, float] = {}
    missing: dict[str, str] = {}
    for name in (name for name in PACKAGES if name in names):
        try:
            made[name] = make(name)
            print(f"environment {name}: {made[name]:.0f} s", flush=True)
        except InstallError as exc:
            missing[name] = str(exc)
            print(f"environment {name} could not be made: {exc}", flush=True)
    return made, missing


def _first_steps(driver: Driver, peers: tuple[Peer, ...], options: argparse.Namespace) -> list[Row]:
    expert = [peer for peer in peers if peer.name == "jax_tiled"]
    driver.first_step(driver.own, "F2", 4)  # so that the kernels are in their cache
    return [
        driver.first_step(peer, family, n)
        for family, n in FIRST_STEPS
        if family in options.families and n in options.qubits
        for peer in (driver.own, *expert)
    ]


def _absent(row: Row, peer: Peer, missing: dict[str, str]) -> Row:
    about = {key: row[key] for key in ("family", "n", "layers", "batch", "threads", "dtype")}
    reason = f"its environment could not be made: {missing[peer.environment]}"
    return about | {
        "peer": peer.name,
        "peer_kind": peer.kind,
        "status": "error",
        "reason": reason,
    }


def _say(rows: list[Row], seconds: float) -> None:
    print(f"\n{rows[0]['family']} n = {rows[0]['n']}   ({seconds / 60:.1f} min)")
    for row in rows:
        if row["status"] == "ranked":
            said = f"{row['ours_ms']:9.3f} {row['peer_ms']:11.3f}  × {row['ratio']:.2f}"
        else:
            said = f"{row['status']}: {row['reason']}"
        print(f"  {row['peer']:20} {said}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    known = [peer.name for peer in PEERS]
    parser.add_argument("--families", type=_list_of(FAMILIES), default=list(FAMILIES))
    parser.add_argument("--qubits", type=_list_of(QUBITS), default=list(QUBITS))
    parser.add_argument("--peers", type=_list_of(known), default=known)
    parser.add_argument("--engine", default="auto", help="ours: auto or numpy")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--minutes", type=float, default=28.0)
    parser.add_argument("--out", type=Path, help="a folder for numbers, page and picture")
    parser.add_argument("--page", action="store_true", help="only write the page again")
    parser.add_argument("--no-first-steps", dest="first_steps", action="store_false")
    return parser.parse_args()


def _list_of(known: Any) -> Any:
    def parse(text: str) -> list[Any]:
        found = [int(part) if part.isdigit() else part for part in text.split(",")]
        for part in found:
            if part not in known:
                names = ", ".join(map(str, known))
                raise argparse.ArgumentTypeError(f"{part!r} is none of {names}")
        return found

    return parse


if __name__ == "__main__":
    main()
