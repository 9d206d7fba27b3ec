"""Requests per second that `qstore serve` answers: 1 and 64 rows a request, n = 8 qubits.

    python benchmarks/serving.py           # writes results/serving.json

The server is a process of its own on loopback. Clients are threads of this process, each with a
connection that stays open, so server and clients share the machine's cores. The rows are random
and differ from request to request. `model_alone_ms` is the same without HTTP, in this process.
Beside it stands MLflow's own scoring server with the same model as a `python_function`, one worker,
started as `mlflow models serve` starts it; the two are measured in turn, `ROUNDS` times, and
`times_of_mlflow` is the median of the ratios of a round.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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

SEED, QUBITS, LAYERS, SECONDS, ROUNDS = 17, 8, 3, 5.0, 3
_START_SECONDS = 120


def main() -> None:
    """Measure both sizes with one client and with four."""
    with tempfile.TemporaryDirectory(prefix="serving-") as scratch:
        model = _trained(Path(scratch))
        scored = _as_pyfunc(model, Path(scratch) / "pyfunc")
        rounds = [_round(model, scored) for _ in range(ROUNDS)]
    last = rounds[-1]
    found = {
        size: {**clients, "model_alone_ms": last["alone"][size]}
        for size, clients in last["ours"].items()
    }
    write("serving", SEED, rounds, n=QUBITS, layers=LAYERS, rows_of_a_request=found,
          times_of_mlflow=_times(rounds), **origin(), load_average=os.getloadavg()[0])  # fmt: skip


def _round(model: Path, scored: Path) -> dict[str, Any]:
    """Both servers, one after the other."""
    sizes = (1, 64)
    with _ours(model) as (place, pid):
        ours = {str(rows): _both(place, rows, pid) for rows in sizes}
    with _mlflow(scored) as (place, pid):
        theirs = {str(rows): _both(place, rows, pid) for rows in sizes}
    return {
        "ours": ours, "mlflow": theirs, "alone": {str(rows): _alone(model, rows) for rows in sizes}
    }  # fmt: skip


def _both(place: str, rows: int, pid: int) -> dict[str, Any]:
    return {
        "one_client": _asked(place, rows, 1, pid),
        "four_clients": _asked(place, rows, 4, pid),
    }


def _times(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Ours over MLflow's: rows a second, the median answer, and CPU of the server."""
    return {
        f"{size} rows, {clients}": {
            name: round(
                statistics.median(
                    each["ours"][size][clients][name] / each["mlflow"][size][clients][name]
                    for each in rounds
                ),
                3,
            )
            for name in ("rows_per_second", "p50_ms", "server_cpu_ms")
        }
        for size in rounds[0]["ours"]
        for clients in rounds[0]["ours"][size]
    }


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


def _as_pyfunc(model: Path, folder: Path) -> Path:
    """The same model as MLflow saves one."""
    import mlflow

    mlflow.pyfunc.save_model(
        folder, python_model=str(HERE / "served_pyfunc.py"), artifacts={"model": str(model)},
        pip_requirements=[],
    )  # fmt: skip
    return folder


@contextmanager
def _ours(model: Path) -> Iterator[tuple[str, int]]:
    """`qstore serve`: where it listens, and its process."""
    command = [sys.executable, "-m", "qstore_ray", "serve", str(model), "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=HERE.parent)
    try:
        assert server.stderr is not None
        line = next(line for line in server.stderr if "is served at" in line)
        yield urlsplit(line.split(" at ")[1].split()[0]).netloc, server.pid
    finally:
        server.terminate()
        server.wait()


@contextmanager
def _mlflow(folder: Path) -> Iterator[tuple[str, int]]:
    """MLflow's scoring server, by the command that `mlflow models serve` runs."""
    from mlflow.pyfunc import scoring_server

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words, environment = scoring_server.get_cmd(
        str(folder), port=port, host="127.0.0.1", timeout=60, nworkers=1
    )
    command = [sys.executable, "-m", *words.split(), "--log-level", "warning", "--no-access-log"]
    paths = f"{HERE.parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    server = subprocess.Popen(command, env={**environment, "PYTHONPATH": paths})
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("MLflow's scoring server does not start")
            time.sleep(0.1)
        yield f"127.0.0.1:{port}", server.pid
    finally:
        server.terminate()
        server.wait()


def _answers(port: int) -> bool:
    with suppress(OSError):
        connection = HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    return False


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
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/invocations", bodies[number % len(bodies)], headers)
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
