"""`qstore doctor` and `qstore estimate`: what this machine has, and what a job would take on it."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qstore_ray.cli.commands.train import Set, read_job
from qstore_ray.cli.output import AsJson, examples, facts, note, say, say_json
from qstore_ray.errors import BackendError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qstore_ray.backends.ibm.forecast import HardwareCost
    from qstore_ray.doctor.diagnosis import Diagnosis
    from qstore_ray.estimate import Estimate
    from qstore_ray.job import JobConfig
    from qstore_ray.train.hardware import HardwareForecast

DOCTOR_EXAMPLES = examples("doctor", "doctor jobs/digits.toml", "doctor --gpu --json")
ESTIMATE_EXAMPLES = examples(
    "estimate jobs/digits.toml",
    "estimate jobs/digits.toml --set model.n_qubits=12 --set trainer.num_workers=4",
    "estimate rehearsal.toml --hardware --hardware-option price_per_second=1.6",
    "estimate jobs/digits.toml --json",
)

_PACKAGES = ("ray", "qiskit", "qiskit-ibm-runtime", "mlflow", "optuna", "numpy")
_MARKS = {"ok": "", "note": "NOTE  ", "fault": "FAULT  "}


def doctor(
    job: Annotated[
        str | None,
        typer.Argument(metavar="JOB.toml", help="Whose storage, cluster and MLflow to look at."),
    ] = None,
    changes: Set = None,
    gpu: Annotated[
        bool,
        typer.Option("--gpu", help="Also run circuits on the GPU and compare them with the CPU."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say whether this machine can train, and what to type if it cannot.

    Looks at the packages, processors, limits of a container, memory, disks, the Ray cluster and its
    token, the storage and MLflow. Nothing is started, and no file is left. The exit code is 4 if
    something will fail.
    """
    from qstore_ray.doctor import examine

    if changes and job is None:
        raise UsageError("no job is given to change", field="--set", fix="Give the job file, too.")
    found = _versions()
    if job is None:
        found += examine()
    else:
        config = read_job(job, changes or [])
        found += examine(config.storage, config.track, config.cluster.address)
    if gpu:
        from qstore_ray.doctor.gpu import examine_gpu

        found += examine_gpu()
    if as_json:
        shown: dict[str, Any] = {each.name: each.found for each in found}
        say_json({**shown, "findings": [asdict(each) for each in found]})
    else:
        say(facts((each.name, _line(each)) for each in found))
    if any(each.state == "fault" for each in found):
        raise typer.Exit(BackendError.exit_code)


def _line(finding: Diagnosis) -> str:
    advice = f". {finding.advice}" if finding.advice else ""
    return f"{_MARKS[finding.state]}{finding.found}{advice}"


def _versions() -> list[Diagnosis]:
    from qstore_ray.doctor.diagnosis import Diagnosis
    from qstore_ray.doctor.packages import installed
    from qstore_ray.simulate.engines.engines import (
        TO_GET_KERNELS,
        WITHOUT_KERNELS,
        describe,
        engines,
    )

    there = engines()
    return [
        Diagnosis("engine", "ok", describe("native"))
        if there["native"]
        else Diagnosis("engine", "note", f"numpy; {WITHOUT_KERNELS}", TO_GET_KERNELS),
        *(Diagnosis(name, "ok", installed(name) or "not installed") for name in _PACKAGES),
    ]


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
        *_compiled_lines(found),
        ("model", f"{found.parameters} parameters"),
        ("training", f"{found.rows} rows, {found.steps} steps, {workers}"),
        ("engine", found.engine),
    ]


def _compiled_lines(found: Estimate) -> list[tuple[str, str]]:
    if not found.cones:
        text = f"{found.rotations} rotations in {found.layers} layers"
        return [("compiled", text)] if found.rotations else []
    parts = sum(count for _, count in found.cones)
    widths = ", ".join(f"{count} of {width}" for width, count in found.cones)
    return [
        ("light cones", f"{parts} parts of at most {found.cones[0][0]} qubits: {widths}"),
        ("compiled", f"{found.rotations} rotations in all parts, at most {found.layers} layers"),
    ]


def _hardware_lines(found: Estimate, on: HardwareForecast) -> list[tuple[str, str]]:
    price = on.total.money
    lines = [
        ("circuits", f"{found.circuits + found.test_circuits:,}"),
        ("all steps", _cost(on.training)),
        ("validation", _cost(on.validation) if on.validation.jobs else None),
        ("scoring", _cost(on.scoring) if on.scoring.jobs else None),
        ("in all", ("at most " if on.at_most else "") + _cost(on.total)),
        ("at least", _cost(on.least) if on.least != on.total else None),
        ("may be less", "; ".join(on.at_most) or None),
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
