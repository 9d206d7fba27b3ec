"""`qstore doctor` and `qstore estimate`: what this machine has, and what a job would take on it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from qstore_ray.cli.commands.train import Set, read_job
from qstore_ray.cli.output import AsJson, examples, facts, note, say, say_json
from qstore_ray.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qstore_ray.backends.aer.options import Precision
    from qstore_ray.backends.ibm.forecast import HardwareCost
    from qstore_ray.estimate import Estimate
    from qstore_ray.job import JobConfig
    from qstore_ray.train.hardware import HardwareForecast

DOCTOR_EXAMPLES = examples("doctor", "doctor --json", "doctor --gpu")
ESTIMATE_EXAMPLES = examples(
    "estimate jobs/digits.toml",
    "estimate jobs/digits.toml --set model.n_qubits=12 --set trainer.num_workers=4",
    "estimate rehearsal.toml --hardware --hardware-option price_per_second=1.6",
    "estimate jobs/digits.toml --json",
)

_CHECKED_ON_GPU: tuple[tuple[str, Precision, int], ...] = (
    ("statevector", "complex128", 6),
    ("statevector", "complex64", 6),
    ("density_matrix", "complex128", 6),
    ("statevector", "complex128", 20),  # where a GPU begins to be worth its start
)
_PACKAGES = ("ray", "qiskit", "qiskit-ibm-runtime", "mlflow", "optuna", "numpy")


def doctor(
    gpu: Annotated[
        bool,
        typer.Option(
            "--gpu",
            help="Also run circuits on the GPU and compare them with the CPU. "
            "The exit code is 4 if no GPU computes correctly.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say which engine runs here, and what else is installed."""
    found = _machine()
    report = _gpu() if gpu else None
    if report is not None:
        found |= report.facts
    if as_json:
        say_json(found)
    else:
        say(facts((name.replace("_", " "), value) for name, value in found.items()))
    if report is not None and not report.works:
        raise typer.Exit(BackendError.exit_code)


def estimate(
    job: Annotated[str, typer.Argument(metavar="JOB.toml", help="The job file.")],
    changes: Set = None,
    hardware: Annotated[
        bool,
        typer.Option(
            "--hardware", help="Forecast the job on the device whose noise it has (noise.device)."
        ),
    ] = False,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--hardware-option",
            metavar="NAME=VALUE",
            help="With --hardware: an option of the backend ibm, such as price_per_second=1.6. "
            "May be repeated.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what training a job would take here, without training it.

    For exact training the seconds are predicted from the operations that the circuit needs. With
    noise, shots or another backend the first steps are taken, counted and timed. A job for IBM's
    hardware is counted, and nothing is signed in to or submitted. So is with --hardware a job that
    rehearses one, with the noise of a device. The start of Ray and the data come on top.
    """
    from qstore_ray.estimate import estimate_job

    with contextlib.redirect_stdout(sys.stderr):
        config = read_job(job, changes or [])
        if hardware or options:
            config = _on_hardware(config, options or [])
        found = estimate_job(config)
    if as_json:
        say_json(asdict(found))
    else:
        say(facts(_described(found)))


def _on_hardware(config: JobConfig, options: list[str]) -> JobConfig:
    """The job on the device that it rehearses; how it differs from the rehearsal is noted."""
    from qstore_ray.config import apply_overrides
    from qstore_ray.train.rehearsal import differences_on_hardware, on_hardware

    trainer = on_hardware(config.trainer, apply_overrides({}, options))
    for said in differences_on_hardware(config.trainer, trainer):
        note(f"note: {said}.")
    return config.model_copy(update={"trainer": trainer})


def _machine() -> dict[str, Any]:
    from qstore_ray.environment import available_cpus
    from qstore_ray.simulate.engines.engines import choose_engine, describe, engines

    chosen = choose_engine("auto")
    missing = [name for name, there in engines().items() if not there]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found: dict[str, Any] = {
        "engine": describe(chosen) + (f"; not installed: {', '.join(missing)}" if missing else ""),
        "processors": available_cpus(),
        "memory": f"{memory / 2**30:.1f} GiB",
        "python": platform.python_version(),
    }
    for package in ("qstore-ray", *_PACKAGES):
        found[package] = _version(package)
    found["aer"] = _aer()
    return found


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _aer() -> str:
    there = [name for name in ("qiskit-aer", "qiskit-aer-gpu") if _version(name) != "not installed"]
    if not there:
        return "not installed: pip install 'qstore-ray[cpu]', or [gpu]"
    if len(there) == 2:
        return "both builds are installed and overwrite each other: uninstall both, then take one"
    return f"{there[0]} {_version(there[0])}"


class _GpuReport(NamedTuple):
    works: bool
    facts: dict[str, str]


def _gpu() -> _GpuReport:
    """Whether a GPU runs circuits here, and how its values and seconds compare."""
    from qstore_ray.backends.aer.installation import check_installation

    build = check_installation()
    from qstore_ray.backends.aer.device import check_gpu, gpu_failure

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    found = {"visible GPUs": "all" if visible is None else visible or "none"}
    failure = gpu_failure()
    if failure:
        hint = "; this is the CPU build: install the extra gpu" if build == "qiskit-aer" else ""
        return _GpuReport(False, {**found, "gpu": f"runs no circuits: {failure}{hint}"})
    works, found = True, {**found, "gpu": "runs circuits"}
    for method, precision, n_qubits in _CHECKED_ON_GPU:
        name = f"{method} {precision} {n_qubits} qubits"
        try:
            check = check_gpu(method, precision, n_qubits)
        except BackendError as error:
            works, found[name] = False, error.message
            continue
        found[name] = (
            f"differs from the CPU by {check.difference:.1e} at most; "
            f"GPU {_time(check.gpu_seconds)}, CPU {_time(check.cpu_seconds)}"
        )
    return _GpuReport(works, found)


def _described(found: Estimate) -> list[tuple[str, str]]:
    if found.hardware is not None:
        return [*_circuit_lines(found), *_hardware_lines(found, found.hardware)]
    how = f"measured over {found.measured_steps} steps" if found.measured_steps else "predicted"
    lines: list[tuple[str, str | None]] = [
        *_circuit_lines(found),
        ("noise", "in training and validation" if found.noise else None),
        ("circuits", f"{found.circuits:,}"),
        ("shots", f"{found.shots:,}" if found.shots else None),
        ("memory", _of(found.memory_bytes, lambda b: f"{_size(b)} a worker at most")),
        ("operations", _of(found.flops_per_step, lambda flops: f"{flops:.3g} a step")),
        ("step", f"{_time(found.step_seconds)} for a whole batch on one core, {how}"),
        ("epoch", _time(found.epoch_seconds)),
        ("all epochs", _time(found.train_seconds)),
        ("test rows", _test_rows(found) if found.test_circuits else None),
    ]
    return [(name, line) for name, line in lines if line is not None]


def _circuit_lines(found: Estimate) -> list[tuple[str, str]]:
    workers = f"on {found.workers} workers" if found.workers else "in this process"
    return [
        ("circuit", f"{found.qubits} qubits, {found.gates} gates, {found.observables} observables"),
        ("compiled", f"{found.rotations} rotations in {found.layers} layers"),
        ("model", f"{found.parameters} parameters"),
        ("training", f"{found.rows} rows, {found.steps} steps, {workers}"),
        ("engine", found.engine),
    ]


def _hardware_lines(found: Estimate, on: HardwareForecast) -> list[tuple[str, str]]:
    price = on.total.money
    lines = [
        ("circuits", f"{found.circuits + found.test_circuits:,}"),
        ("all steps", _cost(on.training)),
        ("validation", _cost(on.validation) if on.validation.jobs else None),
        ("scoring", _cost(on.scoring) if on.scoring.jobs else None),
        ("in all", _cost(on.total)),
        (
            "billed",
            f"{_time(on.total.billed_seconds)}, with the time between the jobs"
            if on.mode == "session"
            else _time(on.total.billed_seconds),
        ),
        ("price", "not known: give price_per_second" if price is None else f"{price:,.2f}"),
        ("step", f"{_time(found.step_seconds)} on the QPU for a whole batch, by IBM's formula"),
        ("budget", f"does not suffice: {on.over_budget}" if on.over_budget else None),
    ]
    return [(name, line) for name, line in lines if line is not None]


def _cost(cost: HardwareCost) -> str:
    jobs = f"{cost.jobs:,} job{'s' * (cost.jobs != 1)}"
    return f"{jobs}, {cost.executions:,} executions, {_time(cost.qpu_seconds)} on the QPU"


def _test_rows(found: Estimate) -> str:
    shots = f", {found.test_shots:,} shots" if found.test_shots else ""
    return f"{found.test_circuits:,} circuits{shots}, {_time(found.test_seconds)}"


def _of(value: float | None, text: Callable[[float], str]) -> str | None:
    return None if value is None else text(value)


def _size(count: float) -> str:
    if count < 2**20:
        return f"{count / 2**10:,.0f} KiB"
    return f"{count / 2**20:,.0f} MiB"


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{1e3 * seconds:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.3g} min"
