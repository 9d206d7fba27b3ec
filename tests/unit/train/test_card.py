"""The model card: every number in it is computed again here, and its code runs."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qstore_ray import (
    DatasetConfig,
    DatasetLoader,
    ModelConfig,
    QuantumTrainer,
    TrackConfig,
    TrainedModel,
    TrainerConfig,
)
from qstore_ray.baseline import linear_baseline
from qstore_ray.circuits.qiskit.qiskit import to_qiskit
from qstore_ray.track.reading.statistics import wilson_interval
from qstore_ray.train.report.model_card import model_card
from qstore_ray.train.run.provenance import DataOrigin, Origin
from tests.trained_models import made

STEPS = [{"name": "standard"}, {"name": "pca", "components": 3}]
CONFIG = DatasetConfig(name="iris", params={"dataset": "iris"}, preprocessing=STEPS)


@pytest.fixture(scope="module")
def data():
    return DatasetLoader.load(CONFIG)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=3, layers=1),
        TrainerConfig(epochs=3),
        name="flowers",
        storage=tmp_path_factory.mktemp("runs"),
        track=TrackConfig(mlflow=False),
    )
    return trainer.fit(data, baseline=linear_baseline(data))


def _rows(card: str) -> dict[str, list[str]]:
    """First cell to the other cells of every line of the tables before the environment's."""
    lines = card.partition("## Environment")[0].splitlines()
    cells = [line[2:-2].split(" | ") for line in lines if line.startswith("| ")]
    return {first: rest for first, *rest in cells}


def test_the_numbers_are_those_of_the_run_and_the_data(trained, data):
    card = model_card(trained.run_dir)
    rows = _rows(card)
    assert card.startswith("# Model card: flowers\n")
    for split, size in data.sizes.items():
        assert rows[split] == [str(n) for n in (size, *data.class_counts[split])]
    assert rows["fingerprint of the data"] == [data.fingerprint]
    for name, text in data.provenance.items():
        assert rows[name] == [text]
    for name, value in trained.metrics.items():
        assert rows[name][0] == f"{value:.6g}"
    model = trained.model
    scores = model.evaluate(data, "test")
    assert rows["test_accuracy"][0] == f"{scores['accuracy']:.6g}"
    assert rows["test_loss"][0] == f"{scores['loss']:.6g}"
    hits = int(np.trace(model.confusion(data, "test")))
    theirs = round(30 * trained.metrics["baseline_accuracy"])
    for name, right in (("test_accuracy", hits), ("baseline_accuracy", theirs)):
        interval = wilson_interval(right, 30)
        assert rows[name][1] == f"{interval.low:.4f} to {interval.high:.4f}, n = 30"
    assert f"The model is {trained.verdict}." in card
    assert rows["train_accuracy"][1] == "", "counted while the parameters changed"


def test_the_circuit_is_the_one_that_qiskit_counts(trained):
    rows = _rows(model_card(trained.model))
    template = trained.model.model.circuit.template
    circuit = to_qiskit(template)
    assert rows["qubits"] == [str(circuit.num_qubits)]
    assert rows["depth"] == [str(circuit.depth())]
    counts = dict(Counter(circuit.count_ops()))
    gates = ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))
    assert rows["gates"] == [f"{circuit.size()}: {gates}"]
    assert rows["parameters"] == ["21: circuit 9, weights 9, bias 3"]
    assert len(trained.model.theta) == 21


def test_the_numbers_of_qubits_in_the_circuit_as_given_are_told(trained):
    model = trained.model.model
    wide = replace(model, circuit=replace(model.circuit, wires=(17, 100, 126)))
    rows = _rows(model_card(replace(trained.model, model=wide)))
    assert rows["qubits"] == ["3: numbers 17, 100, 126 of the circuit as given"]


def test_the_diagram_has_every_gate_in_its_level(trained):
    diagram = model_card(trained.model).partition("```text\n")[2].partition("\n```")[0]
    assert diagram.splitlines() == [
        "q0: -ry(x0)--ry(p0)--rz(p3)--cz[0:1]-----------cz[2:0]--ry(p6)-",
        "q1: -ry(x1)--ry(p1)--rz(p4)--cz[0:1]--cz[1:2]---ry(p7)---------",
        "q2: -ry(x2)--ry(p2)--rz(p5)-----------cz[1:2]--cz[2:0]--ry(p8)-",
    ]
    assert "```text" not in model_card(made(layers=20)), "too long to draw"


def test_the_code_in_it_runs(trained, tmp_path: Path, monkeypatch, capsys):
    trained.model.save(tmp_path / "mine.qsm")
    code = re.findall(r"```python\n(.*?)```", model_card(trained.model, file="mine.qsm"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code[0], "card", "exec"), {})  # the card's own lines
    printed = capsys.readouterr().out.splitlines()
    assert int(printed[0].strip("[]")) == trained.model.predict(np.zeros((1, 4)))[0]


def test_a_model_file_gives_the_card_of_its_run(trained, tmp_path: Path):
    path = trained.model.save(tmp_path / "m.qsm")
    assert model_card(path) == model_card(trained.run_dir) == model_card(TrainedModel.load(path))


def test_the_verdict_is_that_of_the_run():
    said = "worse than logistic regression on the same features: accuracy 0.1 against 0.9"
    card = model_card(made(origin=Origin(metrics={"test_accuracy": 0.1}, verdict=said)))
    assert f"The model is {said}." in card
    assert "The model is" not in model_card(made(origin=Origin(metrics={"test_accuracy": 0.1})))


def test_what_was_not_recorded_is_said_to_be_so():
    card = model_card(made(classes=()))
    assert card.count("not recorded") == 5
    assert "predict_proba" not in card
    assert "Predicting a number" in card
    assert "## Licence" in card


def test_what_came_from_elsewhere_stays_text():
    data = DataOrigin(
        name="a|b\n# Evil", task="x", provenance={"source": "<script>`"}, sizes={"test": 3}
    )
    card = model_card(made(origin=Origin(data=data)))
    assert "a\\|b # Evil" in card
    assert "<script" not in card
    assert "\n# Evil" not in card
