"""Mitigation on the stand-in: the qubits that are calibrated, the gates and jobs submitted.

The fixture `submitted` records circuits where the stand-in runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from qstore_ray import ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.gateway.access import close_gateways
from qstore_ray.backends.ibm.ledger.layout import CALIBRATION
from qstore_ray.backends.ibm.service import client
from qstore_ray.backends.ibm.service.isa import compile_isa
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.mitigation.backend import (
    MitigatedBackend,
    mitigated,
    open_mitigated,
)
from qstore_ray.backends.mitigation.config import MitigationConfig
from qstore_ray.backends.noise.device.device import DeviceQubit
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import BudgetError, ConfigError, LedgerError
from tests.ibm.devices import fake_backend
from tests.ibm.test_gateway import POLICY

PAIR = Template(2, (Op("ry", (0,), (row(0),)), Op("cx", (0, 1)), Op("rx", (1,), (param(0),))), 1, 1)
THREE = Template(
    3,
    (Op("ry", (0,), (row(0),)), Op("cx", (0, 1)), Op("cx", (1, 2)), Op("rx", (0,), (param(0),))),
    1,
    1,
)
ANGLES = np.array([[0.3], [1.4], [2.9]])
CIRCUITS = MitigationConfig(readout="inverse", calibration="circuits")


@pytest.fixture
def opened(tmp_path) -> Iterator[Callable[..., MitigatedBackend]]:
    """A mitigated backend of one run, whose gateway is closed at the end."""

    def made(config: MitigationConfig, **options: Any) -> MitigatedBackend:
        given = {
            "device": "fake_manila", "shots": 1000, "where": "process",
            "ledger": str(tmp_path / "ledgers"), "policy": POLICY,
        } | options  # fmt: skip
        return open_mitigated("ibm", given, config).for_run("run")

    yield made
    close_gateways()


def measured_qubits(circuit: Any) -> list[int]:
    return [
        circuit.find_bit(item.qubits[0]).index
        for item in circuit.data
        if item.operation.name == "measure"
    ]


def two_qubit_gates(circuit: Any) -> int:
    return sum(item.operation.num_qubits == 2 for item in circuit.data)


@pytest.mark.parametrize("technique", ["inverse", "matrix_free"])
def test_mitigated_values_are_those_without_readout_errors(start, opened, technique):
    """fake_manila reads wrong 2 to 5 times in 100; its gates err less than one in a thousand."""
    start(execution="noisy")
    turns = Template(3, tuple(Op("ry", (q,), (row(0),)) for q in range(3)), n_rows=1)
    seen = tuple(map(Observable.parse, ("Z0 Z1 Z2", "Z0")))
    rows = Bindings(ANGLES[[0, 2]], np.zeros(0))
    exact = StatevectorBackend().evaluate(turns, seen, rows).values
    config = CIRCUITS.model_copy(update={"readout": technique, "calibration_shots": 50_000})
    found = opened(config, shots=50_000).evaluate(turns, seen, rows, key=DrawKey((1,)))
    unmitigated = opened(MitigationConfig(twirl=1), shots=50_000).evaluate(
        turns, seen, rows, key=DrawKey((2,))
    )
    assert found.variances is not None
    bound = 5.0 * np.sqrt(found.variances) + 0.004
    assert (np.abs(found.values - exact) < bound).all()
    assert (np.abs(unmitigated.values - exact)[:, 0] > 2.0 * bound[:, 0]).all()


@pytest.mark.parametrize("technique", ["inverse", "matrix_free"])
def test_calibrations_are_in_the_same_job_and_on_the_same_qubits(ibm, opened, submitted, technique):
    config = CIRCUITS.model_copy(update={"readout": technique})
    backend = opened(config)
    bindings = Bindings(ANGLES, np.array([0.7]))
    seen = (Observable.parse("Z0 Z1 Z2"), Observable.parse("Z1"))
    first = backend.evaluate(THREE, seen, bindings, key=DrawKey((1,)))
    (job,) = ibm.accepted().values()
    circuit, *preparations = [circuit for circuit, _ in submitted]
    assert [rows for _, rows in submitted] == [3, 10, 10], "10,000 shots in rows of 1,000"
    assert job.executions == 23 * 1000
    for prepared, x_gates in zip(preparations, (0, 3), strict=True):
        assert measured_qubits(prepared) == measured_qubits(circuit)
        assert prepared.count_ops().get("x", 0) == x_gates
        assert two_qubit_gates(prepared) == 0
    again = backend.evaluate(THREE, seen, bindings, key=DrawKey((1,)))
    np.testing.assert_array_equal(again.values, first.values)
    exact = StatevectorBackend().evaluate(THREE, seen, bindings).values
    np.testing.assert_allclose(first.values, exact, atol=0.15)
    backend.evaluate(THREE, seen, bindings, key=DrawKey((2,)))
    assert [each.executions for each in ibm.accepted().values()] == [23_000, 3_000]


def test_a_calibration_is_paid_once_in_a_run_that_is_resumed(ibm, opened):
    z, rows = (Observable.parse("Z1"),), Bindings(ANGLES, np.array([0.7]))
    values = [opened(CIRCUITS).evaluate(PAIR, z, rows, key=DrawKey((1,))).values]
    close_gateways()
    values.append(opened(CIRCUITS).evaluate(PAIR, z, rows, key=DrawKey((1,))).values)
    assert len(ibm.accepted()) == 1
    opened(CIRCUITS).evaluate(PAIR, z, rows, key=DrawKey((2,)))
    assert [each.executions for each in ibm.accepted().values()] == [23_000, 3_000]
    np.testing.assert_array_equal(*values)


def test_a_run_stays_on_its_qubits_when_the_calibration_changes(
    ibm, opened, submitted, monkeypatch, tmp_path
):
    z, bindings = (Observable.parse("Z1"),), Bindings(ANGLES, np.array([0.7]))
    opened(CIRCUITS).evaluate(PAIR, z, bindings, key=DrawKey((1,)))
    close_gateways()
    used = measured_qubits(submitted[0][0])
    read = client.read_device

    def changed(backend: Any) -> Any:
        """The qubit that was measured is the worst now."""
        device = read(backend)
        bad = DeviceQubit(readout=((0.6, 0.4), (0.4, 0.6)))
        qubits = [bad if number in used else q for number, q in enumerate(device.qubits)]
        return device.model_copy(update={"qubits": tuple(qubits)})

    backend = fake_backend("fake_manila")
    (now,) = compile_isa(PAIR, z, changed(backend), backend.target)
    assert measured_qubits(now.circuit) != used, "a new run takes others"
    monkeypatch.setattr(client, "read_device", changed)
    opened(CIRCUITS).evaluate(PAIR, z, bindings, key=DrawKey((2,)))
    close_gateways()
    assert measured_qubits(submitted[-1][0]) == used
    assert [each.executions for each in ibm.accepted().values()] == [23_000, 3_000]
    (path,) = tmp_path.rglob(CALIBRATION)
    path.write_text("{")
    with pytest.raises(LedgerError, match="calibration of the run is damaged"):
        opened(CIRCUITS).evaluate(PAIR, z, bindings, key=DrawKey((3,)))


def test_workers_share_one_calibration_in_the_job_of_the_step(ibm, opened):
    """The first worker's share waits for the second's, and so does its calibration."""
    import threading

    z = (Observable.parse("Z1"),)

    def share(part: int) -> None:
        rows = Bindings(np.full((2, 1), 0.3 * part), np.array([0.7]))
        key = DrawKey((1,), first_row=2 * part, part=part, parts=2)
        opened(CIRCUITS).evaluate(PAIR, z, rows, key=key)

    first = threading.Thread(target=share, args=(0,))
    first.start()
    first.join(0.3)
    share(1)
    first.join()
    assert [each.executions for each in ibm.accepted().values()] == [24_000]


def test_values_from_corrected_outcomes_are_those_of_corrected_observables():
    from qstore_ray.backends.counts import can_count
    from qstore_ray.backends.mitigation.corrected_outcomes import estimates_of_counts
    from qstore_ray.backends.mitigation.inverse_readout import ReadoutMap, corrected

    backend = StatevectorBackend(shots=200)
    assert can_count(backend)
    seen = tuple(map(Observable.parse, ("Z0 Z1 + 0.5*Z2", "Z1", "X0 Z2")))
    bindings, key = Bindings(ANGLES, np.array([0.7])), DrawKey((3,))
    confusions = np.array(
        [[[1 - a, b], [a, 1 - b]] for a, b in ((0.02, 0.05), (0.01, 0.03), (0.04, 0.02))]
    )
    counts = backend.counts(THREE, seen, bindings, key=key)

    def values(confusions: np.ndarray) -> np.ndarray:
        read = ReadoutMap.of(confusions)
        return estimates_of_counts(counts, read.shifts, read.slopes, None).values

    read = ReadoutMap.of(confusions)
    as_read = counts.estimates().values
    by_sums = backend.evaluate(
        THREE, tuple(corrected(each, read) for each in seen[:2]), bindings, key=key
    ).values
    assert np.abs(values(confusions) - as_read).max() > 0.01
    np.testing.assert_allclose(
        estimates_of_counts(
            backend.counts(THREE, seen[:2], bindings, key=key), read.shifts, read.slopes, None
        ).values,
        by_sums,
        atol=1e-12,
    )
    errors = np.full(6, 0.01)
    shared = estimates_of_counts(counts, read.shifts, read.slopes, errors).shared_errors
    assert shared is not None
    for number in range(6):  # by differences
        qubit, one = divmod(number, 2)
        moved = [confusions.copy(), confusions.copy()]
        for matrix, step in zip(moved, (1e-6, -1e-6), strict=True):
            matrix[qubit, 1 - one, one] += step
            matrix[qubit, one, one] -= step
        by_step = (values(moved[0]) - values(moved[1])) / 2e-6
        np.testing.assert_allclose(shared[..., number], 0.01 * by_step, atol=1e-8)


@pytest.mark.parametrize("folding", ["global", "local"])
def test_folds_are_submitted_as_they_are_in_one_job(ibm, opened, submitted, folding):
    zne = {"scales": [1, 3, 5], "folding": folding, "extrapolation": "linear"}
    backend = opened(MitigationConfig(zne=zne))
    bindings, seen = Bindings(ANGLES, np.array([0.7])), (Observable.parse("Z0 Z1"),)
    found = backend.evaluate(THREE, seen, bindings, key=DrawKey((1,)))
    assert len(ibm.accepted()) == 1
    gates = [two_qubit_gates(circuit) for circuit, _ in submitted]
    assert gates[0] >= 2
    assert gates == [gates[0], 3 * gates[0], 5 * gates[0]]
    sx = [circuit.count_ops()["sx"] for circuit, _ in submitted]
    assert sx == [sx[0], 3 * sx[0], 5 * sx[0]]
    exact = StatevectorBackend().evaluate(THREE, seen, bindings).values
    np.testing.assert_allclose(found.values, exact, atol=0.25)


def test_folds_of_a_device_do_what_the_circuit_does(ibm, opened):
    """Each scale is measured alone by scales that differ in it alone."""
    bindings, seen = Bindings(ANGLES, np.array([0.7])), (Observable.parse("Z0 Z1"),)
    exact = StatevectorBackend().evaluate(THREE, seen, bindings).values
    for folding in ("global", "local"):
        zne = {"scales": [3, 5], "folding": folding}
        found = opened(MitigationConfig(zne=zne), shots=20_000).evaluate(
            THREE, seen, bindings, key=DrawKey((1,))
        )
        assert found.variances is not None
        assert (np.abs(found.values - exact) < 5.0 * np.sqrt(found.variances) + 1e-9).all()


def test_all_techniques_at_once_are_one_job(ibm, opened, submitted):
    config = MitigationConfig(
        readout="inverse", calibration="circuits", zne={"scales": [1, 3]}, twirl=2
    )
    backend = opened(config)
    bindings, seen = Bindings(ANGLES, np.array([0.7])), (Observable.parse("Z0 Z1"),)
    found = backend.evaluate(THREE, seen, bindings, key=DrawKey((1,)))
    assert len(ibm.accepted()) == 1
    assert [rows for _, rows in submitted] == [6, 6, 20, 20], "instances of 500 shots"
    exact = StatevectorBackend().evaluate(THREE, seen, bindings).values
    np.testing.assert_allclose(found.values, exact, atol=0.25)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (MitigationConfig(readout="inverse"), "mitigation.calibration"),
        (MitigationConfig(readout="matrix_free"), "mitigation.calibration"),
        (MitigationConfig(zne={"scales": [1, 2]}), "mitigation.zne.scales"),
        (MitigationConfig(zne={"scales": [1, 1.5, 3]}), "mitigation.zne.scales"),
    ],
)
def test_what_a_device_cannot_do_is_refused_before_anything_is_submitted(config, field):
    def check() -> None:
        backend = open_mitigated("ibm", {"device": "fake_manila"}, config)
        backend.check(PAIR, (Observable.parse("Z0"),), Bindings(ANGLES, np.array([0.7])))

    with pytest.raises(ConfigError) as caught:
        check()
    assert caught.value.field == field


def test_shots_of_a_device_need_not_be_given():
    backend = open_mitigated("ibm", {"device": "fake_manila"}, CIRCUITS)
    assert backend.shots == IbmBackend("fake_manila").shots


def test_a_mitigated_object_trains_within_its_budget(ibm, tmp_path):
    """What the forecast was computed with is not taken for measured."""
    x = np.random.default_rng(0).normal(size=(30, 1))
    data = DatasetLoader.from_arrays(x, (x[:, 0] > 0).astype(int))

    def fit(name: str, jobs: int) -> None:
        inner = IbmBackend(
            "fake_manila", 50, level=1, ledger=str(tmp_path / "ledgers"), policy=POLICY,
            budget={"jobs": jobs},
        )  # fmt: skip
        config = CIRCUITS.model_copy(update={"calibration_shots": 400})
        QuantumTrainer(
            ModelConfig(n_qubits=1, layers=1),
            TrainerConfig(epochs=1, batch_size=12),
            name=name,
            storage=tmp_path,
            track=TrackConfig(mlflow=False, figures=False),
            backend=mitigated(inner, config),
        ).fit(data)

    fit("enough", 100)
    accepted = [each.executions for each in ibm.accepted().values()]
    assert accepted[0] == 50 * (12 * 9 + 2 * 8), "SPSA by default, and both preparations"
    assert accepted[1] == 50 * 9 * 9, "the other nine rows"
    with pytest.raises(BudgetError, match=f"may use {len(accepted) - 1} jobs"):
        fit("refused", len(accepted) - 1)
    assert len(ibm.accepted()) == len(accepted)


def test_an_exact_metric_is_refused_before_anything_is_submitted(ibm, tmp_path):
    x = np.zeros((30, 1))
    data = DatasetLoader.from_arrays(x, np.arange(30) % 2)
    options = {"device": "fake_manila", "ledger": str(tmp_path / "ledgers")}
    trainer = TrainerConfig(backend="ibm", optimizer="qng", backend_options=options)
    with pytest.raises(ConfigError, match="gives no states") as caught:
        QuantumTrainer(
            ModelConfig(n_qubits=1, layers=1), trainer, storage=tmp_path,
            track=TrackConfig(mlflow=False, figures=False),
        ).fit(data)  # fmt: skip
    assert "'qn_spsa'" in caught.value.fix
    assert not ibm.accepted()
