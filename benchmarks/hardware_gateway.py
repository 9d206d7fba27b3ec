"""What the gateway does to a training step: jobs, requests, seconds, shares, as the service counts.

The stand-in of the service runs in a process of its own; the gateway in this one, or on Ray.
"""

from __future__ import annotations

import importlib
import math
import os
import statistics
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from hardware_training import DEVICE, LAYERS, QUBITS, ROWS, SHOTS, Counted

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.call import hardware_call
from qstore_ray.backends.ibm.gateway.access import close_gateways, gateway_for
from qstore_ray.backends.ibm.gateway.gateway import Gateway
from qstore_ray.backends.ibm.ledger.ledger import Ledger
from qstore_ray.backends.keys import DrawKey
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template, param, row
from tests.ibm.launch import ROOT, Loopback, in_process

CIRCUITS = 9
"""Of each row in a step: as it is, and both sides of four random directions."""
FAKES = {"fake_manila": "FakeManilaV2", "fake_fez": "FakeFez"}
WORKERS, STEPS = (1, 4, 16), 8
WEIGHTS = {"a": 1.0, "b": 1.0, "c": 2.0, "d": 4.0}
MOST_ROWS = {"a": 16, "b": 2, "c": 8, "d": 12}
CALLERS, FAIR_SECONDS, JOB_ROWS, FAIR_SHOTS = 24, 20.0, 32, 64


def _template() -> Template:
    ops = [Op("ry", (q,), (row(q),)) for q in range(QUBITS)]
    slot = 0
    for _ in range(LAYERS):
        for q in range(QUBITS):
            ops += [Op("ry", (q,), (param(slot),)), Op("rz", (q,), (param(slot + 1),))]
            slot += 2
        ops += [Op("cx", (q, q + 1)) for q in range(QUBITS - 1)]
    return Template(QUBITS, tuple(ops), QUBITS, slot)


TEMPLATE = _template()
Z = tuple(Observable.parse(f"Z{q}") for q in range(QUBITS))


def _bindings(count: int, *seed: int) -> Bindings:
    rng = np.random.default_rng(seed)
    return Bindings(rng.normal(size=(count, QUBITS)), rng.normal(size=(count, TEMPLATE.n_params)))


@contextmanager
def _service(folder: Path, **settings: Any) -> Iterator[Loopback]:
    """A stand-in that the client library of this process finds."""
    folder.mkdir(parents=True)
    with in_process(**settings) as ibm:
        os.environ |= ibm.environment(folder)
        try:
            yield ibm
        finally:
            close_gateways()


def _backend(folder: Path, shots: int = SHOTS, **options: Any) -> IbmBackend:
    given = {"device": DEVICE, "where": "process", "ledger": str(folder / "ledgers"), **options}
    return IbmBackend(shots=shots, **given)


def workers(folder: Path) -> list[dict[str, Any]]:
    """Jobs of a step and requests of a job: threads as workers, then real Ray workers."""
    rows = []
    for count in WORKERS:
        with _service(folder / f"{count}") as ibm:
            backend = _backend(folder / f"{count}").for_run("r")
            counted = Counted(ibm)
            for step in range(STEPS):
                if step == 1:
                    first = counted.take()  # with those of signing in
                _share_step(backend, step, count)
            found = counted.take()
        rows.append(
            {"workers": count, "kind": "threads", "steps": STEPS - 1, **found}
            | {"requests_of_first": first["requests"]}
        )
        print(rows[-1], flush=True)
    for count in (1, 2):  # more than two do not fit on two cores
        rows.append(_on_ray(folder / f"ray-{count}", count))
        print(rows[-1], flush=True)
    return rows


def _share_step(backend: IbmBackend, step: int, parts: int) -> None:
    bindings = _bindings(ROWS * CIRCUITS, step)

    def work(part: int, chosen: np.ndarray) -> None:
        mine = Bindings(bindings.rows[chosen], bindings.params[chosen])
        key = DrawKey((step,), int(chosen[0]), part=part, parts=parts)
        backend.evaluate(TEMPLATE, Z, mine, key=key)

    shares = enumerate(np.array_split(np.arange(len(bindings)), parts))
    threads = [threading.Thread(target=work, args=share) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _on_ray(folder: Path, count: int) -> dict[str, Any]:
    """`jobs/digits_ibm.toml` with so many Ray workers; its one scoring is a job, too."""
    with _service(folder) as ibm:
        counted = Counted(ibm)
        budget = "trainer.backend_options.budget.seconds"
        options = {"trainer.num_workers": count, "trainer.epochs": 2, budget: 10_000}
        sets = [word for name, value in options.items() for word in ("--set", f"{name}={value}")]
        command = [sys.executable, "-m", "qstore_ray", "train", "jobs/digits_ibm.toml", *sets]
        done = subprocess.run(
            [*command, "--json", "--storage", str(folder / "runs")], cwd=ROOT, check=False,
            env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        found = counted.take()
    job = tomllib.loads((ROOT / "jobs" / "digits_ibm.toml").read_text())
    rows = job["dataset"]["select"]["rows"] * job["dataset"]["split"]["train"]
    steps = 2 * math.ceil(round(rows) / job["trainer"]["batch_size"])
    return {"workers": count, "kind": "Ray", "steps": steps, "scoring_jobs": 1, **found}


@contextmanager
def _watched() -> Iterator[tuple[dict[str, float], list[tuple[float, Any]]]]:
    """When each call was made by its key, and when each job was packed."""
    called: dict[str, float] = {}
    packed: list[tuple[float, Any]] = []
    evaluate, intent = Gateway.evaluate, Ledger.intent

    def watched_evaluate(self: Gateway, call: Any) -> Any:
        called[call.request.key] = time.monotonic()
        return evaluate(self, call)

    def watched_intent(self: Ledger, job: Any, *arguments: Any, **options: Any) -> Any:
        packed.append((time.monotonic(), job))
        return intent(self, job, *arguments, **options)

    Gateway.evaluate, Ledger.intent = watched_evaluate, watched_intent  # type: ignore[method-assign]
    try:
        yield called, packed
    finally:
        Gateway.evaluate, Ledger.intent = evaluate, intent  # type: ignore[method-assign]


def delays(folder: Path) -> list[dict[str, Any]]:
    """Milliseconds from a call without a group to the moment at which its job is packed.

    Each trial asks again after a random pause, of `pause_s` in the mean.
    """
    rows = []
    # As many jobs in flight as trials: to wait for one of them is no coalescing.
    quick = {"first_poll": 0.05, "longest_poll": 0.5, "caps": {"in_flight": 8}}
    for trials, pause in ((1, 0.05), (4, 0.05), (8, 0.2)):
        name = folder / f"{trials}"
        with _service(name, seed=None) as ibm, _watched() as (called, packed):
            shared = _backend(name, 64, policy=quick)
            shared.for_run("r", "t0").evaluate(TEMPLATE, Z, _bindings(4), key=DrawKey((0, 0)))
            called.clear()
            packed.clear()
            threads = [
                threading.Thread(target=_ask, args=(shared.for_run("r", f"t{t}"), t, pause))
                for t in range(trials)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(ibm.accepted()) == len(packed) + 1
        left = {request.key: at for at, job in packed for request in job.requests}
        ms = [1e3 * (left[key] - at) for key, at in called.items()]
        rows.append({
            "trials": trials, "pause_s": pause, "calls": len(ms), "jobs": len(packed),
            "median_ms": statistics.median(ms), "p99_ms": float(np.quantile(ms, 0.99)),
            "longest_ms": max(ms),
        })  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def _ask(backend: IbmBackend, trial: int, pause: float) -> None:
    rng, end, step = np.random.default_rng(trial), time.monotonic() + 15.0, 1
    while time.monotonic() < end:
        backend.evaluate(TEMPLATE, Z, _bindings(4, trial, step), key=DrawKey((trial, step)))
        time.sleep(rng.exponential(pause))
        step += 1


def overhead(folder: Path) -> list[dict[str, Any]]:
    """Seconds of a step besides those of its job at the service, and those of the fake backend."""
    rows = []
    for device in FAKES:
        name = folder / device
        with _service(name, backend=(device,), execution="package", seed=None) as ibm:
            backend = _backend(name, device=device).for_run("r")
            direct = [_directly(backend, device, step) for step in range(3)]
            steps = [_step(backend, ibm, step) for step in range(STEPS)]
        own = statistics.median(direct[1:])
        later = [step["overhead_s"] for step in steps[3:]]
        rows.append({
            "device": device, "executions": ROWS * CIRCUITS * SHOTS, "direct_s": own,
            "first_overhead_s": steps[0]["overhead_s"], "overhead_s": statistics.median(later),
            "longest_overhead_s": max(later), "ratio": statistics.median(later) / own,
            "steps": steps, "direct_all_s": direct,
        })  # fmt: skip
        print({k: v for k, v in rows[-1].items() if k != "steps"}, *steps, sep="\n  ", flush=True)
    return rows


def _step(backend: IbmBackend, ibm: Loopback, step: int) -> dict[str, float]:
    before = sum(ibm.requests().values())
    gateway = gateway_for(backend.config, "process")
    call = hardware_call(
        TEMPLATE, Z, _bindings(ROWS * CIRCUITS, step), SHOTS, DrawKey((step,), parts=1),
        device=backend.device, identity=backend.identity, options={},
    )  # fmt: skip
    began = time.perf_counter()
    gateway.evaluate(call)
    whole = time.perf_counter() - began
    last = list(ibm.accepted())[-1]
    at = {entry["event"]: entry["at"] for entry in ibm.journal() if entry.get("job") == last}
    ran = at["completed"] - at["started"]
    return {
        "step_s": whole, "service_s": ran, "overhead_s": whole - ran,
        "unnoticed_s": at["result_read"] - at["completed"],
        "requests": sum(ibm.requests().values()) - before,
    }  # fmt: skip


def _directly(backend: IbmBackend, device: str, step: int) -> float:
    """The circuits of a step by the client's own local mode on the fake backend: seconds."""
    from qiskit_ibm_runtime.executor_sampler import Sampler

    from qstore_ray.backends.ibm.service.isa import compile_isa

    gateway: Any = gateway_for(backend.config, "process")
    client = gateway._client  # noqa: SLF001 - the same device and target
    fake = getattr(importlib.import_module("qiskit_ibm_runtime.fake_provider"), FAKES[device])()
    (circuit,) = compile_isa(TEMPLATE, Z, client.device, client.target)
    values = circuit.values(_bindings(ROWS * CIRCUITS, 100 + step))
    began = time.perf_counter()
    Sampler(fake).run([(circuit.circuit, values, SHOTS)], shots=SHOTS).result()
    return time.perf_counter() - began


def fairness(folder: Path) -> dict[str, Any]:
    """Trials that always have more to do than fits: their executions by weight, over time."""
    caps = {"executions": JOB_ROWS * FAIR_SHOTS}
    policy = {"first_poll": 0.05, "longest_poll": 0.5, "caps": caps}
    with _service(folder, seed=None) as ibm, _watched() as (_, packed):
        shared = _backend(folder, FAIR_SHOTS, policy=policy)
        end = time.monotonic() + FAIR_SECONDS
        threads = [
            threading.Thread(target=_flood, args=(shared, trial, caller, end))
            for trial in WEIGHTS
            for caller in range(CALLERS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        jobs = len(ibm.accepted())
    return {"jobs": jobs, **shares([job.requests for at, job in packed if at < end])}


def _flood(shared: IbmBackend, trial: str, caller: int, end: float) -> None:
    number = ord(trial)
    rng, step = np.random.default_rng([number, caller]), 0
    backend = shared.for_run("r", trial, weight=WEIGHTS[trial])
    while time.monotonic() < end:
        count = int(rng.integers(1, MOST_ROWS[trial] + 1))
        key = DrawKey((number, caller, step))
        backend.evaluate(TEMPLATE, Z, _bindings(count, number, caller, step), key=key)
        step += 1


def shares(jobs: list[Any]) -> dict[str, Any]:
    """Shares of the executions, and how far they were from the weights from job to job."""
    jobs = jobs[5:]  # the first ones leave before all trials have asked
    whole = sum(WEIGHTS.values())
    served, last = dict.fromkeys(WEIGHTS, 0), dict.fromkeys(WEIGHTS, 0)
    longest, apart, off = dict.fromkeys(WEIGHTS, 0), 0.0, 0.0
    for number, requests in enumerate(jobs, start=1):
        for request in requests:
            served[request.trial] += request.executions
            last[request.trial] = number
        longest = {t: max(longest[t], number - last[t]) for t in WEIGHTS}
        normal = {t: served[t] / WEIGHTS[t] / FAIR_SHOTS for t in WEIGHTS}
        apart = max(apart, *(abs(normal[t] - normal[u]) for t, u in combinations(WEIGHTS, 2)))
        if number >= len(jobs) // 4:
            total = sum(served.values())
            off = max(off, *(abs(served[t] / total - w / whole) for t, w in WEIGHTS.items()))
    unit = {t: MOST_ROWS[t] / WEIGHTS[t] for t in WEIGHTS}
    total = sum(served.values())
    return {
        "counted_jobs": len(jobs),
        "trials": [
            {
                "trial": t, "weight": w, "most_rows": MOST_ROWS[t], "wanted": w / whole,
                "share": served[t] / total, "longest_jobs_without": longest[t],
            }
            for t, w in WEIGHTS.items()
        ],
        "largest_deviation": off,
        "rows_per_weight_apart": apart,
        "bound": max(unit[t] + unit[u] for t, u in combinations(WEIGHTS, 2)),
    }  # fmt: skip
