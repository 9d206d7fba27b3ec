"""The data layer beside the plain libraries below it: reading, preparing, streaming, starting.

Each pair in turns in one process, files in the page cache:

- reading a Parquet and an npz file, `Dataset.materialize` over pyarrow and numpy;
- StandardScaler and PCA(16) on 1,000,000 × 64 rows, ours over scikit-learn's;
- the peak memory of one epoch streamed through Ray Data from a larger file;
- loading and preparing 1,797 rows.

Run: python benchmarks/data.py [--gigabytes 1]
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from record import write

from qstore_ray import DatasetConfig, DatasetLoader
from qstore_ray.data.prepare import Preparation

SEED, FEATURES, ROUNDS = 7, 64, 5
STEPS = ({"name": "standard"}, {"name": "pca", "components": 16})


def seconds(call: Callable[[], Any]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def in_turns(ours: Callable[[], Any], plain: Callable[[], Any], rounds: int) -> dict[str, float]:
    """Medians of both, and the median ratio of the rounds."""
    pairs = [(seconds(ours), seconds(plain)) for _ in range(rounds)]
    return {
        "ours_s": statistics.median(a for a, _ in pairs),
        "plain_s": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(a / b for a, b in pairs),
    }


def config(path: Path, steps: tuple[dict[str, Any], ...] = ()) -> DatasetConfig:
    """All rows of a file as train."""
    limit = {"max_bytes": 2**34} if path.suffix == ".npz" else {}
    return DatasetConfig(
        name="rows", source="local", params={"path": str(path), **limit}, split={"train": 1.0},
        preprocessing=steps,
    )  # fmt: skip


def write_files(folder: Path, gigabytes: float) -> tuple[Path, Path]:
    """The same rows as Parquet and as npz."""
    n_rows = int(gigabytes * 1e9 / 8 / FEATURES)
    rng = np.random.default_rng(SEED)
    x, y = rng.normal(size=(n_rows, FEATURES)), rng.integers(0, 10, n_rows)
    np.savez(folder / "rows.npz", x=x, y=y)
    columns = {f"f{i}": x[:, i] for i in range(FEATURES)} | {"label": y}
    pq.write_table(pa.table(columns), folder / "rows.parquet", row_group_size=131_072)
    return folder / "rows.parquet", folder / "rows.npz"


def reading(folder: Path, gigabytes: float) -> list[dict[str, Any]]:
    """Rows as arrays, out of both kinds of file."""

    def plain_parquet() -> np.ndarray:
        table = pq.read_table(parquet)
        return np.column_stack([table.column(i).to_numpy() for i in range(FEATURES)])

    def plain_npz() -> tuple[np.ndarray, np.ndarray]:
        with np.load(npz) as arrays:
            return arrays["x"], arrays["y"]

    parquet, npz = write_files(folder, gigabytes)
    results = []
    for path, plain in ((parquet, plain_parquet), (npz, plain_npz)):
        dataset = DatasetLoader.load(config(path))
        found = in_turns(lambda d=dataset: d.materialize("train"), plain, ROUNDS)
        results.append({"what": f"read {path.suffix[1:]}", **found, "target": "ratio <= 1.3"})
    return results


def preparing(n_rows: int) -> dict[str, Any]:
    """Scaling and PCA, fitted and applied."""
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(n_rows, FEATURES)) @ rng.normal(size=(FEATURES, FEATURES))
    steps = config(Path("none.npz"), STEPS).preprocessing

    def plain() -> np.ndarray:
        return PCA(16).fit_transform(StandardScaler().fit_transform(x))

    found = in_turns(lambda: Preparation.fit(steps, x).apply(x), plain, ROUNDS)
    return {"what": f"standard + pca of {n_rows} rows", **found, "target": "ratio <= 1.25"}


def streaming(folder: Path, gigabytes: float) -> dict[str, Any]:
    """Peak memory of a process that reads every row once, without holding them."""
    parquet, _ = write_files(folder, gigabytes)
    done = subprocess.run(
        [sys.executable, __file__, "--stream", str(parquet)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows, peak = (float(value) for value in done.stdout.split()[-2:])
    return {"what": "stream", "gigabytes": gigabytes, "rows": rows, "peak_mb": peak,
            "target": "peak < 1000 MB"}  # fmt: skip


def stream(path: str) -> None:
    """Read all rows task by task; print how many, and this process's peak in MB."""
    dataset = DatasetLoader.load(config(Path(path)))
    rows = sum(len(task()["y"]) for task in dataset.plan("train").tasks)
    # Not ru_maxrss, which a child starts with from its parent.
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(rows, int(peak) / 1024)


def small() -> dict[str, Any]:
    """Load and prepare 1,797 rows, once the imports are done."""
    wanted = DatasetConfig(name="digits", params={"dataset": "digits"}, preprocessing=STEPS)
    DatasetLoader.load(wanted)
    took = [seconds(lambda: DatasetLoader.load(wanted).materialize("train")) for _ in range(ROUNDS)]
    return {"what": "load and prepare 1,797 rows", "ours_s": statistics.median(took),
            "target": "< 1 s"}  # fmt: skip


def main() -> None:
    """Measure all of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--stream", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stream:
        stream(options.stream)
        return
    with tempfile.TemporaryDirectory() as first:
        results = reading(Path(first), options.gigabytes)
    results += [preparing(int(1e6 * min(options.gigabytes, 1.0))), small()]
    with tempfile.TemporaryDirectory() as second:
        results.append(streaming(Path(second), 2 * options.gigabytes))
    write("data", SEED, results, features=FEATURES, rounds=ROUNDS)


if __name__ == "__main__":
    main()
