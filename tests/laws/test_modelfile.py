"""The law of the model file: what is loaded predicts what was saved, bit for bit."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.circuits.library.library import ANSATZE, ENCODINGS, build_circuit
from qstore_ray.circuits.qasm.reader import from_text
from qstore_ray.data.prepare.steps import STEPS
from qstore_ray.learn.losses import LOSSES
from qstore_ray.train.model.trained import TrainedModel
from tests.trained_models import WIDTH, N, made, rows

IMAGE = {"shape": [4, 4]}
STEP_CASES = {
    "impute": {},
    "binarize": {},
    "amplitudes": {"width": 32, "constant": 1.0},
    "resize": {**IMAGE, "size": [2, 2]},
    "grayscale": {"shape": [2, 2, 3]},
    "pool": {**IMAGE, "size": [2, 2]},
    "crop": {**IMAGE, "size": [2, 3]},
    "one_hot": {"columns": [0, 5]},
    "pca": {"components": 3, "whiten": True},
    "random_projection": {"components": 4},
    "minmax": {"feature_range": [0.5, 1.5]},
    "scale": {"factor": 0.5},
}


def _assert_the_same(model: TrainedModel, raw, tmp_path: Path) -> None:
    path = model.save(tmp_path / "model.qsm")
    loaded = TrainedModel.load(path)
    assert loaded.outputs(raw).tobytes() == model.outputs(raw).tobytes()
    assert loaded.predict(raw).tolist() == model.predict(raw).tolist()
    assert loaded.theta.tobytes() == model.theta.tobytes()
    assert loaded.classes == model.classes
    assert loaded.to_bytes() == path.read_bytes(), "saved again, it is the same file"


@pytest.mark.parametrize("reuploading", [False, True])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding(encoding: str, reuploading: bool, tmp_path: Path):
    if encoding == "amplitude" and reuploading:
        encoding = "angle"  # amplitudes are loaded once
    model = made(encoding=encoding, reuploading=reuploading, steps=_steps_for(encoding))
    _assert_the_same(model, rows(21, WIDTH.get(encoding, N), seed=1), tmp_path)


def _steps_for(encoding: str) -> list[dict]:
    return [{"name": "binarize", "threshold": 0.5}] if encoding == "basis" else []


@pytest.mark.parametrize("entanglement", ["linear", "ring", "full", "pairwise"])
@pytest.mark.parametrize("ansatz", ANSATZE)
def test_every_ansatz(ansatz: str, entanglement: str, tmp_path: Path):
    if ansatz == "strongly_entangling":
        entanglement = "ring"  # it takes no other
    model = made(ansatz=ansatz, entanglement=entanglement, input_scaling=True)
    _assert_the_same(model, rows(5, N, seed=1), tmp_path)


@pytest.mark.parametrize(
    ("classes", "config"),
    [
        ((0, 1), {}),
        ((False, True), {"loss": "cross_entropy"}),
        (("a", "b"), {"head": "none", "observables": ["Z0"]}),
        ((3, 5, 9), {"head": "none", "observables": ["Z0", "0.5*X0 Y1", "Z2"]}),
        ((3, 5, 9), {"observables": "z+zz"}),
        ((), {}),
        ((), {"head": "none", "observables": ["Z0 Z1 + 0.1*X2"]}),
    ],
    ids=repr,
)
def test_every_head_and_kind_of_label(classes, config, tmp_path: Path):
    _assert_the_same(made(classes=classes, **config), rows(9, N, seed=1), tmp_path)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss(name: str, tmp_path: Path):
    goal = LOSSES[name].goal
    classes = {"classification": (0, 1), "multilabel": ("a", "b", "c")}.get(goal, ())
    head = {"trash_qubits": [0], "head": "none"} if goal == "compression" else {}
    task = "regression" if goal == "compression" else goal
    _assert_the_same(made(loss=name, classes=classes, task=task, **head), rows(9, N), tmp_path)


def test_layers_around_the_circuit_and_several_numbers(tmp_path: Path):
    layers = {"pre_layers": [N], "post_layers": [4]}
    model = made(classes=(), task="regression", n_targets=2, **layers)
    assert model.predict(rows(3, N)).shape == (3, 2)
    _assert_the_same(model, rows(9, N, seed=1), tmp_path)


@pytest.mark.parametrize("name", STEPS)
def test_every_step_of_preparation(name: str, tmp_path: Path):
    raw = np.abs(rows(40, 12 if name == "grayscale" else 16)) + 0.1
    raw[:, [0, 5]] = np.random.default_rng(0).integers(1, 4, (40, 2))
    steps = [{"name": name, **STEP_CASES.get(name, {})}, {"name": "pca", "components": 3}]
    fitted = made(steps=steps, raw=raw)
    _assert_the_same(fitted, raw[:11], tmp_path)


def test_columns_that_lie_side_by_side_stay_so(tmp_path: Path):
    """The order in memory decides in which order numpy adds up."""
    model = made(steps=[{"name": "pca", "components": 3}])
    state = model.preparation.states[0]
    turned = dict(state, directions=np.asfortranarray(state["directions"]))
    object.__setattr__(model.preparation, "states", (turned,))
    _assert_the_same(model, rows(9, N, seed=1), tmp_path)
    found = TrainedModel.load(tmp_path / "model.qsm").preparation.states[0]["directions"]
    assert found.flags.f_contiguous
    assert not found.flags.c_contiguous


def test_a_circuit_of_the_users_own_travels_as_source(tmp_path: Path):
    from qiskit import QuantumCircuit
    from qiskit.circuit import Parameter

    circuit = QuantumCircuit(2)
    x, y, turn = Parameter("x_0"), Parameter("x_1"), Parameter("turn")
    circuit.ry(x, 0)
    circuit.rz(x * y, 1)
    circuit.cx(0, 1)
    circuit.ry(0.1 * turn + 0.3, 1)
    model = made(circuit=circuit, raw=rows(20, 2), classes=(0, 1))
    _assert_the_same(model, rows(9, 2, seed=1), tmp_path)


def function_of_the_users_own():
    from qstore_ray.circuits.template import Op, Template, param, row

    gates = (Op("ry", (0,), (row(0),)), Op("cx", (0, 1)), Op("rz", (1,), (param(0, 2.0, 0.1),)))
    return Template(n_qubits=2, ops=gates, n_rows=1, n_params=1)


def test_a_function_is_written_as_the_circuit_it_returned(tmp_path: Path):
    model = made(circuit=f"{__name__}:function_of_the_users_own", raw=rows(20, 1), classes=(0, 1))
    _assert_the_same(model, rows(9, 1, seed=1), tmp_path)
    config = TrainedModel.load(tmp_path / "model.qsm").about["config"]
    assert config["circuit"].startswith("OPENQASM 3.0;")
    assert "function_of" not in json.dumps(config)


def test_the_gates_of_a_function_keep_their_order(tmp_path: Path):
    model = made(circuit=f"{__name__}:parallel_gates", raw=rows(20, 1), classes=(0, 1))
    assert model.model.circuit.template == parallel_gates()
    _assert_the_same(model, rows(9, 1, seed=1), tmp_path)


def library_circuit():
    return build_circuit(encoding="amplitude", ansatz="qcnn", n_qubits=2, n_features=3, layers=1)


def test_a_function_that_returns_a_circuit_with_amplitudes_is_kept(tmp_path: Path):
    model = made(circuit=f"{__name__}:library_circuit", raw=rows(20, 3), classes=(0, 1))
    assert model.model.circuit.template == library_circuit().template
    _assert_the_same(model, rows(9, 3, seed=1), tmp_path)


def parallel_gates():
    from qstore_ray.circuits.template import Op, Template, param, row

    gates = (Op("ry", (0,), (row(0),)), Op("ry", (1,), (param(0),)), Op("rz", (0,), (param(0),)))
    return Template(n_qubits=2, ops=gates, n_rows=1, n_params=1)


@pytest.mark.parametrize("encoding", ["angle", "amplitude"])
def test_other_tools_can_read_every_member(encoding: str):
    model = made(encoding=encoding, steps=[{"name": "standard"}])
    with zipfile.ZipFile(io.BytesIO(model.to_bytes())) as archive:
        assert archive.testzip() is None
        source = archive.read("circuit.qasm").decode()
        with np.load(archive.open("arrays.npz"), allow_pickle=False) as arrays:
            assert arrays["theta"].tobytes() == model.theta.tobytes()
    template = model.model.circuit.template  # which Qiskit reads in another order
    assert sorted(from_text(source).template.ops) == sorted(template.ops)
    assert ("amplitudes" in source) == (encoding == "amplitude")


def test_a_prediction_does_not_depend_on_the_other_rows():
    layers = {"pre_layers": [5, N], "post_layers": [4]}
    for config in ({}, {"observables": "z+zz"}, {"encoding": "amplitude"}, layers):
        model = made(**config)
        raw = rows(67, WIDTH.get(config.get("encoding", ""), N), seed=1)
        whole = model.outputs(raw)
        for size in (1, 3, 16, 31):
            parts = [model.outputs(raw[start : start + size]) for start in range(0, 67, size)]
            assert np.concatenate(parts).tobytes() == whole.tobytes()
