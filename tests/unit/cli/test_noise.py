"""`qstore noise show`: what a noise says, in text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error

from qstore_ray.cli.app import main

JOB = """
name = "flowers"
[dataset]
name = "iris"
params = { dataset = "iris" }
preprocessing = [{ name = "minmax" }]
[model]
layers = 1
[trainer]
num_workers = 0
"""
NOISE = """
readout = 0.02
[[gates]]
on = "two_qubit"
channel = { name = "depolarizing", p = 0.01 }
[[gates]]
on = "cz"
channel = { name = "amplitude_damping", gamma = 0.01 }
"""


@pytest.fixture
def job(tmp_path: Path) -> str:
    (tmp_path / "job.toml").write_text(JOB)
    return str(tmp_path / "job.toml")


def test_a_device_is_shown_by_qubit_and_pair(capsys):
    assert main(["noise", "show", "fake_manila"]) == 0
    text = capsys.readouterr().out
    assert "0  131.5  102.2       3.53  0.0155" in text
    assert " 0-1  cx      0.883      277" in text
    assert "thermal_relaxation" in text
    assert "idle qubits do not decay" in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_device_in_json(capsys):
    assert main(["noise", "show", "fake_torino", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["device"], found["n_qubits"], len(found["qubits"])) == ("fake_torino", 133, 133)
    assert found["clamped_t2"] == [23, 44, 61, 65, 86]
    assert [15, 19] in found["faulty"]
    assert found["twirled"] == ["thermal_relaxation"]


def test_with_a_job_its_compiled_circuit_is_shown(capsys, job: str):
    assert main(["noise", "show", "fake_manila", "--job", job, "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    circuit = found["circuit"]
    assert sorted(circuit["layout"]) == [each["qubit"] for each in found["qubits"]]
    assert set(circuit["gates"]) <= {"cx", "rz", "sx", "x"}
    assert 0.5 < circuit["expected_fidelity"] < 1.0
    assert main(["noise", "show", "fake_manila", "--job", job]) == 0
    text = capsys.readouterr().out
    assert "optimization level 3, seed 0" in text
    assert f"{circuit['expected_fidelity']:.3g} expected" in text


@pytest.mark.parametrize(
    "table", [NOISE, "[trainer.noise]" + NOISE.replace("[gates]", "[trainer.noise.gates]")]
)
def test_a_noise_table_is_shown_by_entry(capsys, tmp_path: Path, job: str, table: str):
    file = tmp_path / "noise.toml"
    file.write_text(table)
    assert main(["noise", "show", str(file), "--job", job]) == 0
    text = capsys.readouterr().out
    assert "depolarizing: p = 0.01" in text
    assert "amplitude_damping" in text
    assert "expected" in text
    assert main(["noise", "show", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["noise"]["readout"] == 0.02
    assert found["twirled"] == ["amplitude_damping"]


def test_what_cannot_be_shown_says_why(capsys, tmp_path: Path, job: str):
    (tmp_path / "props.json").write_text('{"qubits": 3}')
    for arguments, said in (
        (["fake_torinno"], "fake_torino"),
        ([str(tmp_path / "props.json")], "no description of a device"),
        ([job], "trainer.noise"),
        (["fake_manila", "--set", "model.layers=2"], "--job"),
        (["fake_manila", "--job", job, "--set", "model.n_qubits=6"], "5 connected qubits"),
    ):
        assert main(["noise", "show", *arguments]) == 2
        assert said in capsys.readouterr().err, arguments


def test_an_aer_noise_model_of_all_qubits_is_shown(capsys, tmp_path: Path, job: str):
    model = NoiseModel()
    model.add_all_qubit_quantum_error(depolarizing_error(0.01, 1), ["h", "rx"])
    model.add_all_qubit_quantum_error(depolarizing_error(0.08, 2), ["cx"])
    model.add_readout_error(ReadoutError([[0.9, 0.1], [0.2, 0.8]]), [0])
    path = tmp_path / "model.json"
    path.write_text(json.dumps(model.to_dict(serializable=True)))
    assert main(["noise", "show", str(path), "--job", job]) == 0
    text = capsys.readouterr().out
    assert "any number" in text
    assert "cx                        6" in text  # 3/4 of 0.08, in percent
    assert main(["noise", "show", str(path), "--job", job, "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [q["readout_error"] for q in found["qubits"]] == [pytest.approx(0.15), None, None, None]
