"""IBM's client-side Estimator through the gateway, against the stand-in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit.transpiler.exceptions import TranspilerError

from qstore_ray.backends.base import Bindings, Estimates
from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.forecast import jobs_for
from qstore_ray.backends.ibm.gateway.access import close_gateways
from qstore_ray.backends.ibm.gateway.recording import recording
from qstore_ray.backends.ibm.requests import JobCaps
from qstore_ray.backends.ibm.service import estimator
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.errors import BackendError, QStoreError
from tests.ibm.faults import Fault
from tests.ibm.test_gateway import POLICY, audit, records

TEMPLATE = Template(
    3,
    (
        Op("ry", (0,), (row(0),)), Op("cx", (0, 1)), Op("rx", (1,), (param(0),)),
        Op("ry", (2,), (row(1),)), Op("cx", (1, 2)), Op("rz", (2,), (param(1),)),
    ),
    2, 2,
)  # fmt: skip
OBSERVABLES = tuple(
    map(Observable.parse, ("Z0", "Z0 Z1", "X1", "0.5*Z2 - 0.25*X0 + 0.75*I0", "0.5*Z1 Z2 + Y0 Y1"))
)
"""In three bases, two of them in more than one."""
SHOTS = 1024


def rows(count: int) -> Bindings:
    """Values of so many rows, all different, in no order."""
    values = np.random.default_rng(count).uniform(0.2, 2.8, (count, 2))
    return Bindings(values, np.array([0.7, -0.4]))


def exact(bindings: Bindings, observables: tuple[Observable, ...] = OBSERVABLES) -> np.ndarray:
    """Exact values (N, O)."""
    return StatevectorBackend().evaluate(TEMPLATE, observables, bindings).values


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Callable[..., IbmBackend]]:
    """A backend of one run, whose gateway is closed at the end."""

    def opened(given: Any = None, shots: int = SHOTS, **options: Any) -> IbmBackend:
        policy = POLICY | options.pop("policy", {})
        made = IbmBackend(
            "fake_manila", shots, where="process", ledger=str(tmp_path / "ledgers"), level=1,
            policy=policy, estimator=given, **options,
        )  # fmt: skip
        return made.for_run("run")

    yield opened
    close_gateways()


def measured(backend: IbmBackend, step: int, bindings: Bindings) -> Estimates:
    """Values of rows, in one call."""
    return backend.evaluate(TEMPLATE, OBSERVABLES, bindings, key=DrawKey((7, step)))


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("count", [1, 4, 5, 6])
def test_each_observable_is_paired_with_each_row(ibm, backend, level, count):
    """Also if there are as many rows as observables."""
    bindings = rows(count)
    found = measured(backend({"resilience_level": level}), count, bindings)
    assert found.variances is not None
    assert found.values.shape == found.variances.shape == (count, len(OBSERVABLES))
    error = np.sqrt(np.maximum(found.variances, 1.0 / SHOTS))
    assert (np.abs(found.values - exact(bindings)) <= 6.0 * error).all()


def test_rows_in_several_parts_keep_their_order(ibm, backend, monkeypatch):
    monkeypatch.setattr(estimator, "MOST_POINTS", 2)
    found = measured(backend({"resilience_level": 0}), 0, rows(5))
    assert np.abs(found.values - exact(rows(5))).max() < 6.0 / SHOTS**0.5


def test_rows_of_a_circuit_without_parameters(ibm, backend):
    template = Template(2, (Op("h", (0,)), Op("cx", (0, 1))))
    observables = (Observable.parse("Z0 Z1"), Observable.parse("X0 X1"), Observable.parse("Z0"))
    bindings = Bindings(np.zeros((2, 0)), np.zeros(0))
    found = backend({}).evaluate(template, observables, bindings, key=DrawKey((1,)))
    assert np.allclose(found.values, [[1.0, 1.0, 0.0]] * 2, atol=6.0 / SHOTS**0.5)


OPTIONS = {
    "level 0": {"resilience_level": 0},
    "level 1": {"resilience_level": 1},
    "level 2": {"resilience_level": 2},
    "decoupled": {"resilience_level": 0, "dynamical_decoupling": {"enable": True}},
    "factors": {
        "resilience_level": 0,
        "resilience": {"zne_mitigation": True, "zne": {"noise_factors": [1, 1.5, 2, 3]}},
    },
    "randomizations": {
        "twirling": {"enable_gates": True, "num_randomizations": 3},
        "resilience": {"measure_noise_learning": {"num_randomizations": 5}},
    },
    "both": {"twirling": {"num_randomizations": 2, "shots_per_randomization": 50}},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_forecast_is_what_the_service_counts(ibm, backend, name):
    """In as many jobs as the caps need, with shots that no number of randomizations divides."""
    caps = {"executions": 8000}
    hardware = backend(OPTIONS[name], shots=100, policy={"caps": caps})
    with recording() as gateway:
        measured(hardware, 0, rows(5))
    jobs = jobs_for(gateway.take(), JobCaps(**caps))
    measured(hardware, 0, rows(5))
    accepted = [job.executions for job in ibm.accepted().values()]
    assert sorted(accepted) == sorted(job.executions for job in jobs)


def test_trials_share_a_job_and_its_calibration(ibm, backend, tmp_path):
    """Others with other options, and the Sampler's, have jobs of their own."""
    hardware = backend({}, policy={"delay": 0.3})
    plain = backend(policy={"delay": 0.3})
    measured(hardware, 0, rows(1))
    (first,) = ibm.accepted().values()
    asking = [
        threading.Thread(target=measured, args=(each, 1, rows(2)))
        for each in (hardware.for_run("run", "a"), hardware.for_run("run", "b"), plain)
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    counts = sorted(job.executions for job in ibm.accepted().values())
    circuits = 3 * SHOTS
    assert first.executions == circuits + SHOTS
    assert counts == [circuits + SHOTS, 2 * circuits, 2 * 2 * circuits + SHOTS]
    close_gateways()
    audit(ibm, tmp_path)


FAULTS = {
    "dropped after accept": [Fault("drop", after_effect=True)],
    "502 after accept": [Fault("status", status=502, after_effect=True)],
    "job failed": [Fault("fail", code=9701, message="system error")],
    "partial result": [Fault("partial")],
    "lost result": [Fault("lose_result")],
    "half an answer": [Fault("truncate", on="results")],
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_costs_nothing_and_loses_nothing(ibm, backend, tmp_path, name):
    hardware = backend({})
    for fault in FAULTS[name]:
        ibm.inject(fault)
    found = measured(hardware, 0, rows(3))
    assert np.abs(found.values - exact(rows(3))).max() < 0.2
    close_gateways()
    again = measured(backend({}), 0, rows(3))
    assert (again.values == found.values).all()
    assert again.variances is not None
    assert (again.variances == found.variances).all()
    close_gateways()
    audit(ibm, tmp_path)
    completed = [job for job in ibm.accepted().values() if job.end == "completed"]
    assert len(completed) == 1 + (name in {"partial result", "lost result"})


def test_a_job_is_found_and_decoded_by_another_gateway(start, backend, tmp_path):
    ibm = start(queue_delay=0.8)

    def interrupted() -> None:
        with pytest.raises(BackendError, match="was closed"):
            measured(backend(OPTIONS["level 2"]), 0, rows(3))

    thread = threading.Thread(target=interrupted)
    thread.start()
    ibm.wait(lambda: len(ibm.accepted()) == 1)
    close_gateways()
    thread.join()
    found = measured(backend(OPTIONS["level 2"]), 0, rows(3))
    assert np.abs(found.values - exact(rows(3))).max() < 0.4
    close_gateways()
    assert len(ibm.accepted()) == 1
    audit(ibm, tmp_path)
    (record,) = records(tmp_path)
    assert record.executions == ibm.accepted()[record.job_id].executions
    assert [path.suffix for path in tmp_path.rglob("results/*.npz")] == [".npz"]


def test_values_that_are_lost_here_are_fetched_again(ibm, backend, tmp_path):
    found = measured(backend({}), 0, rows(3))
    close_gateways()
    (path,) = tmp_path.rglob("results/*.npz")
    path.write_bytes(b"")
    again = measured(backend({}), 0, rows(3))
    assert (again.values == found.values).all()
    assert len(ibm.accepted()) == 1


@pytest.mark.parametrize(
    ("options", "where", "error"),
    [
        ({}, "executor_estimator.prepare", ValueError("no such box")),
        ({}, "executor_estimator.prepare", TranspilerError("no such box")),
        (None, "executor_sampler.sampler", TranspilerError("no such box")),
    ],
)
def test_circuits_that_the_client_cannot_prepare_are_an_error_at_once(
    ibm, backend, monkeypatch, options, where, error
):
    """And the gateway goes on."""
    hardware = backend(options)

    def fails(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(import_module(f"qiskit_ibm_runtime.{where}"), "prepare", fails)
        with pytest.raises(QStoreError, match="no such box"):
            measured(hardware, 0, rows(1))
    assert not ibm.accepted()
    measured(hardware, 1, rows(1))
    assert len(ibm.accepted()) == 1


def test_mitigated_values_are_nearer_to_the_exact_ones(start, backend):
    """Of a noisy device, with so many shots that errors of the readout are most of what is left."""
    start(execution="noisy")
    bindings, expected = rows(4), exact(rows(4))
    error = [
        np.sqrt(np.mean((measured(each, 0, bindings).values - expected) ** 2))
        for each in (backend({"resilience_level": level}, shots=16_384) for level in (0, 1))
    ]
    assert error[1] < 0.5 * error[0]
