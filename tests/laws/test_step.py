"""The laws of one training step: right gradients, blocks that see nothing but themselves, and
outputs that depend on every feature and every parameter.
"""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from qstore_ray.backends.aer import AerBackend
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.meter import metered
from qstore_ray.backends.mitigation.backend import open_mitigated
from qstore_ray.backends.mitigation.config import MitigationConfig
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.library.library import ANSATZE, ENCODINGS
from qstore_ray.learn import step
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.gradients import get_gradient
from qstore_ray.learn.losses import LOSSES
from qstore_ray.learn.model import QuantumModel, build_model

# In general position: each sees every rotation, and none vanishes where the state is real.
OBSERVABLES = [
    text.replace("q", str(qubit))
    for qubit in range(3)
    for text in ("Xq + 0.5*Zq", "Zq - 0.3*Yq", "Yq + 0.7*Xq")
]
LABELS, NUMBERS = 3, 2  # of a row, where it has several
CLASSES = {
    "cross_entropy": 3,
    "binary_cross_entropy": 2,
    "hinge": 2,
    "multilabel_cross_entropy": LABELS,
    **dict.fromkeys(("mse", "mae", "huber", "compression", "compression_local")),
}
TASKS = {"multilabel_cross_entropy": "multilabel"}
COMPRESSION = {"head": "none", "observables": "z", "trash_qubits": [0, 2]}
FEATURES = {"dense_angle": 6, "amplitude": 7, "hamiltonian": 2}

NUMPY = StatevectorBackend("numpy")

every_loss = pytest.mark.parametrize("loss", LOSSES)


def _model(n_classes: int | None = 3, n_targets: int = 1, **fields) -> QuantumModel:
    fields = {"n_qubits": 3, "layers": 1, "observables": OBSERVABLES, **fields}
    if str(fields.get("loss")).startswith("compression"):
        fields |= COMPRESSION
    n_features = FEATURES.get(fields.get("encoding", "angle"), 3)
    if fields.get("pre_layers"):
        fields["pre_layers"] = [*fields["pre_layers"], n_features]
        n_features = 5
    return build_model(
        ModelConfig(**fields),
        n_features=n_features,
        n_classes=n_classes,
        task=TASKS.get(fields.get("loss", "auto")),
        n_targets=n_targets,
    )


def _theta(model: QuantumModel) -> np.ndarray:
    """Parameters in general position: nothing is zero, one, or equal to something else."""
    return np.random.default_rng(1).uniform(0.3, 1.7, model.n_parameters)


def _rows(model: QuantumModel, n_rows: int, *, bits: bool = False):
    rng = np.random.default_rng(2)
    shape = (n_rows, model.n_features)
    x = rng.integers(0, 2, shape).astype(float) if bits else rng.uniform(-2.0, 2.0, shape)
    if model.loss.goal == "classification":
        return x, rng.integers(0, CLASSES[model.loss_name], n_rows)
    if model.loss.goal == "multilabel":
        return x, rng.integers(0, 2, (n_rows, LABELS))
    return x, rng.normal(size=n_rows if model.n_outputs == 1 else (n_rows, model.n_outputs))


def _step(model, theta, x, y, backend=None, gradient="auto"):
    backend = backend or StatevectorBackend()
    return step.value_and_grad(model, theta, x, y, backend, get_gradient(gradient, backend))


# ------------------------------------------------------------------------------ the right numbers


def _summed_loss(model: QuantumModel, theta: np.ndarray, x, y) -> float:
    """Σ loss from the outputs alone: no derivative, no blocks."""
    outputs = step.outputs_of(model, theta, x, NUMPY)
    return float(model.loss.value_and_grad(outputs, y)[0].sum())


def _differences(model: QuantumModel, theta: np.ndarray, x, y) -> np.ndarray:
    found = np.zeros(len(theta))
    for index in range(len(theta)):
        shift = np.zeros(len(theta))
        shift[index] = 2e-6
        up, down = (_summed_loss(model, theta + sign * shift, x, y) for sign in (1, -1))
        found[index] = (up - down) / 4e-6
    return found


@every_loss
@pytest.mark.parametrize("gradient", ["adjoint", "parameter_shift"])
def test_the_gradient_is_the_central_difference_in_every_parameter(loss: str, gradient: str):
    model = _model(CLASSES[loss], loss=loss, input_scaling=True)
    theta, (x, y) = _theta(model), _rows(model, 18)
    sums = step.total(_step(model, theta, x, y, gradient=gradient))
    expected = _differences(model, theta, x, y)
    assert len(sums.gradient) == model.n_parameters == len(expected)
    np.testing.assert_allclose(sums.gradient, expected, atol=1e-7, rtol=1e-7)
    assert sums.loss == pytest.approx(_summed_loss(model, theta, x, y), rel=1e-12)
    assert sums.n_rows == 18


@pytest.mark.parametrize(
    "fields",
    [
        {"head": "none", "observables": ["X0", "Y1 + 0.5*Z2", "Z0 Z1"]},
        {"head": "none", "observables": ["X0", "Y1", "Z2"], "input_scaling": True},
        {"encoding": "amplitude"},
        {"reuploading": True, "layers": 2, "input_scaling": True},
        {"encoding": "zz", "input_scaling": True, "ansatz": "strongly_entangling"},
        {"encoding": "hamiltonian", "input_scaling": True, "reuploading": True, "layers": 2},
        {"observables": "z+zz", "input_scaling": True},
        {"ansatz": "qcnn", "layers": 2, "n_qubits": 4, "encoding": "iqp"},
        {"loss": "mse", "n_classes": None, "n_targets": NUMBERS},
        {"loss": "huber", "n_classes": None, "n_targets": NUMBERS, "huber_delta": 0.3},
    ],
    ids=str,
)
def test_the_gradient_is_right_for_other_heads_encodings_and_observables(fields):
    model = _model(**fields)
    theta, (x, y) = _theta(model), _rows(model, 5)
    sums = step.total(_step(model, theta, x, y))
    expected = _differences(model, theta, x, y)
    np.testing.assert_allclose(sums.gradient, expected, atol=1e-7, rtol=1e-7)


@every_loss
def test_correct_rows_are_those_whose_prediction_is_the_target(loss: str):
    model = _model(CLASSES[loss], loss=loss)
    theta, (x, y) = _theta(model), _rows(model, 37)
    predicted = model.loss.predict(step.outputs_of(model, theta, x, StatevectorBackend()))
    right = (predicted == y).reshape(37, -1).all(axis=1)
    assert step.total(_step(model, theta, x, y)).correct == np.count_nonzero(right)
    if model.loss.classification:
        assert step.total(_step(model, theta, x, predicted)).correct == 37


@every_loss
def test_evaluation_gives_the_scores_of_the_training_step(loss: str):
    model = _model(CLASSES[loss], loss=loss)
    theta, (x, y) = _theta(model), _rows(model, 37)
    trained = _step(model, theta, x, y)[:, -step.EXTRA :]
    evaluated = step.evaluate(model, theta, x, y, StatevectorBackend())
    np.testing.assert_allclose(evaluated, trained, rtol=1e-13)


# ------------------------------------------------------------------------- blocks by themselves

VARIANTS = {
    "three classes": {},
    "ten classes": {"n_classes": 10},
    "two classes": {"n_classes": 2},
    "two classes, one observable": {"n_classes": 2, "observables": ["Z0"]},
    "a number": {"n_classes": None},
    "no head": {"head": "none", "observables": ["Z0", "X1", "Y2"]},
    "no head, one output": {"n_classes": 2, "head": "none", "observables": ["Z0"]},
    "scaled inputs": {"input_scaling": True},
    "dense layers": {"pre_layers": [6], "post_layers": [4], "input_scaling": True},
    "pooled": {"ansatz": "qcnn", "n_qubits": 8, "observables": "z", "layers": 2},
    "several labels": {"loss": "multilabel_cross_entropy", "n_classes": LABELS},
    "several numbers": {"n_classes": None, "n_targets": NUMBERS},
    "compression": {"loss": "compression", "n_classes": None},
    "amplitudes": {"encoding": "amplitude"},
    "phases": {"encoding": "iqp", "ansatz": "strongly_entangling"},
    "many observables": {"observables": "z+zz", "n_qubits": 6, "n_classes": 7},
}
ENGINES = {
    "one thread": lambda: StatevectorBackend("native", threads=1),
    "two threads": lambda: StatevectorBackend("native", threads=2),
    "three threads": lambda: StatevectorBackend("native", threads=3),
}
N_ROWS = 4 * step.BLOCK + 5


def _block(values, *numbers: int):
    return np.concatenate([values[k * step.BLOCK : (k + 1) * step.BLOCK] for k in numbers])


def _variant(name: str):
    fields = dict(VARIANTS[name])
    n_classes = fields.pop("n_classes", 3)
    model = _model(n_classes, **fields)
    rng = np.random.default_rng(4)
    x = rng.uniform(-2, 2, (N_ROWS, model.n_features))
    classes = model.loss.goal == "classification"
    y = rng.integers(0, n_classes, N_ROWS) if classes else _rows(model, N_ROWS)[1]
    return model, _theta(model), x, y


def _with_others(function, x, y) -> None:
    """Assert that a block has the same bits alone, with any other, with all."""
    together = function(x, y)
    numbers = range(-(-len(x) // step.BLOCK))
    assert len(together) == len(numbers)
    for number in numbers:
        alone = function(_block(x, number), _block(y, number))
        np.testing.assert_array_equal(alone, together[[number]], err_msg=f"block {number} alone")
    for pair in combinations(numbers, 2):
        found = function(_block(x, *pair), _block(y, *pair))
        np.testing.assert_array_equal(found, together[list(pair)], err_msg=f"blocks {pair}")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_block_has_the_same_bits_whatever_comes_with_it(variant: str, engine: str):
    model, theta, x, y = _variant(variant)
    backend = ENGINES[engine]()
    _with_others(lambda x, y: _step(model, theta, x, y, backend), x, y)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_block_has_the_same_bits_in_validation_whatever_comes_with_it(variant: str):
    model, theta, x, y = _variant(variant)
    backend = StatevectorBackend("native")
    _with_others(lambda x, y: step.evaluate(model, theta, x, y, backend), x, y)


def test_a_block_has_the_same_bits_in_a_large_validation_set():
    # BLAS multiplies large matrices in another order than small ones.
    model = build_model(
        ModelConfig(n_qubits=8, layers=1, observables="z+zz"), n_features=8, n_classes=10
    )
    rng = np.random.default_rng(4)
    n_rows = 1000 * step.BLOCK
    x, y = rng.uniform(-2, 2, (n_rows, 8)), rng.integers(0, 10, n_rows)
    backend, theta = StatevectorBackend("native"), _theta(model)
    together = step.evaluate(model, theta, x, y, backend)
    few = range(0, 1000, 50)
    alone = [step.evaluate(model, theta, _block(x, k), _block(y, k), backend) for k in few]
    np.testing.assert_array_equal(np.concatenate(alone), together[list(few)])


@pytest.mark.parametrize("variant", VARIANTS)
def test_threads_do_not_change_a_bit(variant: str):
    model, theta, x, y = _variant(variant)
    first, *others = (_step(model, theta, x, y, engine()) for engine in ENGINES.values())
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize(
    "backend", [StatevectorBackend("native"), AerBackend()], ids=["statevector", "aer"]
)
def test_a_block_has_the_same_bits_by_parameter_shift(backend):
    model, theta, x, y = _variant("three classes")
    few = slice(0, step.BLOCK + 3)
    _with_others(lambda x, y: _step(model, theta, x, y, backend, "parameter_shift"), x[few], y[few])


def test_states_that_are_not_kept_give_the_same_bits(monkeypatch: pytest.MonkeyPatch):
    model, theta, x, y = _variant("scaled inputs")
    kept = _step(model, theta, x, y, StatevectorBackend("native"))
    monkeypatch.setattr("qstore_ray.simulate.engines.native.KEPT_BYTES", 0)
    np.testing.assert_array_equal(_step(model, theta, x, y, StatevectorBackend("native")), kept)


@pytest.mark.parametrize("variant", VARIANTS)
def test_rows_that_pad_a_block_have_no_influence(variant: str):
    model, theta, x, y = _variant(variant)
    last = slice(4 * step.BLOCK, N_ROWS)
    padded = _step(model, theta, x[last], y[last])
    one_by_one = [_step(model, theta, x[i : i + 1], y[i : i + 1]) for i in range(64, N_ROWS)]
    np.testing.assert_allclose(padded, sum(one_by_one), rtol=1e-11, atol=1e-13)
    assert padded[0, -2] == 5
    assert all(found[0, -2] == 1 for found in one_by_one)


NOISE = {
    "gates": [{"on": "all", "channel": {"name": "depolarizing", "p": 0.05}}],
    "readout": [[0.97, 0.06], [0.03, 0.94]],
    "trajectories": 2,
}
READOUT = MitigationConfig(readout="inverse", twirl=2)
RANDOM = {
    "noise": lambda: StatevectorBackend(noise=NOISE),
    "noise and numpy": lambda: StatevectorBackend("numpy", noise=NOISE),
    "shots": lambda: StatevectorBackend(shots=20),
    "noise and shots": lambda: StatevectorBackend(noise=NOISE, shots=20),
    "mitigation": lambda: open_mitigated("statevector", {"noise": NOISE}, READOUT),
    "aer": lambda: AerBackend(shots=5),
}
RUNS = {"noise": 2, "noise and numpy": 2, "noise and shots": 2, "mitigation": 4}
"""Trajectories, times instances of a twirl, of each row and basis."""
METHODS = {"auto": 1, "parameter_shift": 13, "random_coordinate_shift": 3}
"""Circuits of each row."""


def _few(n_rows: int):
    """A model of one basis and six angles, and its first rows."""
    model = _model(layers=1, observables="z", ansatz="real_amplitudes")
    return model, _theta(model), *(part[:n_rows] for part in _rows(model, 40))


PAIRS = [
    (name, gradient)
    for name, gradient in product(RANDOM, METHODS)
    if (name, gradient) not in {("shots", "auto"), ("noise and shots", "auto")}
    and (name != "aer" or gradient == "random_coordinate_shift")
]
"""With shots `auto` is parameter shift. Aer is slow."""


@pytest.mark.parametrize(("name", "gradient"), [*product(["exact"], METHODS), *PAIRS])
def test_a_row_that_pads_a_block_costs_nothing(name: str, gradient: str):
    backend = RANDOM.get(name, StatevectorBackend)()
    meter = metered(backend)
    for n_rows in (1, 5, 16, 19):
        model, theta, x, y = _few(n_rows)
        key = DrawKey((3,))
        found = step.value_and_grad(
            model, theta, x, y, meter, get_gradient(gradient, meter), key=key
        )
        used = meter.take()
        assert found[:, -2].sum() == n_rows
        assert used.circuits == n_rows * METHODS[gradient] * RUNS.get(name, 1)
        step.block_outputs(model, theta, x, meter, key)
        used = meter.take()
        assert used.circuits == n_rows * RUNS.get(name, 1)
        shots = {"shots": 20, "noise and shots": 20, "aer": 5}.get(name, 0)
        assert used.shots == n_rows * shots


@pytest.mark.parametrize(("name", "gradient"), PAIRS)
def test_a_block_draws_the_same_whatever_comes_with_it(name: str, gradient: str):
    """A worker of several has a part of the batch, whose last block may have one row alone."""
    backend = RANDOM[name]()
    for n_rows in (17, 21):
        model, theta, x, y = _few(n_rows)
        method = get_gradient(gradient, backend)

        def blocks(first: int, last: int, method=method, model=model, theta=theta, x=x, y=y):
            key = DrawKey((3,), first)
            rows = slice(first, last)
            found = step.value_and_grad(model, theta, x[rows], y[rows], backend, method, key=key)
            scores = step.evaluate(model, theta, x[rows], y[rows], backend, key=key)
            return np.hstack([found, scores])

        together = blocks(0, n_rows)
        apart = np.concatenate([blocks(0, step.BLOCK), blocks(step.BLOCK, n_rows)])
        np.testing.assert_array_equal(apart, together)


@pytest.mark.parametrize("batch", [1, 7, 16, 33, N_ROWS])
def test_the_mean_over_a_set_does_not_depend_on_the_batch_size(batch: int):
    model, theta, x, y = _variant("scaled inputs")
    parts = [
        step.total(_step(model, theta, x[i : i + batch], y[i : i + batch]))
        for i in range(0, N_ROWS, batch)
    ]
    whole = step.total(_step(model, theta, x, y))
    assert sum(part.n_rows for part in parts) == whole.n_rows == N_ROWS
    assert sum(part.correct for part in parts) == whole.correct
    assert sum(part.loss for part in parts) == pytest.approx(whole.loss, rel=1e-13)
    summed = np.sum([part.gradient for part in parts], axis=0)
    np.testing.assert_allclose(summed, whole.gradient, rtol=1e-11, atol=1e-12)


# ------------------------------------------------------------------------------------ connected

CIRCUITS = [(encoding, ansatz) for encoding in ENCODINGS for ansatz in ANSATZE]


def _connected(encoding: str, ansatz: str):
    model = _model(encoding=encoding, ansatz=ansatz, layers=2, input_scaling=True)
    return model, _theta(model), *_rows(model, 6, bits=encoding == "basis")


@pytest.mark.parametrize(("encoding", "ansatz"), CIRCUITS)
def test_every_feature_changes_the_outputs(encoding: str, ansatz: str):
    model, theta, x, _ = _connected(encoding, ansatz)
    outputs = step.outputs_of(model, theta, x, StatevectorBackend())
    for column in range(x.shape[1]):
        changed = x.copy()
        changed[:, column] = 1.0 - x[:, column] if encoding == "basis" else x[:, column] + 0.3
        found = step.outputs_of(model, theta, changed, StatevectorBackend())
        assert (np.abs(found - outputs).max(axis=1) > 1e-4).all(), f"feature {column} is not seen"


@pytest.mark.parametrize(("encoding", "ansatz"), CIRCUITS)
def test_every_parameter_changes_the_outputs_and_has_a_gradient(encoding: str, ansatz: str):
    model, theta, x, y = _connected(encoding, ansatz)
    outputs = step.outputs_of(model, theta, x, StatevectorBackend())
    gradient = step.total(_step(model, theta, x, y)).gradient
    for index in range(model.n_parameters):
        changed = theta.copy()
        changed[index] += 0.3
        found = step.outputs_of(model, changed, x, StatevectorBackend())
        moved = np.abs(found - outputs).max()
        assert min(moved, abs(gradient[index])) > 1e-5, f"parameter {index} has no effect"


def test_every_observable_and_every_target_counts():
    model = _model()
    theta, (x, y) = _theta(model), _rows(model, 6)
    loss = step.total(_step(model, theta, x, y)).loss
    for i in range(6):
        changed = y.copy()
        changed[i] = (y[i] + 1) % 3
        assert abs(step.total(_step(model, theta, x, changed)).loss - loss) > 1e-4
    for o in range(len(model.observables)):
        weights = theta.copy()
        model.split(weights).weights[o] = 0.0
        assert abs(step.total(_step(model, weights, x, y)).loss - loss) > 1e-4
