"""A configuration keeps the circuit itself: code that made it is called once and never again."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit, qasm3
from qiskit.circuit import Parameter, ParameterVector

from qstore_ray.circuits.library.library import ANSATZE, ENCODINGS, build_circuit
from qstore_ray.circuits.load import load_circuit
from qstore_ray.circuits.qasm.reader import circuit_text, from_text
from qstore_ray.circuits.qasm.source import AS_TEXT
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.config import fingerprint
from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import CircuitError, ConfigError, RunExistsError
from qstore_ray.job import JobConfig
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.trainer import QuantumTrainer
from qstore_ray.tune.space.space import Space
from qstore_ray.tune.study.recipe import check_same
from tests.small_search import RATE, SPACE, TABLE

MODULE = """
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

calls = []

def build():
    calls.append(1)
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("x0"), 0)
    circuit.ry(Parameter("x1"), 1)
    circuit.GATE(Parameter("a") + Parameter("b"), 0)
    circuit.cx(0, 1)
    return circuit
"""
NAME = "users_circuit_to_be_kept"


class Workplace:
    """A module of the user's that can be edited and deleted, and runs beside it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / f"{NAME}.py"
        self.storage = folder / "runs"
        x = np.random.default_rng(0).uniform(0, 3, (24, 2))
        self.data = DatasetLoader.from_arrays(x, (x[:, 0] > 1.5).astype(int))
        self.x = x

    def write(self, gate: str) -> None:
        self.forget()
        self.file.write_text(MODULE.replace("GATE", gate), encoding="utf-8")
        importlib.invalidate_caches()

    def delete(self) -> None:
        self.forget()
        self.file.unlink()

    def forget(self) -> None:
        sys.modules.pop(NAME, None)
        for cached in self.file.parent.glob("__pycache__/*"):
            cached.unlink()

    def trainer(self, model: ModelConfig | None = None, epochs: int = 2) -> QuantumTrainer:
        model = model or ModelConfig(circuit=f"{NAME}:build")
        config = TrainerConfig(epochs=epochs, batch_size=8)
        quiet = TrackConfig(mlflow=False, figures=False)
        return QuantumTrainer(model, config, name="kept", storage=self.storage, track=quiet)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    monkeypatch.syspath_prepend(tmp_path)
    place = Workplace(tmp_path)
    place.write("rx")
    yield place
    place.forget()


def _make_it_unfinished(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "status": "interrupted"}))


def test_a_run_uses_its_circuit_when_the_module_is_edited_and_gone(workplace: Workplace):
    result = workplace.trainer().fit(workplace.data)
    expected = result.model.outputs(workplace.x)
    workplace.write("ry")
    loaded = TrainedModel.load(result.run_dir)
    np.testing.assert_array_equal(loaded.outputs(workplace.x), expected)
    workplace.delete()
    loaded = TrainedModel.load(result.run_dir)
    np.testing.assert_array_equal(loaded.outputs(workplace.x), expected)
    saved = TrainedModel.load(loaded.save(workplace.storage / "kept.qsm"))
    np.testing.assert_array_equal(saved.outputs(workplace.x), expected)
    assert loaded.evaluate(workplace.data) == saved.evaluate(workplace.data)
    assert NAME not in (result.run_dir / "config.toml").read_text()


def test_the_function_is_called_once(workplace: Workplace):
    trainer = workplace.trainer()
    result = trainer.fit(workplace.data)
    TrainedModel.load(result.run_dir).predict(workplace.x)
    assert len(sys.modules[NAME].calls) == 1


def test_a_run_is_not_resumed_with_an_edited_function(workplace: Workplace):
    run = workplace.trainer().fit(workplace.data).run_dir
    _make_it_unfinished(run)
    workplace.write("ry")
    with pytest.raises(RunExistsError, match="another circuit") as caught:
        workplace.trainer().fit(workplace.data, existing="resume")
    assert caught.value.field == "model.circuit"
    assert "ry(1.0*p_0 + 1.0*p_1 + 0.0) q[0];" in caught.value.value
    workplace.write("rx")
    workplace.trainer().fit(workplace.data, existing="resume")


def test_a_checkpoint_that_kept_only_the_name_still_opens(workplace: Workplace, capsys):
    result = workplace.trainer().fit(workplace.data)
    expected = result.model.outputs(workplace.x)
    name = f"{NAME}:build"
    manifest_file = result.checkpoint / "manifest.json"
    manifest = json.loads(manifest_file.read_text())
    manifest["model"]["config"]["circuit"] = name
    manifest_file.write_text(json.dumps(manifest))
    capsys.readouterr()
    loaded = TrainedModel.load(result.run_dir)
    np.testing.assert_array_equal(loaded.outputs(workplace.x), expected)
    assert f"only by its name, {name}" in capsys.readouterr().err
    assert NAME not in str(loaded.to_bytes())
    record = json.loads((result.run_dir / "run.json").read_text())
    record["recipe"]["model"]["circuit"] = name
    record["fingerprints"]["configuration"] = fingerprint(record["recipe"])
    record["status"] = "interrupted"
    (result.run_dir / "run.json").write_text(json.dumps(record))
    workplace.trainer().fit(workplace.data, existing="resume")
    assert "only by its name" in capsys.readouterr().err


def _twelve() -> str:
    """OpenQASM of one feature and twelve trained angles on one qubit, as Qiskit writes it."""
    theta, circuit = ParameterVector("theta", 12), QuantumCircuit(1)
    circuit.ry(Parameter("x"), 0)
    for k, angle in enumerate(theta):
        (circuit.rx, circuit.rz)[k % 2](angle, 0)
    return qasm3.dumps(circuit)


def _keep_text_of_an_earlier_version(run: Path, text: str) -> None:
    """Earlier versions kept a text as it was given, and took its vectors in the order of text."""
    for file in run.glob("**/manifest.json"):
        manifest = json.loads(file.read_text())
        manifest["model"]["config"]["circuit"] = text
        file.write_text(json.dumps(manifest))
    record = json.loads((run / "run.json").read_text())
    record["recipe"]["model"]["circuit"] = text
    record["fingerprints"]["configuration"] = fingerprint(record["recipe"])
    (run / "run.json").write_text(json.dumps({**record, "status": "interrupted"}))


def test_a_text_of_an_earlier_run_keeps_its_order_and_can_be_resumed(workplace: Workplace):
    text = _twelve()
    workplace.x = workplace.x[:, :1]
    workplace.data = DatasetLoader.from_arrays(workplace.x, (workplace.x[:, 0] > 1.5).astype(int))
    marked = ModelConfig(circuit=f"{text}\n{AS_TEXT}")
    result = workplace.trainer(marked).fit(workplace.data)
    expected = result.model.outputs(workplace.x)
    _keep_text_of_an_earlier_version(result.run_dir, text)
    loaded = TrainedModel.load(result.run_dir)
    np.testing.assert_array_equal(loaded.outputs(workplace.x), expected)
    saved = TrainedModel.load(loaded.save(workplace.storage / "kept.qsm"))
    np.testing.assert_array_equal(saved.outputs(workplace.x), expected)

    with pytest.raises(
        RunExistsError, match="vectors of parameters in the order of text"
    ) as caught:
        workplace.trainer(ModelConfig(circuit=text)).fit(workplace.data, existing="resume")
    assert AS_TEXT in caught.value.fix
    changed = ModelConfig(circuit=text.replace("rx", "ry"))
    with pytest.raises(RunExistsError, match="another circuit"):
        workplace.trainer(changed).fit(workplace.data, existing="resume")
    again = workplace.trainer(marked).fit(workplace.data, existing="resume")
    np.testing.assert_array_equal(again.model.outputs(workplace.x), expected)


def test_a_study_goes_on_with_the_same_circuit_only(workplace: Workplace):
    def recipe(model: dict) -> dict:
        return {"data": "d", "space": {}, "objectives": [], "decides": {"model": model}}

    kept = ModelConfig(circuit=f"{NAME}:build").to_dict()
    check_same(recipe({**kept, "circuit": f"{NAME}:build"}), recipe(kept))
    check_same(recipe(kept), recipe(kept))
    workplace.write("ry")
    changed = ModelConfig(circuit=f"{NAME}:build").to_dict()
    with pytest.raises(RunExistsError, match="study was started with another circuit"):
        check_same(recipe(kept), recipe(changed))


def test_every_trial_has_the_same_circuit(workplace: Workplace):
    model = {"circuit": f"{NAME}:build"}
    job = JobConfig.from_dict({**TABLE, "model": model, "storage": str(workplace.storage)})
    called = len(sys.modules[NAME].calls)
    trial = Space.from_dict(SPACE).apply(job, {RATE: 0.2})
    assert trial.model == job.model
    assert len(sys.modules[NAME].calls) == called


def test_edited_loaders_of_data_are_noticed(tmp_path: Path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "users_rows_to_be_digested.py"
    text = "def load():\n    return [[float(i), FACTOR * i] for i in range(20)], [0, 1] * 10\n"
    found = []
    for factor in (1, 2, 1):
        sys.modules.pop(file.stem, None)
        for cached in tmp_path.glob("__pycache__/*"):
            cached.unlink()
        file.write_text(text.replace("FACTOR", str(factor)), encoding="utf-8")
        importlib.invalidate_caches()
        params = {"call": f"{file.stem}:load"}
        config = DatasetConfig(name="f", source="function", params=params)
        found.append(DatasetLoader.load(config).fingerprint)
    assert found[0] == found[2] != found[1]


REPEATABLE = [(name, True) for name in ENCODINGS if name != "amplitude"]


@pytest.mark.parametrize(
    ("encoding", "reuploading"), [*((name, False) for name in ENCODINGS), *REPEATABLE]
)
def test_text_keeps_every_encoding_to_the_last_bit(encoding: str, reuploading: bool):
    circuit = build_circuit(
        encoding=encoding, ansatz="efficient_su2", n_qubits=3,
        n_features={"hamiltonian": 2, "amplitude": 7}.get(encoding, 3), layers=2,
        reuploading=reuploading,
    )  # fmt: skip
    assert from_text(circuit_text(circuit), name=circuit.name) == circuit


@pytest.mark.parametrize("ansatz", ANSATZE)
def test_text_keeps_every_ansatz_to_the_last_bit(ansatz: str):
    circuit = build_circuit(
        encoding="angle", ansatz=ansatz, n_qubits=4, n_features=2, layers=1, entanglement="ring"
    )
    assert from_text(circuit_text(circuit), name=circuit.name) == circuit


def test_an_edited_text_keeps_its_encoding():
    circuit = build_circuit(encoding="iqp", ansatz="basic", n_qubits=2, n_features=2, layers=1)
    text = circuit_text(circuit)
    edited = from_text(text.replace("qubit[2] q;", "qubit[2] q;\n// mine\n"), name=circuit.name)
    assert edited == circuit
    with pytest.raises(CircuitError, match="no encoding"):
        from_text(text.replace('"n_features": 2', '"n_features": 3'))
    with pytest.raises(CircuitError, match="no encoding"):
        from_text(text.replace('"pairs"', '"mine"'))


class _Mine:
    def __call__(self, x):
        return x

    def pullback(self, x, cotangent):
        return cotangent


def test_an_encoding_of_the_users_own_class_is_refused():
    circuit = build_circuit(encoding="angle", ansatz="basic", n_qubits=1, n_features=1, layers=1)
    object.__setattr__(circuit, "encode", _Mine())
    with pytest.raises(CircuitError, match="class of your own"):
        ModelConfig(circuit=circuit)


def test_circuits_templates_and_functions_are_taken_as_objects():
    template = Template(1, (Op("ry", (0,), (row(0).plus(param(0)),)),), n_rows=1, n_params=1)
    expected = ModelConfig(circuit=template)
    assert load_circuit(expected.circuit).template == template
    assert ModelConfig(circuit=lambda: template) == expected
    assert ModelConfig(circuit=lambda: circuit_text(load_circuit(template))) == expected
    with pytest.raises(ConfigError, match="says itself"):
        ModelConfig(circuit=template, features="x")
    with pytest.raises(ConfigError, match="needs arguments: n"):
        ModelConfig(circuit=lambda n: n)
