"""Circuits of the user's own, of any class, with their features by any name."""

from __future__ import annotations

import math
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.library import (
    EfficientSU2,
    QAOAAnsatz,
    RealAmplitudes,
    TwoLocal,
    ZZFeatureMap,
    real_amplitudes,
    zz_feature_map,
)
from qiskit.quantum_info import SparsePauliOp, Statevector
from sklearn.base import clone

from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.load import load_circuit
from qstore_ray.circuits.qiskit.qiskit import from_qiskit
from qstore_ray.circuits.template import param, row
from qstore_ray.errors import CircuitError, ConfigError, UnknownNameError
from qstore_ray.estimator import QuantumClassifier, QuantumKernelClassifier, QuantumRegressor
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.kernel.kernel import FidelityKernel, ProjectedKernel
from qstore_ray.learn.model import build_model
from qstore_ray.simulate import reference
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.ray.kernel_matrix import gram_matrix
from tests.trained_models import made

pytestmark = pytest.mark.filterwarnings("ignore:The class:DeprecationWarning")
"""Qiskit's older library classes are what people have."""


class Mine(QuantumCircuit):
    """A circuit of a class of the user's own, with a constructor of its own."""

    def __init__(self, turns: int) -> None:
        super().__init__(2, name="mine")
        for turn in range(turns):
            self.ry(Parameter(f"x{turn}"), turn)
        self.cx(0, 1)
        self.rx(Parameter("w"), 0)


def _model_circuit(config: ModelConfig, n_features: int) -> Circuit:
    return build_model(config, n_features=n_features, n_classes=2).circuit


OF_CLASSES = {
    "subclass": (lambda: Mine(2), None, 2),
    "feature map and ansatz": (lambda: ZZFeatureMap(2).compose(RealAmplitudes(2)), None, 2),
    "not yet built": (lambda: ZZFeatureMap(2), None, 2),
    "two-local": (lambda: TwoLocal(2, ["ry", "rz"], "cz", reps=1), ["θ[0]", "θ[3]"], 2),
    "efficient su2": (lambda: EfficientSU2(2, reps=1), ["θ[0]"], 1),
    "functions": (lambda: zz_feature_map(2).compose(real_amplitudes(2)), None, 2),
    "qaoa": (lambda: QAOAAnsatz(SparsePauliOp(["ZZ", "IZ"]), reps=2), "γ", 2),
}


@pytest.mark.parametrize("name", OF_CLASSES)
def test_a_circuit_of_any_class_is_what_qiskit_computes(name: str):
    build, features, n_features = OF_CLASSES[name]
    theirs = build()
    circuit = _model_circuit(ModelConfig(circuit=theirs, features=features), n_features)
    assert circuit.template.n_params == theirs.num_parameters - n_features
    rng = np.random.default_rng(3)
    x, params = rng.uniform(-2, 2, n_features), rng.uniform(-2, 2, circuit.template.n_params)
    slots = dict(zip(_features_of(theirs, features), x, strict=True))
    learned = [p for p in theirs.parameters if p not in slots]
    bound = theirs.assign_parameters({**slots, **dict(zip(learned, params, strict=True))})
    state = reference.states(circuit.template, circuit.angles(x[None]), params)[0]
    assert abs(np.vdot(state, Statevector(bound).data)) == pytest.approx(1.0, abs=1e-10)


def _features_of(circuit: QuantumCircuit, features) -> list[Parameter]:
    named = {p.name: p for p in circuit.parameters}
    if isinstance(features, list):
        return [named[name] for name in features]
    return [p for name, p in named.items() if name.startswith(features or "x")]


def test_gates_and_instructions_are_circuits():
    for given in (Mine(1).to_gate(), Mine(1).to_instruction()):
        assert load_circuit(given).template.n_params == 1


class _Elsewhere:
    pass


@pytest.mark.parametrize(
    ("module", "fix"),
    [("pennylane.tape", "qml.to_openqasm"), ("cirq.circuits", "cirq.qasm(circuit)")],
)
def test_circuits_of_other_libraries_say_how_to_export(module: str, fix: str, monkeypatch):
    monkeypatch.setattr(_Elsewhere, "__module__", module)
    with pytest.raises(ConfigError, match=re.escape(fix)):
        ModelConfig(circuit=_Elsewhere())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([ZZFeatureMap(2), RealAmplitudes(2)], "feature_map.compose"),
        (3, "int is no circuit"),
        (None, "NoneType is no circuit"),
        (Mine, "the class Mine is no circuit"),
        ([], "list is no circuit"),
    ],
    ids=lambda value: re.sub(r" at 0x[0-9a-f]+", "", str(value)),  # the same in every process
)
def test_what_is_no_circuit_is_refused(given, message: str):
    with pytest.raises(ConfigError, match=message) as caught:
        ModelConfig(circuit=given)
    assert caught.value.field == "circuit"


def test_a_circuit_without_qubits_is_refused():
    with pytest.raises(CircuitError, match="at least one qubit"):
        ModelConfig(circuit=QuantumCircuit())


# ------------------------------------------------------------------------------------- the features


PHI = ParameterVector("phi", 2)


def _named() -> QuantumCircuit:
    circuit = QuantumCircuit(2, 2)
    circuit.ry(PHI[0], 0)
    circuit.ry(PHI[1], 1)
    circuit.cx(0, 1)
    circuit.ry(Parameter("w") + 2 * PHI[0] - math.pi / 4, 0)
    circuit.measure([0, 1], [0, 1])
    return circuit


@pytest.mark.parametrize(
    ("features", "columns"),
    [
        ("phi", (0, 1)),
        (PHI, (0, 1)),
        (["phi[1]", "phi[0]"], (1, 0)),
        (["phi_1", "_phi_0_"], (1, 0)),
        (["phi"], (0, 1)),
        ([PHI[1], PHI[0]], (1, 0)),
        (["phi[0]"], (0, None)),
        ([PHI[1], "w", "phi0"], (2, 0)),
        (lambda name: name.startswith("phi"), (0, 1)),
    ],
    ids=lambda value: re.sub(r" at 0x[0-9a-f]+", "", str(value)),  # the same in every process
)
def test_features_by_name(features, columns: tuple[int, int | None]):
    circuit = from_qiskit(_named(), features=features)
    found = [op.angles[0] for op in circuit.template.ops[:2]]
    n_learned = 3 - circuit.n_features
    expected = [param(0) if column is None else row(column) for column in columns]
    assert found == expected
    assert circuit.template.n_params == n_learned
    config = ModelConfig(circuit=_named(), features=features)
    assert _model_circuit(config, circuit.n_features).template == circuit.template
    assert ModelConfig.from_dict(config.to_dict()) == config


QASM = """OPENQASM 3.0;
include "stdgates.inc";
input float[64] phi_1;
input float[64] phi_0;
input float[64] w;
qubit[2] q;
ry(phi_0) q[0]; ry(phi_1) q[1]; cx q[0], q[1]; ry(w + 2*phi_0 - pi/4) q[0];
"""


@pytest.mark.parametrize("features", ["phi", ["phi_0", "phi[1]"]])
def test_features_of_a_file_through_toml(features, tmp_path: Path):
    file = tmp_path / "mine.qasm"
    file.write_text(QASM, encoding="utf-8")
    toml = tmp_path / "model.toml"
    listed = "[" + ", ".join(f'"{name}"' for name in features) + "]"
    written = f'"{features}"' if isinstance(features, str) else listed
    toml.write_text(f'circuit = "{file}"\nfeatures = {written}\n', encoding="utf-8")
    config = ModelConfig.from_toml(toml)
    assert config.features == features
    kept = tmp_path / "kept.toml"
    kept.write_text(config.to_toml(), encoding="utf-8")
    file.unlink()
    assert ModelConfig.from_toml(kept) == config
    expected = from_qiskit(_named(), features="phi")
    assert _model_circuit(config, 2).template == expected.template


@pytest.mark.parametrize(
    ("features", "message"),
    [("psi", "psi"), (["phi[0]", "data[0]"], "data"), (lambda name: False, "accepts")],
)
def test_a_name_that_fits_nothing_lists_the_parameters(features, message: str):
    with pytest.raises(CircuitError, match=message) as caught:
        ModelConfig(circuit=_named(), features=features)
    assert caught.value.field == "features"
    assert "phi[0], phi[1], w" in caught.value.fix
    with pytest.raises(CircuitError, match=r"phi\[0\], phi\[1\], w"):
        from_qiskit(_named(), features=features)


def test_a_file_whose_features_fit_nothing_is_refused(tmp_path: Path):
    with pytest.raises(CircuitError, match="phi_0, phi_1, w"):
        _model_circuit(ModelConfig(circuit=QASM, features="psi"), 2)


def test_a_model_file_keeps_features_of_a_text():
    model = made(circuit=QASM, features=["phi_1", "phi_0"], raw=X, classes=(0, 1))
    back = TrainedModel.from_bytes(model.to_bytes())
    np.testing.assert_array_equal(back.outputs(X), model.outputs(X))
    assert back.model.circuit.template == model.model.circuit.template
    assert "features" not in back.about["config"]


@pytest.mark.parametrize("given", [_named(), QASM], ids=["object", "text"])
def test_without_features_the_error_lists_the_parameters(given):
    def build() -> None:
        build_model(ModelConfig(circuit=given), n_features=2, n_classes=2)

    for attempt in (build, lambda: FidelityKernel(given)):
        with pytest.raises(
            CircuitError, match="no parameter of the circuit is a feature"
        ) as caught:
            attempt()
        assert re.search(r"Its parameters are phi.0.?, phi.1.?, w", caught.value.fix)


def test_features_that_are_not_said_are_an_error_that_lists_the_parameters():
    with pytest.raises(CircuitError, match=r"phi\[0\], phi\[1\], w.*features = \"phi\""):
        ModelConfig(circuit=_named())


@pytest.mark.parametrize("features", [3, [3], [["phi"]]])
def test_features_that_are_no_names_are_refused(features):
    with pytest.raises(ConfigError, match="names of the circuit's parameters"):
        ModelConfig(circuit=_named(), features=features)


def test_a_parameter_named_twice_is_refused():
    with pytest.raises(CircuitError, match="named twice"):
        ModelConfig(circuit=_named(), features=["phi[0]", "phi_0"])


def test_a_library_circuit_has_no_features_to_name():
    with pytest.raises(ConfigError, match="library"):
        ModelConfig(features="phi")


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (["x1", "x2", "x3", "x4"], [0, 1, 2, 3]),
        (["x_2", "x_1"], [1, 0]),
        (["x1"], [0]),
        ([f"x{k}" for k in range(1, 12)], list(range(11))),
        (["x0", "x1", "x2"], [0, 1, 2]),
        (["x1", "x2", "x10"], [1, 2, 10]),
        (["x[1]", "x[2]"], [1, 2]),
        (["_x_1_", "_x_2_"], [1, 2]),
    ],
    ids=lambda value: re.sub(r" at 0x[0-9a-f]+", "", str(value)),  # the same in every process
)
def test_numbers_are_columns_and_may_begin_at_one(names: list[str], columns: list[int]):
    circuit = QuantumCircuit(1)
    for name in names:
        circuit.ry(Parameter(name), 0)
    circuit.ry(Parameter("w"), 0)
    found = [op.angles[0] for op in from_qiskit(circuit).template.ops[:-1]]
    assert found == [row(column) for column in columns]


@pytest.mark.parametrize("name", ["θ φ", "a b", "lambda", "p_0", "_p_1_", "p[0]", "π", "x y"])
def test_parameters_of_any_name_are_trained(name: str):
    circuit = QuantumCircuit(1)
    circuit.ry(Parameter("x0"), 0)
    circuit.rx(2 * Parameter(name) + Parameter("c"), 0)
    found = _model_circuit(ModelConfig(circuit=circuit), 1)
    assert found.template == from_qiskit(circuit).template
    assert found.template.n_params == 2


def test_nothing_to_train_is_refused():
    circuit = QuantumCircuit(1)
    circuit.ry(Parameter("x0"), 0)
    config = ModelConfig(circuit=circuit, head="none", observables=["Z0"])
    with pytest.raises(ConfigError, match="nothing to train"):
        _model_circuit(config, 1)
    assert _model_circuit(ModelConfig(circuit=circuit), 1).template.n_params == 0


# ------------------------------------------------------------------------- estimators and kernels

X = np.random.default_rng(0).uniform(0.0, 1.0, (20, 2))
Y = (X[:, 0] > 0.5).astype(int)


def test_a_classifier_takes_a_circuit():
    estimator = QuantumClassifier(
        circuit=_named(),
        features="phi",
        observables=[SparsePauliOp("ZI"), "Z0"],
        epochs=2,
        random_state=0,
    )
    twin = clone(estimator)
    assert twin.get_params()["features"] == "phi"
    fitted = estimator.fit(X, Y)
    assert fitted.n_qubits_ == 2
    assert fitted.model_.circuit.template == from_qiskit(_named(), features="phi").template
    np.testing.assert_array_equal(twin.fit(X, Y).theta_, fitted.theta_)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    twin.set_params(features=["phi[1]", "phi[0]"]).fit(X, Y)
    assert not np.array_equal(twin.theta_, fitted.theta_)


def test_a_classifier_fits_columns_to_its_circuit():
    estimator = QuantumClassifier(circuit=QASM, features="phi", epochs=1, random_state=0)
    assert estimator.fit(np.hstack([X, X**2]), Y).model_.n_features == 2
    for columns, more, error, message in (
        (X[:, :1], {}, CircuitError, "takes 2 features, there are 1"),
        (np.hstack([X, X]), {"reduce": None}, ConfigError, "there are 4 columns"),
        (X, {"reduce": "svd"}, ConfigError, "reduction"),
        (X, {"features": "psi"}, CircuitError, "psi"),
        (X, {"observables": SparsePauliOp("ZII")}, CircuitError, "of 3 qubits"),
    ):
        with pytest.raises(error, match=message):
            clone(estimator).set_params(**more).fit(columns, Y)


def test_layers_before_a_circuit_of_ones_own():
    estimator = QuantumRegressor(
        circuit=QASM, features="phi", epochs=1, model_options={"pre_layers": [3, 2]}
    )
    assert estimator.fit(np.hstack([X, X]), X[:, 0]).model_.n_features == 4


@pytest.mark.parametrize("encoding", [ZZFeatureMap(2), zz_feature_map(2)], ids=["map", "function"])
def test_a_kernel_classifier_takes_a_circuit(encoding):
    estimator = QuantumKernelClassifier(encoding=encoding, bandwidth=0.5)
    found = clone(estimator).fit(X, Y)
    np.testing.assert_array_equal(found.predict(X), estimator.fit(X, Y).predict(X))
    assert found.circuit_.template == from_qiskit(encoding).template


def test_a_kernel_classifier_names_the_features():
    wide = np.hstack([X, X[:, :1]])
    estimator = QuantumKernelClassifier(encoding=QASM, features=["phi", "w"], kernel="projected")
    assert estimator.fit(wide, Y).circuit_.n_features == 3
    for encoding, features, error, message in (
        (QASM, "phi", CircuitError, "1 parameters"),
        (QASM, None, CircuitError, "no parameter of the circuit is a feature"),
        ("angle", "phi", ConfigError, "by name"),
        ("nonsense", None, UnknownNameError, "nonsense"),
        (3, None, ConfigError, "int is no circuit"),
    ):
        with pytest.raises(error, match=message):
            QuantumKernelClassifier(encoding=encoding, features=features).fit(X, Y)


@pytest.mark.parametrize("kind", [FidelityKernel, ProjectedKernel])
def test_kernels_take_circuits_files_and_text(kind, tmp_path: Path):
    file = tmp_path / "mine.qasm"
    file.write_text(QASM, encoding="utf-8")
    x = np.hstack([X, X[:, :1]])[:4]
    names = ["phi", "w"]
    expected = kind(from_qiskit(_named(), features=names)).matrix(x)
    for given in (_named(), str(file), file, QASM):
        np.testing.assert_allclose(
            gram_matrix(kind(given, features=names), x), expected, atol=1e-12
        )
    with pytest.raises(CircuitError, match="1 parameters"):
        kind(_named(), features="phi")
    with pytest.raises(CircuitError, match=r"phi\[0\], phi\[1\], w"):
        kind(_named())
