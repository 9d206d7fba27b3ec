"""What privacy costs: accuracy at an ε, and processor time of a step."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import stats

from federation import data
from federation.speed import interleaved
from qstore_ray import ModelConfig, QuantumTrainer, TrainerConfig
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.learn.clipping import clip_rows
from qstore_ray.learn.model import build_model
from qstore_ray.learn.optimizers import get_optimizer
from qstore_ray.learn.privacy.noise import NoiseKey
from qstore_ray.learn.privacy.sampling import PoissonBatches
from qstore_ray.learn.schedules import Horizon
from qstore_ray.train.job import TrainingRows
from qstore_ray.train.loop.objective import TrainingObjective
from qstore_ray.train.loop.reducer import LocalReducer
from qstore_ray.train.loop.source import HeldBatches
from qstore_ray.train.loop.stepper import Stepper
from qstore_ray.train.privacy.steps import PrivacyPlan, PrivateTraining

EPSILONS, DELTA = (1.0, 3.0, 8.0), 1e-4
EPOCHS, BATCH, CLIP, RATE = 30, 256, 0.5, 0.1
STEP_PAIRS, STEPS_EACH = 20, 10
SIZES = ((4, 2, 64), (8, 2, 64), (8, 4, 64), (8, 4, 256), (10, 4, 128))  # qubits, layers, batch


def config(seed: int, epsilon: float | None) -> TrainerConfig:
    """The same training of both models, with privacy or without."""
    private = {"epsilon": epsilon, "delta": DELTA, "clip": CLIP}
    return TrainerConfig(
        epochs=EPOCHS, batch_size=BATCH, learning_rate=RATE, schedule="constant", seed=seed,
        privacy=None if epsilon is None else private,
    )  # fmt: skip


def quantum(dataset: Dataset, seed: int, epsilon: float | None) -> dict[str, float]:
    """Test accuracy and ε of the circuit of the digits job, with two layers."""
    model = ModelConfig.from_dict(data.model("digits").to_dict() | {"layers": 2})
    with tempfile.TemporaryDirectory() as folder:
        result = QuantumTrainer(
            model, config(seed, epsilon), storage=folder, track=data.SILENT
        ).fit(dataset)
    spent = {} if result.privacy is None else {"epsilon": result.privacy.epsilon}
    return {"accuracy": result.metrics["test_accuracy"], **spent}


def logistic(dataset: Dataset, seed: int, epsilon: float | None) -> float:
    """Test accuracy of logistic regression by the same steps: sampling, clipping, noise, Adam."""
    x, y = _with_ones(dataset.materialize("train")[0]), dataset.materialize("train")[1]
    classes, asked = len(dataset.classes), config(seed, epsilon)
    optimizer = get_optimizer("adam", {})
    theta: Any = np.zeros(x.shape[1] * classes)
    state: Any = optimizer.init(theta)
    plan = None if epsilon is None else PrivacyPlan.of(asked, len(x))
    key = NoiseKey.drawn()
    batches = PoissonBatches(n_rows=len(x), batch_size=BATCH, key=key)
    step = 0
    for epoch in range(EPOCHS):
        for index in batches.of_epoch(epoch):
            rows = x[index]
            slopes = _softmax(rows @ theta.reshape(-1, classes)) - np.eye(classes)[y[index]]
            gradients = (rows[:, :, None] * slopes[:, None, :]).reshape(len(rows), -1)
            if plan is None:
                gradient = gradients.sum(axis=0) / BATCH
            else:
                noise = plan.noise_multiplier * CLIP * key.normal(step, len(theta))
                gradient = (clip_rows(gradients, CLIP).sum(axis=0) + noise) / BATCH
            theta, state = optimizer.update(state, theta, gradient, RATE)
            step += 1
    x_test, y_test = dataset.materialize("test")
    answers = (_with_ones(x_test) @ theta.reshape(-1, classes)).argmax(axis=1)
    return float((answers == y_test).mean())


def accuracies(seeds: int) -> list[dict[str, Any]]:
    """Both models at each ε, and without privacy."""
    rows = []
    for seed in range(seeds):
        dataset = data.load("digits", seed, None)
        for epsilon in (*EPSILONS, None):
            found = quantum(dataset, seed, epsilon)
            row = {"case": "private", "seed": seed, "epsilon": epsilon, "delta": DELTA}
            row |= {"quantum": found["accuracy"], "spent": found.get("epsilon")}
            rows.append({**row, "logistic": logistic(dataset, seed, epsilon)})
            print(rows[-1], flush=True)
    return rows


def steps() -> list[dict[str, Any]]:
    """A private step beside a plain one of the same expected rows."""
    dataset = data.load("digits", 0, None)
    x, y = dataset.materialize("train")
    rows = []
    for qubits, layers, batch in SIZES:
        table = data.model("digits").to_dict() | {"n_qubits": qubits, "layers": layers}
        width = min(x.shape[1], 2 * qubits)
        built = build_model(ModelConfig.from_dict(table), n_features=width, n_classes=10, task=None)
        held = TrainingRows(np.ascontiguousarray(x[:, :width]), y, x[:0, :width], y[:0])
        works = {
            name: _stepping(built, held, batch, private)
            for name, private in (("plain", None), ("private", {"noise_multiplier": 1.0}))
        }
        about = {
            "case": "private_step", "qubits": qubits, "layers": layers, "batch": batch,
            "parameters": built.n_parameters, "goal": 1.3,
        }  # fmt: skip
        each = {
            name: lambda each=each: [next(each) for _ in range(STEPS_EACH)]
            for name, each in works.items()
        }
        found = interleaved(STEP_PAIRS, **each)
        found |= {name: found[name] / STEPS_EACH for name in ("plain_s", "private_s")}
        rows.append({**about, **found})
        print(rows[-1], flush=True)
    return rows


def _stepping(built: Any, rows: TrainingRows, batch: int, private: Any) -> Iterator[None]:
    """Endless steps of a training in this process."""
    asked = TrainerConfig(epochs=1000, batch_size=batch, privacy=private)
    objective = TrainingObjective(built, asked.open_backend(), asked.gradient, LocalReducer())
    kept = None
    if private is not None:
        plan = PrivacyPlan.of(asked, rows.n_rows)
        kept = PrivateTraining(plan, NoiseKey.drawn(), LocalReducer())
    stepper = Stepper(asked, objective, kept)
    source = HeldBatches(asked, rows, kept)
    state = stepper.begin(built.initial(0), Horizon(100_000, 100))
    for epoch in range(1000):
        for index in source.steps(epoch, 0):
            if index.count != batch and private is None:
                continue  # a last batch of few rows
            state, _ = stepper.step(state, index)
            yield


def _with_ones(x: Any) -> Any:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)


def _softmax(values: Any) -> Any:
    found = np.exp(values - values.max(axis=1, keepdims=True))
    return found / found.sum(axis=1, keepdims=True)


def spread(values: list[float]) -> dict[str, float]:
    """Mean, and the half-width of its 95 % interval by Student's t; NaN for one value."""
    count, half = len(values), float("nan")
    if count > 1:
        half = float(stats.t.ppf(0.975, count - 1)) * statistics.stdev(values) / count**0.5
    return {"mean": statistics.mean(values), "half_width_95": half}
