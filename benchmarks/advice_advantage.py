"""The check of advantage on data where the answer is known, and how long it takes.

    shuffled    100 jobs on shuffled labels: how often something is found (at most 5)
    planted     20 jobs on labels engineered from the job's kernel: how often it is found
    digits      jobs/digits.toml, tuned, five folds twice: the verdict, and CPU seconds
    fashion     likewise on an .npz file of images (x, y), with --images

Run: python benchmarks/advice_advantage.py [--images FILE.npz] [--only shuffled|planted|digits]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from record import write

from qstore_ray.advise.advantage.check import AdvantageReport, check_advantage, check_rows
from qstore_ray.advise.advantage.contenders import prepare, row_states
from qstore_ray.advise.advantage.kernels import (
    RIDGE,
    classical_kernels,
    geometric_difference,
    planted_labels,
)
from qstore_ray.advise.meta_features import stratified_rows
from qstore_ray.job import JobConfig
from qstore_ray.learn.kernel.kernel import fidelities

SEED = 0
ROWS = 200
SHUFFLED, PLANTED = 100, 20
JOBS = Path(__file__).parents[1] / "jobs"


def small_job(seed: int) -> JobConfig:
    """Three qubits behind a ZZ feature map, a short training."""
    return JobConfig.from_dict(
        {
            "name": "small",
            "dataset": {
                "name": "iris", "source": "sklearn", "params": {"dataset": "iris"},
                "split": {"train": 1.0},
            },
            "model": {
                "encoding": "zz", "ansatz": "real_amplitudes", "n_qubits": 3, "layers": 3,
            },
            "trainer": {"epochs": 10, "learning_rate": 0.1, "seed": seed},
        }
    )  # fmt: skip


def shuffled(seed: int) -> dict[str, Any]:
    """Labels that have nothing to do with the rows."""
    rng = np.random.default_rng([SEED, seed])
    x, y = rng.random((ROWS, 3)) * np.pi, rng.permutation(np.arange(ROWS) % 2)
    return _row("shuffled", seed, check_rows(small_job(seed), x, y, seed=seed, tuned=False))


def planted(seed: int) -> dict[str, Any]:
    """Labels on which the kernel is as much better as it can be."""
    rng = np.random.default_rng([SEED, seed, 1])
    x, y = rng.random((300, 3)) * np.pi, np.arange(300) % 2
    job = small_job(seed)
    prepared = prepare(job, x, y, x[:9], y[:9])
    states = row_states(prepared.model, prepared.x, seed=seed)
    kernel = fidelities(states, states)
    rivals = classical_kernels(x)
    best = min(rivals, key=lambda rival: geometric_difference(kernel, rival, RIDGE))
    labels = planted_labels(kernel, best)
    return _row("planted", seed, check_rows(job, x, labels, seed=seed, tuned=False))


def digits() -> dict[str, Any]:
    """The job that the README trains, as it is."""
    job = JobConfig.load(str(JOBS / "digits.toml"), [])
    before, wall = time.process_time(), time.perf_counter()
    found = check_advantage(job, seed=SEED, progress=lambda said: print(said, flush=True))
    took = time.process_time() - before
    row = _row("digits", SEED, found)
    return {**row, "cpu_seconds": took, "wall_seconds": time.perf_counter() - wall}


def fashion(images: Path) -> dict[str, Any]:
    """The job of these images, as it is."""
    job = JobConfig.load(str(JOBS / "fashion.toml"), [])
    with np.load(images) as archive:
        x, y = archive["x"].astype(np.float64), archive["y"]
    _, numbers = np.unique(y, return_inverse=True)
    rows = stratified_rows(numbers, 400, SEED)
    before = time.process_time()
    found = check_rows(job, x[rows], numbers[rows], seed=SEED)
    return {**_row("fashion", SEED, found), "cpu_seconds": time.process_time() - before}


def _row(case: str, seed: int, found: AdvantageReport) -> dict[str, Any]:
    scores = {name: round(each.mean, 4) for name, each in found.contenders.items()}
    row = {"case": case, "seed": seed, "verdict": found.verdict, "scores": scores}
    print(row, flush=True)
    return row


def main() -> None:
    """All cases, or one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="an .npz with x (N, 28, 28) and y (N,)")
    parser.add_argument("--only", choices=("shuffled", "planted", "digits"))
    asked = parser.parse_args()
    rows: list[dict[str, Any]] = []
    if asked.only in {None, "planted"}:
        rows += [planted(seed) for seed in range(PLANTED)]
    if asked.only in {None, "shuffled"}:
        rows += [shuffled(seed) for seed in range(SHUFFLED)]
    if asked.only in {None, "digits"}:
        rows.append(digits())
    if asked.images is not None:
        rows.append(fashion(asked.images))
    if asked.only is None:
        found = {
            case: sum(r["verdict"] != "no evidence" for r in rows if r["case"] == case)
            for case in ("planted", "shuffled", "digits", "fashion")
        }
        write("advice_advantage", SEED, rows, found=found, tries={"planted": PLANTED,
              "shuffled": SHUFFLED})  # fmt: skip


if __name__ == "__main__":
    main()
