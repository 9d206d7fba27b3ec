"""Federated and private training: what it costs in accuracy and in time.

    python benchmarks/federated.py                          everything (40 minutes on two cores)
    python benchmarks/federated.py round secure private_step    some cases; the others are kept
    python benchmarks/federated.py accuracy --images FILE.npz --seeds 5
    python benchmarks/federated.py --page                   the page again, from the last numbers

    accuracy      beside central training and clients alone: digits, and fashion with --images
    private       accuracy at ε of 1, 3 and 8, beside logistic regression by the same steps
    round         a round of 64 clients beside one central epoch over the same rows
    secure        a round with a secure sum beside one without
    private_step  a private step beside a plain one
    opacus        a private step beside PennyLane with torch and Opacus
    flower        a round beside the same one under Flower's simulation

Ratios are of measurements in turns: by processor time within a process, by the clock elsewhere.
Into results/federated.json and docs/federated-performance.md.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # idle threads of it spin: processor time

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE), str(HERE / "peers"), str(HERE.parent)]

import record  # noqa: E402
from federation import accuracy, others, private, speed  # noqa: E402
from federation.page import page  # noqa: E402

PAGE = HERE.parent / "docs" / "federated-performance.md"


def _accuracy(options: argparse.Namespace) -> list[dict[str, Any]]:
    names = accuracy.NAMES if options.images else ("digits",)
    rows = []
    for name in names:
        rows += accuracy.measure(name, options.seeds, options.images)
    return rows


CASES: dict[str, Callable[[argparse.Namespace], list[dict[str, Any]]]] = {
    "accuracy": _accuracy,
    "private": lambda options: private.accuracies(options.seeds),
    "round": lambda _: speed.rounds(),
    "secure": lambda _: speed.secure(),
    "private_step": lambda _: private.steps(),
    "opacus": lambda _: others.opacus(),
    "flower": lambda _: others.flower(),
}


def main() -> None:
    """Measure what is asked for, keep the rest, write both files."""
    options = _options()
    path = record.RESULTS / "federated.json"
    payload = json.loads(path.read_text()) if path.exists() else {"rows": []}
    known, measured = payload["rows"], payload.get("summary", {}).get("measured", {})
    for case in () if options.page else options.cases:
        found = CASES[case](options)
        known = [row for row in known if not _replaced(row, case, options)] + found
        measured |= {case: record.origin()}
        with contextlib.redirect_stdout(io.StringIO()):  # the rows were printed one by one
            record.write("federated", 0, known, measured=measured)
    PAGE.write_text(page(json.loads(path.read_text())))
    print(f"wrote {path} and {PAGE}")


def _replaced(row: dict[str, Any], case: str, options: argparse.Namespace) -> bool:
    """Whether new rows of a case take the place of this one."""
    kept = case == "accuracy" and row.get("data") == "fashion" and not options.images
    return row["case"] == case and not kept


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cases", nargs="*", default=list(CASES), help=", ".join(CASES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=Path, help="fashion: an .npz file with x and y")
    parser.add_argument("--page", action="store_true", help="only write the page again")
    options = parser.parse_args()
    unknown = sorted(set(options.cases) - set(CASES))
    if unknown:
        parser.error(f"no case is called {unknown[0]!r}; there are {', '.join(CASES)}")
    return options


if __name__ == "__main__":
    main()
