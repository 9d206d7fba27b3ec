"""The check of advantage as scikit-learn and PennyLane give it: one fold of every contender.

Circuits run on default.qubit: a whole training step (circuit, loss, gradient, Adam) is one function
that JAX compiles once for each circuit, mapped over a batch of fixed size, whose last rows may have
weight 0. Kernels take the states of all rows from one broadcasted execution. The classical models
are scikit-learn's, tuned by its own cross-validation.

    outputs SPEC.json          →  outputs of given parameters on given rows, to compare
    fold SPEC.json SHARE       →  seconds of each contender in the first fold; models train in
                                  SHARE of the 12 inner fits, and the rest is scaled

This file needs PennyLane, JAX and scikit-learn only.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from functools import reduce
from operator import matmul
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, RepeatedStratifiedKFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

GATES = {"ry": qml.RY, "rz": qml.RZ, "u": qml.U3, "cx": qml.CNOT}
Rows = np.ndarray


class Machine:
    """The circuit of a spec, with or without its gates on two qubits, compiled for training."""

    def __init__(self, spec: dict[str, Any], *, twin: bool) -> None:
        self.spec = spec
        self.ops = [op for op in spec["ops"] if not (twin and len(op[1]) > 1)]
        self.observables = [reduce(matmul, (qml.Z(q) for q in o)) for o in spec["observables"]]
        device = qml.device("default.qubit", wires=spec["n_qubits"])
        node = qml.QNode(self._values, device, interface="jax", diff_method="backprop")
        one = jax.vmap(lambda row, params: jnp.stack(node(row, params)), in_axes=(0, None))
        self._states = qml.QNode(self._state, device, diff_method=None)

        def outputs(theta: dict[str, Any], x: Any) -> Any:
            rows = jnp.tile(x, spec["repeats"]) * theta["scale"]
            return one(rows, theta["circuit"]) @ theta["weights"] + theta["bias"]

        def loss(theta: dict[str, Any], x: Any, y: Any, weight: Any) -> Any:
            logs = jax.nn.log_softmax(outputs(theta, x))
            return -(weight * logs[jnp.arange(len(y)), y]).sum() / weight.sum()

        def step(state: Any, x: Any, y: Any, weight: Any, rate: Any) -> Any:
            theta, first, second, t = state
            gradient = jax.grad(loss)(theta, x, y, weight)
            first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
            second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)
            t = t + 1.0
            theta = jax.tree.map(
                lambda p, m, v: (
                    p - rate * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)
                ),
                theta,
                first,
                second,
            )
            return theta, first, second, t

        self.outputs, self.step = jax.jit(outputs), jax.jit(step)

    def _gates(self, row: Any, params: Any) -> None:
        for gate, qubits, angles in self.ops:
            values = [
                factor * (row if kind == "row" else params)[slot] + offset
                for kind, slot, factor, offset in angles
            ]
            GATES[gate](*values, wires=qubits)

    def _values(self, row: Any, params: Any) -> Any:
        self._gates(row, params)
        return [qml.expval(observable) for observable in self.observables]

    def _state(self, row: Any, params: Any) -> Any:
        self._gates(row, params)
        return qml.state()

    def initial(self, seed: int, spread: float) -> dict[str, Any]:
        """Parameters at the start, in the spec's sizes."""
        rng, spec = np.random.default_rng(seed), self.spec
        count, classes = len(self.observables), spec["classes"]
        return {
            "circuit": jnp.asarray(rng.normal(scale=spread, size=spec["params"])),
            "scale": jnp.ones(spec["rows"]),
            "weights": jnp.asarray(rng.normal(size=(count, classes)) / np.sqrt(count)),
            "bias": jnp.zeros(classes),
        }

    def train(self, x: Rows, y: Rows, held_out: Rows, rate: float, spread: float) -> Rows:
        """Train for the spec's epochs, with a cosine schedule; the classes of the other rows."""
        spec = self.spec
        size, epochs = spec["batch_size"], spec["epochs"]
        rng = np.random.default_rng(0)
        theta = self.initial(0, spread * spec["initial_spread"])
        zeros = jax.tree.map(jnp.zeros_like, theta)
        state, per_epoch = (theta, zeros, zeros, 0.0), -(-len(x) // size)
        for epoch in range(epochs):
            order = rng.permutation(len(x))
            for number in range(per_epoch):
                part = order[number * size : (number + 1) * size]
                rows = np.resize(part, size)
                weight = (np.arange(size) < len(part)).astype(float)
                done = (epoch * per_epoch + number) / (epochs * per_epoch)
                now = rate * spec["learning_rate"] * 0.5 * (1 + np.cos(np.pi * done))
                state = self.step(state, x[rows], y[rows], weight, now)
        return self.answer(state[0], held_out).argmax(axis=1)

    def answer(self, theta: dict[str, Any], x: Rows) -> Rows:
        """Outputs (N, K), in batches of the compiled size."""
        size = self.spec["batch_size"]
        padded = np.resize(x, (-(-len(x) // size) * size, x.shape[1]))
        parts = [self.outputs(theta, padded[i : i + size]) for i in range(0, len(padded), size)]
        return np.concatenate([np.asarray(part) for part in parts])[: len(x)]

    def kernel(self, x: Rows, y: Rows, held_out: Rows, c: float, width: float) -> Rows:
        """An SVM with the fidelity kernel of the circuit at its initial parameters."""
        params = np.asarray(self.initial(0, self.spec["initial_spread"])["circuit"])
        known, asked = (
            np.asarray(self._states(width * np.tile(rows, self.spec["repeats"]).T, params))
            for rows in (x, held_out)
        )
        machine = SVC(kernel="precomputed", C=c).fit(np.abs(known.conj() @ known.T) ** 2, y)
        return machine.predict(np.abs(asked.conj() @ known.T) ** 2)


def prepared(spec: dict[str, Any], x: Rows, other: Rows) -> tuple[Rows, Rows]:
    """Principal components times a factor, fitted on `x`."""
    fitted = PCA(spec["components"], svd_solver="full").fit(x)
    return spec["factor"] * fitted.transform(x), spec["factor"] * fitted.transform(other)


def quantum(
    fit: Callable[..., Rows], settings: list[list[float]], parts: Any, final: Any, share: int
) -> dict[str, float]:
    """Tune over the settings and inner folds, of which `share` are timed; then fit the best."""
    every = [(setting, part) for setting in settings for part in parts]
    scores: dict[int, list[float]] = {i: [] for i in range(len(settings))}
    began = (time.perf_counter(), time.process_time())
    fit(*_arrays(final, brief=True), *settings[0])  # compiles
    compiled = (time.perf_counter(), time.process_time())
    for setting, part in every[:share]:
        x, y, held_out, labels = part
        found = balanced_accuracy_score(labels, fit(x, y, held_out, *setting))
        scores[settings.index(setting)].append(found)
    inner = (time.perf_counter(), time.process_time())
    means = [np.mean(scores[i]) if scores[i] else 0.0 for i in range(len(settings))]
    x, y, held_out, labels = final
    predicted = fit(x, y, held_out, *settings[int(np.argmax(means))])
    end = (time.perf_counter(), time.process_time())
    whole = len(every) / share
    wall, cpu = ((c - b) * whole + (d - c) for b, c, d in zip(compiled, inner, end, strict=True))
    return {
        "wall_s": wall, "cpu_s": cpu, "compile_wall_s": compiled[0] - began[0],
        "compile_cpu_s": compiled[1] - began[1], "timed": share, "of": len(every),
        "score": float(balanced_accuracy_score(labels, predicted)),
    }  # fmt: skip


def _arrays(part: Any, *, brief: bool) -> tuple[Rows, Rows, Rows]:
    x, y, held_out, _ = part
    return (x[:2], y[:2], held_out[:1]) if brief else (x, y, held_out)


def classical(x: Rows, y: Rows, held_out: Rows, labels: Rows) -> dict[str, dict[str, float]]:
    """The four classical models, each tuned over four settings by three folds."""
    boosted = HistGradientBoostingClassifier(
        max_iter=60, min_samples_leaf=5, early_stopping=False, random_state=0
    )
    mlp = MLPClassifier(max_iter=200, learning_rate_init=0.01, random_state=0)
    models: dict[str, tuple[Any, Any]] = {
        "logistic_regression": (LogisticRegression(max_iter=2000), {"C": [0.1, 1.0, 10.0, 100.0]}),
        "rbf_svm": (
            SVC(),
            [
                {"C": [1.0, 10.0], "gamma": ["scale"]},
                {"C": [10.0], "gamma": [0.5]},
                {"C": [100.0], "gamma": [0.02]},
            ],
        ),
        "gradient_boosting": (boosted, {"learning_rate": [0.1, 0.3], "max_depth": [2, 4]}),
        "mlp": (mlp, {"hidden_layer_sizes": [(16,), (64,)], "alpha": [1e-4, 1e-1]}),
    }
    found = {}
    for name, (model, grid) in models.items():
        step = type(model).__name__.lower()
        grids = grid if isinstance(grid, list) else [grid]
        named = [{f"{step}__{key}": values for key, values in each.items()} for each in grids]
        folds = StratifiedKFold(3, shuffle=True, random_state=0)
        began = (time.perf_counter(), time.process_time())
        search = GridSearchCV(make_pipeline(StandardScaler(), model), named, cv=folds).fit(x, y)
        score = balanced_accuracy_score(labels, search.predict(held_out))
        wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
        found[name] = {"wall_s": wall, "cpu_s": cpu, "score": float(score)}
    return found


def first_fold(spec: dict[str, Any], x: Rows, y: Rows, share: int) -> dict[str, Any]:
    """Seconds of all contenders in the first fold."""
    cut = RepeatedStratifiedKFold(n_splits=5, n_repeats=2, random_state=0)
    train, test = next(cut.split(x, y))
    inner = StratifiedKFold(3, shuffle=True, random_state=0).split(x[train], y[train])
    parts = []
    for fit, rest in inner:
        own, other = prepared(spec, x[train][fit], x[train][rest])
        parts.append((own, y[train][fit], other, y[train][rest]))
    own, other = prepared(spec, x[train], x[test])
    final = (own, y[train], other, y[test])
    found: dict[str, Any] = {}
    for name in ("model", "model_twin", "kernel", "kernel_twin"):
        machine = Machine(spec, twin=name.endswith("twin"))
        if name.startswith("kernel"):
            settings = [[c, width] for c in (1.0, 30.0) for width in (1.0, 0.3)]
            found[name] = quantum(machine.kernel, settings, parts, final, 12)
        else:
            settings = [[1.0, 1.0], [0.3, 1.0], [2.0, 1.0], [1.0, 4.0]]
            found[name] = quantum(machine.train, settings, parts, final, share)
        print(name, found[name], file=sys.stderr, flush=True)
    return found | classical(x[train], y[train], x[test], y[test])


def main() -> None:
    """One command."""
    warnings.simplefilter("ignore")
    command, path = sys.argv[1], Path(sys.argv[2])
    spec = json.loads(path.read_text())
    with np.load(path.with_suffix(".npz")) as file:
        arrays = {name: file[name] for name in file.files}
    if command == "outputs":
        names = ("circuit", "scale", "weights", "bias")
        theta = {name: jnp.asarray(arrays[name]) for name in names}
        with jax.disable_jit():  # to compile takes longer than to run once
            answers = {
                name: Machine(spec, twin=name == "twin").outputs(theta, arrays["features"]).tolist()
                for name in ("model", "twin")
            }
    else:
        answers = first_fold(spec, arrays["x"], arrays["y"], int(sys.argv[3]))
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
