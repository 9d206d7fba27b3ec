"""Fault-tolerant estimates: counts that are known, and laws of the estimator's answer."""

from __future__ import annotations

import json
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.advise.fault_tolerant import QUBITS, fault_tolerant_cost, logical_circuit
from qstore_ray.circuits.library.library import build_circuit
from qstore_ray.circuits.template import Op, Template, param
from qstore_ray.cli.app import main
from qstore_ray.errors import ConfigError, QStoreError
from tests.unit.advise.test_predict import job


def layered(n_qubits: int, layers: int) -> Template:
    return build_circuit(
        encoding="angle",
        ansatz="efficient_su2",
        n_qubits=n_qubits,
        n_features=n_qubits,
        layers=layers,
    ).template


def test_clifford_gates_are_free_and_t_gates_are_counted():
    ops = (Op("h", (0,)), Op("cx", (0, 1)), Op("s", (1,)), Op("t", (1,)), Op("tdg", (0,)))
    found = logical_circuit(Template(2, ops))
    assert (found.rotations, found.t_gates, found.rotation_depth) == (0, 2, 0)


def test_rotations_on_different_qubits_share_a_layer():
    angle = param(0)
    ops = (Op("ry", (0,), (angle,)), Op("ry", (1,), (angle,)), Op("rz", (1,), (angle,)))
    found = logical_circuit(Template(2, ops, n_params=1))
    assert (found.rotations, found.rotation_depth, found.qubits) == (3, 2, 2)


def test_the_estimator_gives_what_it_gives_alone(monkeypatch):
    """20 qubits, 800 rotations in 40 layers: measured with qdk 1.33.1 alone."""
    monkeypatch.setattr(
        "qstore_ray.advise.fault_tolerant.logical_circuit",
        lambda _: logical_circuit(Template(20, ()))._replace(rotations=800, rotation_depth=40),
    )
    found = fault_tolerant_cost(Template(20, ()))
    assert (found.physical_qubits, found.t_states, found.code_distance) == (2_664_252, 13_600, 13)
    assert found.seconds == pytest.approx(7.8e-3)


@given(st.integers(2, 5), st.integers(1, 3), st.sampled_from(QUBITS))
def test_more_layers_and_a_smaller_budget_never_take_less(n_qubits, layers, qubit):
    few = fault_tolerant_cost(layered(n_qubits, layers), qubit=qubit)
    more = fault_tolerant_cost(layered(n_qubits, layers + 1), qubit=qubit)
    exact = fault_tolerant_cost(layered(n_qubits, layers), qubit=qubit, error_budget=1e-6)
    assert more.t_states > few.t_states
    assert more.seconds >= few.seconds
    assert exact.t_states >= few.t_states
    assert exact.code_distance >= few.code_distance


def test_it_sends_nothing_about_its_users():
    fault_tolerant_cost(layered(2, 1))
    assert os.environ["QDK_PYTHON_TELEMETRY"] == "none"


@pytest.mark.parametrize("budget", [0.0, -1.0, 1.0, 2.0, float("nan"), 1e-30])
def test_a_budget_that_cannot_be_kept_is_refused(budget):
    with pytest.raises(ConfigError, match=r"error.budget|probability"):
        fault_tolerant_cost(layered(3, 1), error_budget=budget)


def test_an_unknown_qubit_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="qubit_maj_ns_e6"):
        fault_tolerant_cost(layered(3, 1), qubit="transmon")


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "qdk.estimator", None)
    with pytest.raises(QStoreError, match="fault-tolerant"):
        fault_tolerant_cost(layered(3, 1))


def test_the_command_adds_columns_only_if_asked(tmp_path, capsys):
    path = tmp_path / "job.toml"
    path.write_text(job(trainer={"epochs": 20}).to_toml())
    assert main(["advise", "resources", str(path)]) == 0
    assert "physical qubits" not in capsys.readouterr().out
    assert main(["advise", "resources", str(path), "--error-budget", "0.001"]) == 0
    assert "physical qubits" in capsys.readouterr().out
    assert main(["advise", "resources", str(path), "--error-budget", "0.01", "--json"]) == 0
    for each in json.loads(capsys.readouterr().out)["variants"]:
        assert each["fault_tolerant"]["logical"]["qubits"] == 4
        assert each["fault_tolerant"]["error_budget"] == 0.01
