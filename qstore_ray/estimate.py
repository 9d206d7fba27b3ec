"""What a job will cost before it runs: its circuit, operations, memory and time.

The counts are those of the program that would run, and the seconds come from the cost model of the
exact engine (`simulate/cost.py`), calibrated on this machine. They are the engine's seconds: the
start of Ray, the data and the checkpoints come on top.
"""

from __future__ import annotations

from dataclasses import dataclass

from qstore_ray.errors import UsageError
from qstore_ray.job import JobConfig


@dataclass(frozen=True)
class Estimate:
    """The size of a job and what its training should take here.

    Attributes:
        qubits, gates, parameters, observables: of the circuit (parameters: of the whole model).
        rotations, layers: what is left of the circuit after compilation.
        rows: of the training split; `steps` in all epochs.
        engine: what runs, in words.
        flops_per_step: of values and gradients of one batch.
        memory_bytes: the most that one worker's engine holds.
        step_seconds: of one batch on one core. epoch_seconds, train_seconds: with validation,
            spread over the workers.
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


def estimate_job(config: JobConfig) -> Estimate:
    """What training this job takes on this machine; the data are loaded, nothing is trained.

    Raises:
        UsageError: the backend is not the exact simulator, whose cost is what is known.
        QStoreError: see `DatasetLoader.load` and `build_model`.
    """
    from qstore_ray.backends.statevector import StatevectorBackend
    from qstore_ray.data.loader import DatasetLoader
    from qstore_ray.learn.model import build_model
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
    model = build_model(
        config.model,
        n_features=dataset.schema.n_features,
        n_classes=len(dataset.classes) or None,
        task=dataset.config.task,
        n_targets=dataset.schema.n_targets,
    )
    backend = StatevectorBackend(**config.trainer.backend_options)
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
