"""Requests per second that `qstore serve` answers: 1 and 64 rows a request, n = 8 qubits.

    python benchmarks/serving.py           # writes results/serving.json

The server is a process of its own on loopback. Clients are threads of this process, each with a
connection that stays open, so server and clients share the machine's cores. The rows are random
and differ from request to request. `model_alone_ms` is the same without HTTP, in this process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]  # this tree before an installed one

from record import origin, write  # noqa: E402

from qstore_ray.data.loader import DatasetLoader  # noqa: E402
from qstore_ray.learn.config import ModelConfig  # noqa: E402
from qstore_ray.track.config import TrackConfig  # noqa: E402
from qstore_ray.train.config import TrainerConfig  # noqa: E402
from qstore_ray.train.model.trained import TrainedModel  # noqa: E402
from qstore_ray.train.trainer import QuantumTrainer  # noqa: E402

SEED, QUBITS, LAYERS, SECONDS = 17, 8, 3, 5.0


def main() -> None:
    """Measure both sizes with one client and with four."""
    with tempfile.TemporaryDirectory(prefix="serving-") as scratch:
        model = _trained(Path(scratch))
        found = {str(rows): _served(model, rows) for rows in (1, 64)}
    write("serving", SEED, [], n=QUBITS, layers=LAYERS, rows_of_a_request=found, **origin(),
          load_average=os.getloadavg()[0])  # fmt: skip


def _trained(folder: Path) -> Path:
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(256, QUBITS))
    data = DatasetLoader.from_arrays(x, (x[:, 0] > 0).astype(int))
    QuantumTrainer(
        ModelConfig(n_qubits=QUBITS, layers=LAYERS),
        TrainerConfig(epochs=1, seed=SEED, num_workers=0),
        name="n8", storage=folder, track=TrackConfig(mlflow=False, figures=False),
    ).fit(data).model.save(folder / "model.qsm")  # fmt: skip
    return folder / "model.qsm"


def _served(model: Path, rows: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "qstore_ray", "serve", str(model), "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=HERE.parent)
    try:
        assert server.stderr is not None
        line = next(line for line in server.stderr if "is served at" in line)
        place = urlsplit(line.split(" at ")[1].split()[0]).netloc
        return {
            "one_client": _asked(place, rows, 1, server.pid),
            "four_clients": _asked(place, rows, 4, server.pid),
            "model_alone_ms": _alone(model, rows),
        }
    finally:
        server.terminate()
        server.wait()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _asked(place: str, rows: int, clients: int, pid: int) -> dict[str, float]:
    """Requests per second, milliseconds of an answer, and CPU of the server, over `SECONDS`."""
    used = _cpu_seconds(pid)
    times: list[float] = []
    rng = np.random.default_rng(SEED)
    bodies = [json.dumps({"instances": rng.normal(size=(rows, QUBITS)).tolist()})
              for _ in range(50)]  # fmt: skip
    until = time.perf_counter() + SECONDS

    def ask() -> None:
        connection = HTTPConnection(place)
        for number in range(10**9):
            began = time.perf_counter()
            if began > until:
                return
            connection.request("POST", "/invocations", bodies[number % len(bodies)])
            answer = connection.getresponse()
            predictions = json.loads(answer.read())["predictions"]
            assert len(predictions) == rows
            times.append(time.perf_counter() - began)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    p50, p99 = np.percentile(times, (50, 99)) * 1e3
    per_second = len(times) / SECONDS
    return {
        "requests_per_second": round(per_second, 1),
        "rows_per_second": round(per_second * rows),
        "p50_ms": round(float(p50), 2),
        "p99_ms": round(float(p99), 2),
        "server_cpu_ms": round((_cpu_seconds(pid) - used) / len(times) * 1e3, 3),
    }


def _alone(path: Path, rows: int) -> float:
    model = TrainedModel.load(path)
    x = np.random.default_rng(SEED).normal(size=(rows, QUBITS))
    model.predictions(x)
    times = []
    for _ in range(100):
        began = time.perf_counter()
        model.predictions(x)
        times.append(time.perf_counter() - began)
    return round(float(np.median(times)) * 1e3, 3)


if __name__ == "__main__":
    main()
