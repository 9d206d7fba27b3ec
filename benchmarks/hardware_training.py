"""The same training by ours and by two other libraries, and what the service counts of each.

Zeros and ones of the digits on 4 qubits: RY(x) on each, layers of RY and RZ on each and a chain of
CX, the mean of (⟨Z⟩ − y)² for the last qubit and y = ±1, all rows in each step. Everybody's client
library talks to the same stand-in of IBM's service; jobs, requests and executions are those of its
journal.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from environments import HERE, make, python_of, versions
from protocol import Case, read

from tests.ibm import billing
from tests.ibm.launch import Loopback, in_process

SEED, DEVICE = 7, "fake_manila"
QUBITS, LAYERS, ROWS, TEST_ROWS, SHOTS = 4, 2, 32, 64, 512
LEARNING_RATE, PERTURBATION = 0.1, 0.2
LIMIT_S = 600.0


class Plan(NamedTuple):
    """One training: who, by what method, how many steps."""

    who: str
    method: str
    steps: int
    title: str
    file: str = ""
    environment: str = ""


OURS = "qstore_ray"
QISKIT_ML, PENNYLANE = "qiskit-machine-learning", "PennyLane-qiskit"
PLANS = (
    Plan(OURS, "spsa", 10, "gradient spsa, 4 directions (default)"),
    Plan(OURS, "optimizer-spsa", 10, "optimizer spsa"),
    Plan(OURS, "parameter_shift", 10, "parameter shift"),
    Plan(QISKIT_ML, "shift", 10, "parameter shift (default)",
         "hardware_qiskit_ml.py", "qiskit-ibm"),
    Plan(QISKIT_ML, "shift-alone", 2, "parameter shift, shots of the network alone",
         "hardware_qiskit_ml.py", "qiskit-ibm"),
    Plan(QISKIT_ML, "spsa", 10, "optimizer SPSA", "hardware_qiskit_ml.py", "qiskit-ibm"),
    Plan(PENNYLANE, "shift", 1, "parameter shift (default)", "hardware_pennylane.py",
         "pennylane-qiskit"),
    Plan(PENNYLANE, "spsa", 10, "optimizer SPSA", "hardware_pennylane.py", "pennylane-qiskit"),
)  # fmt: skip


def write_task(folder: Path) -> Path:
    """The training as the peers read it."""
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA

    images, digits = load_digits(return_X_y=True)
    kept = np.isin(digits, (0, 1))
    order = np.random.default_rng(SEED).permutation(int(kept.sum()))[: ROWS + TEST_ROWS]
    images, y = images[kept][order], np.where(digits[kept][order] == 1, 1.0, -1.0)
    x = 0.05 * PCA(QUBITS, random_state=0).fit(images[:ROWS]).transform(images)
    turn, slot, ops = [1.0, 0.0], 0, []
    ops += [["ry", [q], [["row", q, *turn]]] for q in range(QUBITS)]
    for _ in range(LAYERS):
        for q in range(QUBITS):
            ops += [[g, [q], [["param", slot + k, *turn]]] for k, g in enumerate(("ry", "rz"))]
            slot += 2
        ops += [["cx", [q, q + 1], []] for q in range(QUBITS - 1)]
    spec = {
        "family": "hardware", "n_qubits": QUBITS, "layers": LAYERS, "initial": "zeros",
        "n_rows": QUBITS, "n_params": slot, "ops": ops, "observables": [[QUBITS - 1]],
        "hardware": {
            "device": DEVICE, "shots": SHOTS, "learning_rate": LEARNING_RATE,
            "perturbation": PERTURBATION,
        },
    }  # fmt: skip
    path = folder / "task.json"
    path.write_text(json.dumps(spec))
    params = np.random.default_rng(SEED).normal(0.0, 0.1, slot)
    np.savez(
        path.with_suffix(".npz"), rows=x[:ROWS], y=y[:ROWS], test_rows=x[ROWS:], test_y=y[ROWS:],
        params=params, w=np.ones(1), c=0.0, amplitudes=np.zeros((ROWS, 0)),
    )  # fmt: skip
    return path


class Counted:
    """What the service has counted since the last look."""

    def __init__(self, ibm: Loopback) -> None:
        self._ibm = ibm
        self._jobs, self._requests = 0, Counter[str]()

    def take(self) -> dict[str, Any]:
        """Jobs, executions, billed seconds by the formula, and requests by kind."""
        jobs = list(self._ibm.accepted().values())
        requests = Counter(self._ibm.requests())
        new, self._jobs = jobs[self._jobs :], len(jobs)
        made, self._requests = requests - self._requests, requests
        executions = sum(job.executions for job in new)
        return {
            "jobs": len(new), "executions": executions,
            "billed_s": sum(billing.seconds(job.executions) for job in new),
            "requests": made.total(), "by_kind": dict(sorted(made.items())),
        }  # fmt: skip


def train(plan: Plan, path: Path, folder: Path) -> dict[str, Any]:
    """One training on a stand-in of its own."""
    print(f"{plan.who}, {plan.title}, {plan.steps} steps", flush=True)
    row: dict[str, Any] = {
        "who": plan.who, "method": plan.method, "title": plan.title, "steps": plan.steps,
    }  # fmt: skip
    folder.mkdir()
    with in_process(backend=(DEVICE,), seed=None) as ibm:
        counted, reached = Counted(ibm), {}
        began = time.perf_counter()

        def on(event: str, **more: Any) -> None:
            nonlocal began
            reached[event] = counted.take() | {"s": time.perf_counter() - began} | more
            began = time.perf_counter()

        if plan.who == OURS:
            _train_ours(plan, path, ibm, folder, on)
        else:
            _train_peer(plan, path, ibm, folder, on)
        assert all(job.end == "completed" for job in ibm.accepted().values())
    row |= {"training": reached["trained"], "accuracy": reached["scored"]["accuracy"]}
    row |= {"before": reached["ready"]["requests"], "scoring": reached["scored"]}
    print({**row["training"], "accuracy": row["accuracy"]}, flush=True)
    return row


def _train_peer(
    plan: Plan, path: Path, ibm: Loopback, folder: Path, on: Callable[..., None]
) -> None:
    ours = ("QISKIT_", "PYTHONPATH", "XDG_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    environment |= ibm.environment(folder) | {"PYTHONWARNINGS": "ignore"}
    command = [str(python_of(plan.environment)), str(HERE / plan.file), str(path), plan.method]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [*command, str(plan.steps)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=log, env=environment, text=True, cwd=folder,
        ) as process,
    ):  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            on(event.pop("event"), **event)
            process.stdin.write("\n")
            process.stdin.flush()
    if process.returncode:
        raise RuntimeError((folder / "log").read_text()[-2000:])


def _train_ours(
    plan: Plan, path: Path, ibm: Loopback, folder: Path, on: Callable[..., None]
) -> None:
    os.environ |= ibm.environment(folder)
    from qstore_ray import DatasetLoader, ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
    from qstore_ray.train.callbacks import Callback

    class Marks(Callback):
        """The service is signed in to before the first job; the scoring follows the training."""

        on_error = "raise"

        def on_train_begin(self, run: Any) -> None:
            on("ready")

        def on_train_end(self, run: Any) -> None:
            on("trained")

    case = read(path)
    with np.load(path.with_suffix(".npz")) as file:
        test_x, test_y = file["test_rows"], file["test_y"]
    data = DatasetLoader.from_arrays(
        case.rows, case.y, test=(test_x, test_y), split={"train": 1.0}, task="regression"
    )
    model = ModelConfig(
        circuit=_circuit(case),
        features="x",
        observables=[f"Z{QUBITS - 1}"],
        head="none",
        loss="mse",
    )
    method: dict[str, Any] = {"gradient": plan.method}
    if plan.method == "optimizer-spsa":
        method = {"optimizer": "spsa"}
    trainer = TrainerConfig(
        epochs=plan.steps, batch_size=ROWS, learning_rate=LEARNING_RATE, num_workers=0,
        target_scaling="none", backend="ibm", seed=SEED, **method,
        backend_options={
            "device": DEVICE, "shots": SHOTS, "ledger": str(folder / "ledgers"),
            "where": "process",
        },
    )  # fmt: skip
    quiet = TrackConfig(mlflow=False, figures=False)
    result = QuantumTrainer(
        model, trainer, name="ours", storage=folder, track=quiet, callbacks=(Marks(),)
    ).fit(data)
    scoring = result.model
    from qstore_ray.backends.ibm.backend import IbmBackend

    found = np.sign(np.ravel(scoring.predict(test_x)))
    on("scored", accuracy=float(np.mean(found == test_y)))
    run = json.loads((folder / "ours" / "run.json").read_text())["id"]
    IbmBackend.close_run(run)


def _circuit(case: Case) -> Any:
    from qiskit import QuantumCircuit
    from qiskit.circuit import ParameterVector

    circuit = QuantumCircuit(case.n_qubits)
    rows, params = ParameterVector("x", case.rows.shape[1]), ParameterVector("p", len(case.params))
    for op in case.ops:
        angles = [(rows if angle.kind == "row" else params)[angle.slot] for angle in op.angles]
        getattr(circuit, op.gate)(*angles, *op.qubits)
    return circuit


def trainings(folder: Path, only: str = "") -> dict[str, Any]:
    """All of them, or those whose name contains `only`, and the environments that they need."""
    plans = [plan for plan in PLANS if only in f"{plan.who} {plan.method}"]
    environments = sorted({plan.environment for plan in plans} - {""})
    for name in environments:
        make(name)
    folder.mkdir(parents=True, exist_ok=True)
    path = write_task(folder)
    return {
        "rows": [train(plan, path, folder / f"{n}") for n, plan in enumerate(plans)],
        "environments": {name: versions(name) for name in environments},
        "task": {
            "qubits": QUBITS, "layers": LAYERS, "parameters": len(read(path).params),
            "rows": ROWS, "test_rows": TEST_ROWS, "shots": SHOTS, "device": DEVICE,
        },
    }  # fmt: skip
