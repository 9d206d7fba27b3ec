"""The data layer beside the plain libraries below it: reading, preparing, streaming, starting.

Each pair in turns in one process, files in the page cache:

- reading a Parquet and an npz file, `Dataset.materialize` over pyarrow and numpy;
- loading a CSV file and reading every split, over `pyarrow.csv.read_csv` (all threads);
- StandardScaler and PCA(16) on 1,000,000 and 250,000 × 64 rows, ours over scikit-learn's;
- the peak memory of one epoch streamed from twice as many rows;
- loading and preparing 1,797 rows.

Run: python benchmarks/data.py [--gigabytes 1] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
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
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from record import write

from qstore_ray import DatasetConfig, DatasetLoader
from qstore_ray.data.prepare.prepare import Preparation

SEED, FEATURES = 7, 64
ROW_GROUP = 131_072  # rows of a Parquet row group
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
    """The same rows as Parquet and as npz: one random block of rows over and over, shifted."""
    n_rows = int(gigabytes * 1e9 / 8 / FEATURES)
    rng = np.random.default_rng(SEED)
    block = rng.normal(size=(min(ROW_GROUP, n_rows), FEATURES))
    x, y = np.empty((n_rows, FEATURES)), rng.integers(0, 10, n_rows)
    for number, start in enumerate(range(0, n_rows, len(block))):
        x[start : start + len(block)] = block[: n_rows - start] + number
    np.savez(folder / "rows.npz", x=x, y=y)
    names = [f"f{i}" for i in range(FEATURES)] + ["label"]
    schema = pa.schema([(name, pa.float64()) for name in names[:-1]] + [("label", pa.int64())])
    # Neither dictionaries nor compression: random numbers are not made smaller by them.
    options = {"use_dictionary": False, "compression": "none"}
    with pq.ParquetWriter(folder / "rows.parquet", schema, **options) as writer:
        for start in range(0, n_rows, ROW_GROUP):
            rows = slice(start, start + ROW_GROUP)
            columns = [*np.ascontiguousarray(x[rows].T), y[rows]]
            writer.write_table(pa.table(columns, schema), row_group_size=ROW_GROUP)
    return folder / "rows.parquet", folder / "rows.npz"


def reading(parquet: Path, npz: Path, rounds: int) -> list[dict[str, Any]]:
    """Rows as arrays, out of both kinds of file."""

    def plain_parquet() -> np.ndarray:
        table = pq.read_table(parquet)
        return np.column_stack([table.column(i).to_numpy() for i in range(FEATURES)])

    def plain_npz() -> tuple[np.ndarray, np.ndarray]:
        with np.load(npz) as arrays:
            return arrays["x"], arrays["y"]

    results = []
    for path, plain in ((parquet, plain_parquet), (npz, plain_npz)):
        dataset = DatasetLoader.load(config(path))
        found = in_turns(lambda d=dataset: d.materialize("train"), plain, rounds)
        results.append({"what": f"read {path.suffix[1:]}", **found, "target": "ratio <= 1.3"})
    return results


def csv_file(folder: Path, n_rows: int, rounds: int) -> dict[str, Any]:
    """A CSV file of 20 numbers and a label, loaded and every split read, over pyarrow's reader."""
    rng = np.random.default_rng(SEED)
    columns = {f"f{i}": rng.normal(size=n_rows) for i in range(20)}
    pa_csv.write_csv(pa.table({**columns, "label": rng.integers(0, 3, n_rows)}), folder / "t.csv")
    wanted = DatasetConfig(name="rows", source="local", params={"path": str(folder / "t.csv")})

    def ours() -> None:
        dataset = DatasetLoader.load(wanted)
        for split in dataset.plans:
            dataset.materialize(split)

    found = in_turns(ours, lambda: pa_csv.read_csv(folder / "t.csv"), rounds)
    return {"what": f"load csv of {n_rows} rows", **found, "target": "ratio <= 2"}


def preparing(n_rows: int, rounds: int) -> dict[str, Any]:
    """Scaling and PCA, fitted and applied."""
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(n_rows, FEATURES)) @ rng.normal(size=(FEATURES, FEATURES))
    steps = config(Path("none.npz"), STEPS).preprocessing

    def plain() -> np.ndarray:
        return PCA(16).fit_transform(StandardScaler().fit_transform(x))

    found = in_turns(lambda: Preparation.fit(steps, x).apply(x), plain, rounds)
    return {"what": f"standard + pca of {n_rows} rows", **found, "target": "ratio <= 1.25"}


def streaming(parquet: Path) -> dict[str, Any]:
    """Peak memory of a process that reads every row of the files without holding them."""
    done = subprocess.run(
        [sys.executable, __file__, "--stream", str(parquet)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows, peak = (float(value) for value in done.stdout.split()[-2:])
    return {"what": "stream", "gigabytes": rows * 8 * FEATURES / 1e9, "rows": rows,
            "peak_mb": peak, "target": "peak < 1000 MB"}  # fmt: skip


def stream(path: str) -> None:
    """Read all rows task by task; print how many, and this process's peak in MB."""
    dataset = DatasetLoader.load(config(Path(path)))
    rows = sum(len(task()["y"]) for task in dataset.plan("train").tasks)
    # Not ru_maxrss, which a child starts with from its parent.
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(rows, int(peak) / 1024)


def doubled(parquet: Path) -> Path:
    """A folder with the file twice: twice the rows, written once."""
    folder = parquet.parent / "twice"
    folder.mkdir()
    for name in ("a.parquet", "b.parquet"):
        os.link(parquet, folder / name)
    return folder


def table(results: list[dict[str, Any]]) -> None:
    """Ours beside the plain library and the target, a line each."""
    print(f"{'what':36}{'ours':>10}{'plain':>10}{'ratio':>8}   target")
    for row in results:
        ours = f"{row['ours_s']:.3f} s" if "ours_s" in row else f"{row['peak_mb']:.0f} MB"
        plain = f"{row['plain_s']:.3f} s" if "plain_s" in row else ""
        ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
        print(f"{row['what']:36}{ours:>10}{plain:>10}{ratio:>8}   {row['target']}")


def small(rounds: int) -> dict[str, Any]:
    """Load and prepare 1,797 rows, once the imports are done."""
    wanted = DatasetConfig(name="digits", params={"dataset": "digits"}, preprocessing=STEPS)
    DatasetLoader.load(wanted)
    took = [seconds(lambda: DatasetLoader.load(wanted).materialize("train")) for _ in range(rounds)]
    return {"what": "load and prepare 1,797 rows", "ours_s": statistics.median(took),
            "target": "< 1 s"}  # fmt: skip


def main() -> None:
    """Measure all of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stream", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stream:
        stream(options.stream)
        return
    # In the working folder: /tmp may be memory.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        parquet, npz = write_files(Path(folder), options.gigabytes)
        results = reading(parquet, npz, options.rounds)
        npz.unlink()
        results.append(
            csv_file(Path(folder), int(1e6 * min(options.gigabytes, 1.0)), options.rounds)
        )
        results.append(streaming(doubled(parquet)))
    rows = int(1e6 * min(options.gigabytes, 1.0))
    results += [preparing(n, options.rounds) for n in (rows, rows // 4)]
    results.append(small(options.rounds))
    table(results)
    write("data", SEED, results, features=FEATURES, rounds=options.rounds)


if __name__ == "__main__":
    main()
