"""What a job will take and reach: the plan's own numbers, and a score only inside the table."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest

from qstore_ray import DatasetLoader, JobConfig, QuantumTrainer, TrackConfig
from qstore_ray.advise.configuration import configuration_of, skill_of
from qstore_ray.advise.evidence import evidence
from qstore_ray.advise.predict import (
    left_out_configurations,
    predict_job,
    table_configurations,
    unmeasured_interval,
)
from qstore_ray.advise.seconds_model import SecondsModel
from qstore_ray.errors import QStoreError
from qstore_ray.estimate import estimate_job
from qstore_ray.train import first_steps

IRIS = {
    "name": "iris",
    "dataset": {
        "source": "sklearn",
        "params": {"dataset": "iris"},
        "split": {"train": 0.7, "test": 0.3},
        "stratify": True,
        "name": "iris",
    },
    "model": {"n_qubits": 4},
    "track": {"mlflow": False, "figures": False},
}


def job(**changed):
    values = {**IRIS, **changed}
    return JobConfig.from_dict(values)


def test_a_known_configuration_has_nearly_the_skill_that_was_predicted_of_it():
    known = table_configurations()
    skills = np.random.default_rng(0).normal(size=(3, len(known)))
    found = np.array([skill_of(each, known, skills) for each in known]).T
    assert np.corrcoef(found.ravel(), skills.ravel())[0, 1] > 0.9
    flat = np.full((2, len(known)), 0.4)
    assert skill_of(known[0], known, flat) == pytest.approx([0.4, 0.4])


def test_a_left_out_configuration_does_not_see_its_own_skill():
    known = table_configurations()
    skills = np.random.default_rng(0).normal(size=(2, len(known)))
    changed = skills.copy()
    changed[:, 7] += 5.0
    before, after = (left_out_configurations(each, known) for each in (skills, changed))
    assert before[:, 7] == pytest.approx(after[:, 7])


def test_two_widths_are_closer_than_two_encodings():
    first = configuration_of(evidence().table.candidates[0])
    wider = first._replace(n_qubits=5, n_parameters=40)
    other = first._replace(encoding="basis")
    apart = [np.abs(first.numbers() - each.numbers()).max() for each in (wider, other)]
    assert apart[0] < apart[1]


def test_the_law_of_seconds_finds_its_own_factors_and_bad_rows_do_not_bend_it():
    rng = np.random.default_rng(0)
    steps, engine = rng.integers(50, 500, 400), rng.exponential(0.1, 400)
    seconds = 0.0003 * steps + 1.3 * engine
    seconds[:20] *= 5.0
    columns = {
        "steps": steps, "engine_seconds": engine, "seconds": seconds,
        "optimizer": np.repeat("adam", 400),
    }  # fmt: skip
    law = SecondsModel.fit(columns)
    assert (law.step, law.engine) == pytest.approx((0.0003, 1.3), rel=0.02)
    assert float(law.predict(100, 0.0)) == pytest.approx(0.03, rel=0.02)


def test_counts_are_those_of_the_estimate():
    found, planned = predict_job(job()), estimate_job(job())
    assert found.circuits == planned.circuits + planned.test_circuits
    assert found.seconds > planned.train_seconds
    assert found.seconds_low < found.seconds < found.seconds_high
    assert found.qpu_seconds is None


def test_a_busy_machine_does_not_lengthen_the_steps_that_are_timed(monkeypatch):
    config = job(trainer={"epochs": 5, "optimizer": "qng"})
    alone = estimate_job(config).step_seconds
    busy = SimpleNamespace(
        perf_counter=lambda: 50.0 * time.perf_counter(), process_time=time.process_time
    )
    monkeypatch.setattr(first_steps, "time", busy)
    assert estimate_job(config).step_seconds < 10.0 * alone


def test_inside_the_table_it_gives_a_score_with_its_interval():
    found = predict_job(job())
    assert found.outside == ()
    assert found.accuracy.low <= found.accuracy.score <= found.accuracy.high
    assert found.accuracy.score > 0.6
    low, high = unmeasured_interval(evidence())
    assert low < 0.0 < high


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": {"n_qubits": 4, "layers": 40}}, "40 layers"),
        ({"model": {"n_qubits": 14}}, "14 qubits"),
        ({"model": {"n_qubits": 4, "observables": ["Z0", "Z1"]}}, "observables of your own"),
        ({"model": {"n_qubits": 3, "pre_layers": [3]}}, "classical layers"),
        ({"trainer": {"epochs": 1}}, "1 epochs"),
        ({"trainer": {"backend_options": {"shots": 100}, "epochs": 20}}, "noise, shots"),
    ],
)
def test_outside_of_the_table_it_says_why(changed, said):
    found = predict_job(job(**changed))
    assert found.accuracy is None
    assert said in "; ".join(found.outside)
    assert found.seconds > 0.0


def test_a_regression_is_outside():
    diabetes = {**IRIS["dataset"], "params": {"dataset": "diabetes"}, "name": "d"}
    regression = diabetes | {"task": "regression", "stratify": False}
    found = predict_job(job(dataset=regression, model={"n_qubits": 10}))
    assert "the table has no regression" in found.outside


def test_a_job_that_cannot_run_is_refused_as_training_refuses_it():
    with pytest.raises(QStoreError, match="at most 2"):
        predict_job(job(model={"n_qubits": 2}))


def test_the_disk_space_is_that_of_a_run(tmp_path):
    config = job(trainer={"epochs": 2})
    trainer = QuantumTrainer(
        config.model, config.trainer, name="run", storage=tmp_path,
        track=TrackConfig(mlflow=False, figures=False),
    )  # fmt: skip
    trainer.fit(DatasetLoader.load(config.dataset))
    used = sum(file.stat().st_size for file in (tmp_path / "run").rglob("*") if file.is_file())
    assert 0.4 * used < predict_job(config).disk_mb * 2**20 < 2.5 * used
