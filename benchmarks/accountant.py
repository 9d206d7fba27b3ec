"""The accountant of private training beside Google's dp-accounting, on known settings and a grid.

    python benchmarks/accountant.py                 into results/accountant.json (2 minutes)

dp-accounting runs in an environment of its own. Its ε by Rényi divergences is what ours should be
close to; its ε by privacy loss distributions is nearly the least that is true, which ours must not
fall below. It is computed for the settings where it takes seconds.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE / "peers"), str(HERE.parent)]

from environments import make, python_of, versions  # noqa: E402
from record import write  # noqa: E402

from qstore_ray.learn.privacy.accountant import PrivacyAccountant  # noqa: E402

ENVIRONMENT = "dp-accounting"
KNOWN = (
    (0.01, 1.1, 10_000, 1e-5), (0.01, 1.1, 1_000, 1e-5),
    (0.1, 1.0, 100, 1e-5), (1.0, 5.0, 100, 1e-5),
)  # fmt: skip
RATES, SIGMAS = (0.001, 0.01, 0.05, 0.2, 1.0), (0.6, 1.0, 2.0, 5.0)
STEPS, DELTAS = (10, 100, 1_000, 10_000), (1e-3, 1e-5, 1e-7)
SMALLEST, LARGEST = 0.5, 20.0  # ε that are claimed
CLOSE = 0.01
FINER = 1e-4  # by which more orders than theirs may gain


def ours(q: float, sigma: float, steps: int, delta: float) -> float:
    """ε by our accountant."""
    accountant = PrivacyAccountant(sample_rate=q, noise_multiplier=sigma)
    return accountant.epsilon(accountant.init(), delta, steps)


def theirs(settings: list[tuple[float, float, int, float]]) -> list[list[float | None]]:
    """ε by divergences and by loss distributions, from the other environment."""
    asked = [[*setting, setting[3] == 1e-5] for setting in settings]
    done = subprocess.run(
        [str(python_of(ENVIRONMENT)), str(HERE / "peers" / "accountant_dp.py")],
        input=json.dumps(asked), capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: list[list[float | None]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Compare on all settings."""
    print(f"environment {ENVIRONMENT}: {make(ENVIRONMENT):.0f} s", flush=True)
    grid = [each for each in product(RATES, SIGMAS, STEPS, DELTAS) if ours(*each) <= LARGEST]
    settings = [*KNOWN, *(each for each in grid if each not in KNOWN)]
    rows: list[dict[str, Any]] = []
    for setting, (divergence, tight) in zip(settings, theirs(settings), strict=True):
        own = ours(*setting)
        assert divergence is not None
        row: dict[str, Any] = dict(zip(("q", "sigma", "steps", "delta"), setting, strict=True))
        row |= {"known": setting in KNOWN, "ours": own, "rdp": divergence, "pld": tight}
        row |= {"above_rdp": own / divergence - 1 if divergence else None}
        rows.append(row)
    # Below that, orders above the largest of theirs decide, and ours is up to 44 % less.
    above = [row["above_rdp"] for row in rows if row["rdp"] >= SMALLEST]
    known = [row["above_rdp"] for row in rows if row["known"]]
    below = [row for row in rows if row["pld"] is not None and row["ours"] < row["pld"]]
    write(
        "accountant", 0, rows,
        known_above_rdp=[min(known), max(known)],
        known_within_one_percent=all(-FINER <= each <= CLOSE for each in known),
        grid_above_rdp=[min(above), statistics.median(above), max(above)],
        settings=len(rows),
        compared_with_tight=sum(row["pld"] is not None for row in rows),
        below_tight=len(below),
        environment=versions(ENVIRONMENT),
    )  # fmt: skip


if __name__ == "__main__":
    main()
