"""Estimate the cost of a job before it runs: circuits, shots, operations, memory and time.

If the exact engine does the work, by the adjoint method, the seconds come from its cost model
(`simulate/cost.py`), calibrated on this machine. A job with noise, shots, another backend, a
gradient by parameter shift or an optimizer that searches is counted and timed by taking its first
steps. A job on paid hardware is counted without running anything, and its seconds are those of the
published formula. Starting Ray, reading the data and writing checkpoints are not included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from qstore_ray.job import JobConfig
from qstore_ray.train.first_steps import FirstSteps, Work, measured_work, scoring_work
from qstore_ray.train.hardware import HardwareForecast, hardware_forecast

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.learn.model import QuantumModel
    from qstore_ray.simulate.compile.program import Program
    from qstore_ray.simulate.cones.plan import ConePlan
    from qstore_ray.simulate.cost import Calibration
    from qstore_ray.train.checks import Checked


@dataclass(frozen=True)
class Estimate:
    """The size of a job and the predicted cost of its training on this machine.

    Attributes:
        qubits, gates, observables: size of the circuit. parameters: size of the whole model.
        rotations, layers: size of the compiled circuit, without noise; 0 if it is compiled
            elsewhere.
        cones: of a circuit that is evaluated by light cones, how many parts have each width.
        rows: number of training rows. steps: number of steps in all epochs.
        backend: that runs the circuits. engine: description of it.
        noise: whether the job has noise. measured_steps: how many steps were taken to count and
            time them; 0 if the cost model answered.
        circuits, shots: in all epochs, with validation, as training counts them.
        test_circuits, test_shots, test_seconds: to score the test rows with noise or shots, and
            mitigated; 0 without.
        flops_per_step: operations for the values and gradients of one batch; None if measured.
        memory_bytes: peak memory of one worker's engine; None if it is not known.
        step_seconds: time of one batch on one core. epoch_seconds, train_seconds: time with
            validation, divided among the workers. On paid hardware it is QPU time.
        hardware: what a job on paid hardware is forecast to take there; nothing is submitted, and
            nothing is signed in to.
    """

    qubits: int
    gates: int
    parameters: int
    observables: int
    rotations: int
    layers: int
    rows: int
    steps: int
    workers: int
    backend: str
    engine: str
    noise: bool
    measured_steps: int
    circuits: int
    shots: int
    test_circuits: int
    test_shots: int
    test_seconds: float
    flops_per_step: float | None
    memory_bytes: int | None
    step_seconds: float
    epoch_seconds: float
    train_seconds: float
    cones: tuple[tuple[int, int], ...] = ()
    hardware: HardwareForecast | None = None


def job_model(config: JobConfig, dataset: Dataset) -> QuantumModel:
    """The model that a job trains on its data, untrained.

    Raises:
        QStoreError: see `build_model`.
    """
    from qstore_ray.learn.model import build_model

    return build_model(
        config.model,
        n_features=dataset.schema.n_features,
        n_classes=len(dataset.classes) or None,
        task=dataset.config.task,
        n_targets=dataset.schema.n_targets,
    )


def estimate_job(
    config: JobConfig, dataset: Dataset | None = None, *, sample: bool = False
) -> Estimate:
    """What training this job takes on this machine; the data are loaded, no model is kept.

    Args:
        dataset: the job's data, if they are loaded.
        sample: time steps of one and two rows where steps are timed; see `measured_work`.

    Raises:
        QStoreError: see `DatasetLoader.load` and `QuantumTrainer.fit`: what training would refuse.
    """
    from qstore_ray.data.loader import DatasetLoader
    from qstore_ray.train.checks import checked

    trainer = config.trainer
    dataset = DatasetLoader.load(config.dataset) if dataset is None else dataset
    job = checked(config.model, trainer, dataset)
    circuit = _compiled(config, job)
    hardware = hardware_forecast(trainer, job, dataset, confusion=config.track.figures)
    if hardware is not None:
        return _on_hardware(config, job, circuit, hardware)
    if circuit is not None and _is_exact(config):
        found = _predicted(config, job, circuit)
    else:
        found = measured_work(trainer, job, sample=sample)
    scoring = scoring_work(trainer, job, dataset, sample=sample)
    epoch = found.step.seconds * found.steps_per_epoch + found.validation.seconds
    epoch /= max(1, trainer.max_workers)
    every = trainer.epochs
    return Estimate(
        **_sizes(config, job, circuit),
        engine=found.engine,
        measured_steps=found.measured_steps,
        circuits=round(
            every * (found.step.circuits * found.steps_per_epoch + found.validation.circuits)
        ),
        shots=round(every * (found.step.shots * found.steps_per_epoch + found.validation.shots)),
        test_circuits=round(scoring.circuits),
        test_shots=round(scoring.shots),
        test_seconds=scoring.seconds,
        flops_per_step=found.flops_per_step,
        memory_bytes=found.memory_bytes,
        step_seconds=found.step.seconds,
        epoch_seconds=epoch,
        train_seconds=epoch * every,
    )


class _Sizes(TypedDict):
    qubits: int
    gates: int
    parameters: int
    observables: int
    rotations: int
    layers: int
    cones: tuple[tuple[int, int], ...]
    rows: int
    steps: int
    workers: int
    backend: str
    noise: bool


def _compiled(config: JobConfig, job: Checked) -> Program | ConePlan | None:
    """The circuit as the exact simulator runs it; None for a wide one that runs elsewhere."""
    from qstore_ray.backends.light_cones import is_cut
    from qstore_ray.circuits.library.library import WHOLE_QUBITS
    from qstore_ray.simulate.compile.compiler import compile_program
    from qstore_ray.simulate.cones.plan import plan_cones

    template, observables = job.model.circuit.template, job.model.observables
    asked = bool(config.trainer.backend_options.get("light_cones", False))
    if config.trainer.backend == "statevector" and is_cut(template, asked):
        return plan_cones(template, observables)
    return compile_program(template, observables) if template.n_qubits <= WHOLE_QUBITS else None


def _sizes(config: JobConfig, job: Checked, circuit: Program | ConePlan | None) -> _Sizes:
    from qstore_ray.simulate.cones.size import CompiledSize, compiled_size

    trainer, rows = config.trainer, job.held.n_rows
    size = CompiledSize(0, 0) if circuit is None else compiled_size(circuit)
    return {
        "qubits": job.model.circuit.template.n_qubits,
        "gates": len(job.model.circuit.template.ops),
        "parameters": job.model.n_parameters,
        "observables": len(job.model.observables),
        "rotations": size.rotations,
        "layers": size.layers,
        "cones": size.cones,
        "rows": rows,
        "steps": -(-rows // (trainer.batch_size * trainer.accumulate)) * trainer.epochs,
        "workers": trainer.max_workers,
        "backend": trainer.backend,
        "noise": trainer.has_noise,
    }


def _on_hardware(
    config: JobConfig, job: Checked, circuit: Program | ConePlan | None, found: HardwareForecast
) -> Estimate:
    """Seconds on the QPU: nothing was timed, and a queue's length nobody knows."""
    training, validation, scoring = found.training, found.validation, found.scoring
    trained = training.qpu_seconds + validation.qpu_seconds
    return Estimate(
        **_sizes(config, job, circuit),
        engine=f"{found.device}, in mode {found.mode}",
        measured_steps=0,
        circuits=found.circuits[0] + found.circuits[1],
        shots=training.executions + validation.executions,
        test_circuits=found.circuits[2],
        test_shots=scoring.executions,
        test_seconds=scoring.qpu_seconds,
        flops_per_step=None,
        memory_bytes=None,
        step_seconds=found.step.qpu_seconds,
        epoch_seconds=trained / config.trainer.epochs,
        train_seconds=trained,
        hardware=found,
    )


def _is_exact(config: JobConfig) -> bool:
    """Whether the cost model knows the job: exact values, and the adjoint gradient of each row."""
    from qstore_ray.learn.optimizers import get_optimizer
    from qstore_ray.learn.optimizers.base import SearchOptimizer

    trainer = config.trainer
    searches = isinstance(
        get_optimizer(trainer.optimizer, trainer.optimizer_options), SearchOptimizer
    )
    return (
        trainer.backend == "statevector"
        and not trainer.has_noise
        and "shots" not in trainer.backend_options
        and trainer.gradient in ("auto", "adjoint")
        and not searches
    )


def _predicted(config: JobConfig, job: Checked, circuit: Program | ConePlan) -> FirstSteps:
    from qstore_ray.backends.statevector import StatevectorBackend
    from qstore_ray.simulate.cones.size import circuit_cost
    from qstore_ray.simulate.cost import calibrate
    from qstore_ray.simulate.engines.engines import describe

    backend = StatevectorBackend(**config.trainer.exact_options())
    speed: Calibration = calibrate(backend.engine, backend.precision)
    rows, validation = job.held.n_rows, job.held.n_val
    batch = min(config.trainer.batch_size * config.trainer.accumulate, rows)
    step = circuit_cost(circuit, batch, rows_gradient=job.model.rows_gradient, calibration=speed)
    scored = circuit_cost(circuit, validation, gradient=False, calibration=speed).seconds
    return FirstSteps(
        Work(step.seconds, batch, 0),
        Work(scored, validation, 0),
        rows / batch,
        describe(backend.engine),
        flops_per_step=step.flops,
        memory_bytes=step.memory,
    )
