"""Variants of a job: the frontier is what nothing beats, and limits are kept."""

from __future__ import annotations

import json

import pytest

from qstore_ray import DatasetLoader
from qstore_ray.advise.resources import LIMITS, circuit_depth, frontier
from qstore_ray.circuits.template import Op, Template
from qstore_ray.cli.app import main
from qstore_ray.errors import ConfigError
from qstore_ray.estimate import estimate_job
from tests.unit.advise.test_predict import job

JOB = job(trainer={"epochs": 20})


def test_depth_is_that_of_gates_as_soon_as_they_can_begin():
    ops = (Op("h", (0,)), Op("h", (1,)), Op("cx", (0, 1)), Op("h", (2,)), Op("cx", (1, 2)))
    assert circuit_depth(Template(3, ops)) == 3
    assert circuit_depth(Template(3, ())) == 0


def test_nothing_beats_a_variant_of_the_frontier_and_something_beats_the_others():
    found = frontier(JOB)
    points = {id(v): (-v.accuracy, *v.costs) for v in found}
    for variant in found:
        own = points[id(variant)]
        beaten = any(
            other != own and all(a <= b for a, b in zip(other, own, strict=True))
            for other in points.values()
        )
        assert variant.on_frontier is not beaten
    assert any(not v.changes for v in found)
    assert [v.accuracy for v in found] == sorted((v.accuracy for v in found), reverse=True)


def test_fewer_layers_take_fewer_gates():
    gates = {v.changes.get("model.layers"): v.two_qubit_gates for v in frontier(JOB)
             if set(v.changes) <= {"model.layers"}}  # fmt: skip
    assert gates[1] < gates[None] < gates[4]


def test_limits_are_kept_or_the_least_is_named():
    most = {"two_qubit_gates": 8.0, "depth": 12.0}
    for variant in frontier(JOB, most):
        assert all(variant.costs[LIMITS.index(name)] <= value for name, value in most.items())
    with pytest.raises(ConfigError, match=r"no variant keeps the limits.*two_qubit_gates"):
        frontier(JOB, {"two_qubit_gates": 1.0})
    with pytest.raises(ConfigError, match="no such limit"):
        frontier(JOB, {"money": 1.0})


def test_outside_of_the_table_there_is_no_frontier(tmp_path, capsys):
    path = tmp_path / "job.toml"
    path.write_text(job(trainer={"epochs": 2}).to_toml())
    assert main(["advise", "resources", str(path)]) == 0
    text = capsys.readouterr().out
    assert "*" not in text
    assert "No score: 2 epochs" in text
    path.write_text(JOB.to_toml())
    assert main(["advise", "resources", str(path), "--depth", "20", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["variants"]
    assert max(each["depth"] for each in found) <= 20
    assert any(each["on_frontier"] for each in found)


@pytest.mark.slow
def test_variants_too_wide_for_this_machine_are_left_out():
    wide = {
        "name": "digits", "source": "sklearn", "params": {"dataset": "digits"},
        "split": {"train": 0.1, "test": 0.9}, "stratify": False,
        "preprocessing": [{"name": "pca", "components": 31}],
    }  # fmt: skip
    found = frontier(job(dataset=wide, model={"n_qubits": 31, "layers": 1}, trainer={"epochs": 1}))
    assert {} in [dict(each.changes) for each in found]
    assert not any("model.encoding" in each.changes for each in found)


@pytest.mark.parametrize(
    ("optimizer", "gradient"), [("adam", "auto"), ("adam", "spsa"), ("spsa", "auto")]
)
def test_counts_of_two_small_steps_are_those_of_whole_ones(optimizer: str, gradient: str):
    """Circuits and shots of a step grow by as much for each row."""
    config = job(
        model={"n_qubits": 4, "layers": 1},
        trainer={
            "epochs": 3, "batch_size": 35, "optimizer": optimizer, "gradient": gradient,
            "backend_options": {"shots": 4},
        },
    )  # fmt: skip
    data = DatasetLoader.load(config.dataset)
    whole, sample = (estimate_job(config, data, sample=each) for each in (False, True))
    assert (sample.circuits, sample.shots) == (whole.circuits, whole.shots)
    assert (whole.measured_steps > 2) is (sample.measured_steps == 2)
    assert sample.test_circuits == whole.test_circuits
