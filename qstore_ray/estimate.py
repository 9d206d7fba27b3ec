"""Estimate the cost of a job before it runs: circuit size, operations, memory and time.

The counts are those of the compiled program. The seconds come from the cost model of the exact
engine (`simulate/cost.py`), calibrated on this machine. They exclude starting Ray, reading the data
and writing checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qstore_ray.errors import UsageError
from qstore_ray.job import JobConfig

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.learn.model import QuantumModel


@dataclass(frozen=True)
class Estimate:
    """The size of a job and the predicted cost of its training on this machine.

    Attributes:
        qubits, gates, observables: size of the circuit. parameters: size of the whole model.
        rotations, layers: size of the compiled circuit.
        rows: number of training rows. steps: number of steps in all epochs.
        engine: description of the engine that runs.
        flops_per_step: operations for the values and gradients of one batch.
        memory_bytes: peak memory of one worker's engine.
        step_seconds: time of one batch on one core. epoch_seconds, train_seconds: time with
            validation, divided among the workers.
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
    engine: str
    flops_per_step: float
    memory_bytes: int
    step_seconds: float
    epoch_seconds: float
    train_seconds: float


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


def estimate_job(config: JobConfig) -> Estimate:
    """What training this job takes on this machine; the data are loaded, nothing is trained.

    Raises:
        UsageError: the backend is not the exact simulator, whose cost is what is known.
        QStoreError: see `DatasetLoader.load` and `build_model`.
    """
    from qstore_ray.backends.statevector import StatevectorBackend
    from qstore_ray.data.loader import DatasetLoader
    from qstore_ray.simulate.compile.compiler import compile_program
    from qstore_ray.simulate.cost import calibrate, cost
    from qstore_ray.simulate.engines.engines import describe

    if config.trainer.backend != "statevector":
        raise UsageError(
            "only the exact simulator's cost is known",
            field="trainer.backend",
            value=config.trainer.backend,
            fix="Estimate with trainer.backend = 'statevector'.",
        )
    dataset = DatasetLoader.load(config.dataset)
    sizes = {split: len(dataset.materialize(split)[1]) for split in ("train", "val")
             if split in dataset.plans}  # fmt: skip
    model = job_model(config, dataset)
    backend = StatevectorBackend(**config.trainer.exact_options())
    backend.check_width(model.circuit.template)
    program = compile_program(model.circuit.template, model.observables)
    speed = calibrate(backend.engine, backend.precision)
    batch = min(config.trainer.batch_size, sizes["train"])
    steps = -(-sizes["train"] // config.trainer.batch_size)
    step = cost(program, batch, rows_gradient=model.rows_gradient, calibration=speed)
    training = step.seconds * sizes["train"] / batch
    validation = cost(program, sizes.get("val", 0), gradient=False, calibration=speed).seconds
    workers = max(1, config.trainer.num_workers)
    epoch = (training + validation) / workers
    return Estimate(
        qubits=program.n_qubits,
        gates=len(model.circuit.template.ops),
        parameters=model.n_parameters,
        observables=program.n_observables,
        rotations=len(program.x),
        layers=len(program.layers),
        rows=sizes["train"],
        steps=steps * config.trainer.epochs,
        workers=config.trainer.num_workers,
        engine=describe(backend.engine),
        flops_per_step=step.flops,
        memory_bytes=step.memory,
        step_seconds=step.seconds,
        epoch_seconds=epoch,
        train_seconds=epoch * config.trainer.epochs,
    )
