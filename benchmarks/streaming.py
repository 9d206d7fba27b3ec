"""Training larger than memory: what a process holds, and how fast it is beside held rows.

    python benchmarks/streaming.py                     all, into results/streaming.json
    python benchmarks/streaming.py memory throughput   these alone, beside the others' last numbers

Parts:
    memory       one epoch over 4 GB of Parquet in this process: resident memory from step to step
    workers      the same in two Ray Train workers: memory of each of them
    throughput   rows a second at 8 qubits, streamed over held, in turns; by the clock, and by the
                 processor's seconds of the whole training, which a busy machine changes less

The memory of a process is what it holds for itself (RssAnon, RssFile) and what it shares with
others (RssShmem, Ray's object store). `floor` is that of a training of 1,000 rows with the same
model, in the same kind of process. STREAMING_GB changes the size of the file, which is written
below the folder of temporary files and deleted.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]  # this tree before an installed one

from record import RESULTS, origin, write  # noqa: E402

from qstore_ray.data.config import DatasetConfig  # noqa: E402
from qstore_ray.data.loader import DatasetLoader  # noqa: E402
from qstore_ray.data.read.dataset import Dataset  # noqa: E402
from qstore_ray.learn.config import ModelConfig  # noqa: E402
from qstore_ray.track.config import TrackConfig  # noqa: E402
from qstore_ray.train.config import ClusterConfig, TrainerConfig  # noqa: E402
from qstore_ray.train.trainer import QuantumTrainer  # noqa: E402

SEED, FEATURES, GROUP = 17, 64, 65_536
GIGABYTES = float(os.environ.get("STREAMING_GB", "4"))
SMALL = ModelConfig(n_qubits=2, layers=1)
ROWS, EPOCHS, LAYERS, ROUNDS = 200_000, 3, 6, 3


def main() -> None:
    """Measure what is named, keep the rest, write the numbers."""
    words = sys.argv[1:] or list(PARTS)
    path = RESULTS / "streaming.json"
    found: dict[str, Any] = json.loads(path.read_text())["summary"] if path.exists() else {}
    with tempfile.TemporaryDirectory(prefix="streaming-") as scratch:
        folder = Path(scratch)
        for word in words:
            with multiprocessing.get_context("spawn").Pool(1) as pool:  # memory of its own
                measured = pool.apply(PARTS[word], (folder,))
            found[word] = {**measured, **origin(), "load_average": os.getloadavg()[0]}
    write("streaming", SEED, [], **found)


def _parquet(folder: Path, gigabytes: float) -> Path:
    """A file of random numbers, which do not compress, in groups of 65,536 rows."""
    path = folder / f"rows-{gigabytes:g}.parquet"
    if path.exists():
        return path
    rng = np.random.default_rng(SEED)
    names = [f"x{i}" for i in range(FEATURES)]
    writer = None
    while writer is None or path.stat().st_size < gigabytes * 1e9:
        x = rng.standard_normal((FEATURES, GROUP))
        label = (x[0] + x[1] > 0).astype(np.int64)
        table = pa.table([*x, label], names=[*names, "y"])
        if writer is None:
            writer = pq.ParquetWriter(path, table.schema, compression="none", use_dictionary=False)
        writer.write_table(table)
    writer.close()
    return path


def _loaded(path: Path, *, stream: bool, components: int, **options: Any) -> Dataset:
    return DatasetLoader.load(
        DatasetConfig(
            name="rows",
            source="local",
            params={"path": str(path)},
            columns={"label": "y"},
            split={"train": 0.98, "val": 0.01, "test": 0.01},
            preprocessing=[{"name": "standard"}, {"name": "pca", "components": components}],
            stream=stream,
            **options,
        )
    )


def _fit(dataset: Dataset, folder: Path, model: ModelConfig, workers: int = 0, **options: Any):
    name = f"run-{time.monotonic_ns()}"
    config = {"epochs": 1, "batch_size": 8192, "num_workers": workers, "seed": SEED, **options}
    track = TrackConfig(mlflow=False, figures=False)
    cluster = ClusterConfig(cpus_per_worker=0.5, start_timeout=300, worker_timeout=600)
    return QuantumTrainer(
        model, TrainerConfig(**config), name=name, storage=folder, track=track, cluster=cluster
    ).fit(dataset)


def _rss(pid: int | str) -> dict[str, float]:
    """Megabytes of a process: for itself, and shared with others."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
    mb = {name: int(kb) / 1024 for name, kb in found.items()}
    return {"own": mb["RssAnon"] + mb["RssFile"], "shared": mb["RssShmem"]}


def _workers() -> list[str]:
    """Ray Train workers of this process's Ray."""
    import psutil

    found = []
    for each in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            if any("RayTrainWorker" in word for word in each.cmdline()):
                found.append(str(each.pid))
    return found


@contextmanager
def _watched(workers: int) -> Iterator[dict[str, list[dict[str, float]]]]:
    """Samples of the memory of this process, or of its workers, twice a second."""
    samples: dict[str, list[dict[str, float]]] = {}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            for pid in _workers() if workers else ["self"]:
                try:
                    samples.setdefault(pid, []).append(_rss(pid))
                except (OSError, KeyError):
                    continue  # it has just ended

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


def _peaks(samples: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Of the process that took the most: its peak, and medians of each tenth of its time."""
    most = max(samples.values(), key=lambda each: max(sample["own"] for sample in each))
    tenths = [part for part in np.array_split(np.array([s["own"] for s in most]), 10) if len(part)]
    return {
        "peak_mb": round(max(sample["own"] for sample in most), 1),
        "peak_shared_mb": round(max(sample["shared"] for sample in most), 1),
        "tenths_mb": [round(float(np.median(part)), 1) for part in tenths],
        "samples": len(most),
    }


def _memory(folder: Path, workers: int) -> dict[str, Any]:
    tiny = DatasetLoader.from_arrays(
        np.random.default_rng(0).normal(size=(1000, 2)), np.arange(1000) % 2
    )
    with _watched(workers) as before:
        _fit(tiny, folder, SMALL, workers, epochs=40, batch_size=100)
    path = _parquet(folder, GIGABYTES)
    began = time.monotonic()
    dataset = _loaded(path, stream=True, components=2)
    loaded = time.monotonic() - began
    with _watched(workers) as samples:
        began = time.monotonic()
        _fit(dataset, folder, SMALL, workers)
        trained = time.monotonic() - began
    floor, found = _peaks(before), _peaks(samples)
    rows = dataset.sizes["train"]
    return {
        "file_gb": round(path.stat().st_size / 1e9, 2),
        "rows": rows,
        "load_seconds": round(loaded, 1),
        "train_seconds": round(trained, 1),
        "floor_mb": floor["peak_mb"],
        **found,
        "above_floor_mb": round(found["peak_mb"] - floor["peak_mb"], 1),
    }


def memory(folder: Path) -> dict[str, Any]:
    """One epoch in this process."""
    return _memory(folder, 0)


def workers(folder: Path) -> dict[str, Any]:
    """One epoch in two workers."""
    return _memory(folder, 2)


def throughput(folder: Path) -> dict[str, Any]:
    """Rows a second of an epoch at 8 qubits, held and streamed in turns."""
    path = _parquet(folder, ROWS * FEATURES * 8 / 1e9)
    model = ModelConfig(n_qubits=8, layers=LAYERS)
    datasets = {stream: _loaded(path, stream=stream, components=8) for stream in (False, True)}
    n_rows = EPOCHS * datasets[True].sizes["train"]
    speeds: dict[bool, list[float]] = {False: [], True: []}
    of_cpu: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(ROUNDS):
        for stream, dataset in datasets.items():
            began = time.process_time()
            result = _fit(dataset, folder, model, batch_size=256, epochs=EPOCHS)
            of_cpu[stream].append(round(n_rows / (time.process_time() - began), 1))
            speeds[stream].append(result.metrics["samples_per_second"])
    held, streamed = (statistics.median(speeds[stream]) for stream in (False, True))
    work = [statistics.median(of_cpu[stream]) for stream in (True, False)]
    return {
        "qubits": 8,
        "layers": LAYERS,
        "epochs": EPOCHS,
        "rows": n_rows,
        "held_rows_per_second": held,
        "streamed_rows_per_second": streamed,
        "ratio": round(streamed / held, 3),
        "ratio_by_cpu_seconds": round(work[0] / work[1], 3),
        "rounds": {"held": speeds[False], "streamed": speeds[True]},
        "rounds_by_cpu_seconds": {"held": of_cpu[False], "streamed": of_cpu[True]},
    }


PARTS = {"memory": memory, "workers": workers, "throughput": throughput}

if __name__ == "__main__":
    main()
