"""What report and model card say of backend, shots, noise and mitigation."""

from __future__ import annotations

import pytest

from qstore_ray import (
    DatasetConfig,
    DatasetLoader,
    ModelConfig,
    QuantumTrainer,
    TrackConfig,
    TrainerConfig,
)
from qstore_ray.train.report.execution import (
    execution,
    inexact,
    scored_ways,
    ways,
    without_details,
)
from qstore_ray.train.report.model_card import model_card
from qstore_ray.train.report.report import write_report

NOISE = {
    "gates": [{"on": "two_qubit", "channel": {"name": "depolarizing", "p": 0.01}}],
    "readout": 0.02,
    "test_trajectories": 3,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    iris = DatasetLoader.load(DatasetConfig(name="iris", params={"dataset": "iris"}))
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=4, layers=1),
        TrainerConfig(epochs=2, noise=NOISE),
        name="noisy",
        storage=tmp_path_factory.mktemp("runs"),
        track=TrackConfig(mlflow=False, figures=False),
    )
    return trainer.fit(iris)


def test_an_exact_run_says_so():
    assert execution({}) == [
        ("backend", "statevector"),
        ("shots", "none, exact values"),
        ("noise", "none"),
    ]


def test_a_device_is_not_said_to_have_no_noise():
    said = dict(execution({"backend": "ibm", "backend_options": {"shots": 512}}))
    assert said["noise"] == "that of the device"
    assert ways({"backend": "ibm"})["test"] == "on the device, with shots"
    assert ways({})["test"] == "exact"


def test_noise_shots_and_mitigation_are_said():
    said = dict(
        execution(
            {
                "backend": "aer",
                "backend_options": {"shots": 1024, "method": "density_matrix"},
                "noise": NOISE,
                "mitigation": {"readout": "inverse", "zne": None, "twirl": 8},
            }
        )
    )
    assert said["backend"] == "aer (method = density_matrix)"
    assert said["shots"] == "1,024 a row and basis"
    assert "depolarizing (p = 0.01) after two_qubit" in said["noise"]
    assert "readout error 0.02" in said["noise"]
    assert "3 for validation and test" in said["noise"]
    assert said["mitigation"] == "readout = inverse; twirl = 8"


def test_the_data_of_a_device_are_left_out():
    trainer = {"epochs": 3, "noise": {"device": {"name": "fake_x", "qubits": [1, 2]}}}
    assert without_details(trainer)["noise"]["device"] == "fake_x"
    assert "fake_x" in dict(execution(trainer))["noise"]
    assert trainer["noise"]["device"]["qubits"], "the configuration itself is not changed"


def test_accuracies_stand_side_by_side_with_intervals():
    metrics = {"test_accuracy": 0.9, "noisy_test_accuracy": 0.8}
    ways = scored_ways(metrics, 100, {"noise": NOISE})
    assert [way.said for way in ways] == ["exact", "with noise"]
    assert all(way.interval.low < way.accuracy < way.interval.high for way in ways)
    assert scored_ways({"test_accuracy": 0.9}, None, {})[0].interval is None
    assert scored_ways({"test_loss": 1.0}, 100, {}) == []


@pytest.mark.parametrize(
    ("trainer", "said"),
    [
        ({"noise": NOISE}, "with noise"),
        ({"backend_options": {"noise": NOISE}}, "with noise"),
        ({"backend_options": {"shots": 100}}, "with shots"),
        ({"noise": NOISE, "backend_options": {"shots": 100}}, "with noise and shots"),
    ],
)
def test_a_score_is_called_by_what_made_it_inexact(trainer, said):
    assert ways(trainer) == {"test": "exact", "noisy_test": said, "mitigated_test": "mitigated"}
    assert f"with {' and '.join(inexact(trainer))}" == said


def test_card_and_report_show_the_noise_of_a_run(run):
    card = model_card(run.run_dir)
    assert "depolarizing (p = 0.01) after two_qubit" in card
    assert "| with noise |" in card
    assert "The noise is a model of a device" in card
    page = write_report(run.run_dir).read_text()
    assert "depolarizing (p = 0.01) after two_qubit" in page
    assert "with noise" in page
