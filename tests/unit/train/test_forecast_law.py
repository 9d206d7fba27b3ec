"""A forecast counts what a training asks for, whatever the device answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from qstore_ray import (
    DatasetConfig,
    DatasetLoader,
    ModelConfig,
    QuantumTrainer,
    TrackConfig,
    TrainerConfig,
)
from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.call import HardwareCall
from qstore_ray.backends.ibm.forecast import jobs_for
from qstore_ray.backends.ibm.gateway.recording import RecordingGateway, recording
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.learn.optimizers import OPTIMIZERS
from qstore_ray.train.checks import checked
from qstore_ray.train.hardware import HardwareForecast, hardware_forecast

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

MODEL = ModelConfig(n_qubits=2, layers=1, observables=["Z0", "X1"])


class Answering(RecordingGateway):
    """A device whose outcomes are random: fair bits, or values around 0."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._rng = np.random.default_rng(seed)
        self._known: dict[str, list[AnyArray]] = {}

    def evaluate_all(self, calls: Sequence[HardwareCall]) -> list[list[AnyArray]]:
        """As a gateway with a ledger: what was answered before is not run again."""
        new = [call for call in calls if call.request.key not in self._known]
        for call, blank in zip(new, super().evaluate_all(new) if new else [], strict=True):
            self._known[call.request.key] = [self._drawn(call, each) for each in blank]
        return [self._known[call.request.key] for call in calls]

    def _drawn(self, call: HardwareCall, blank: AnyArray) -> AnyArray:
        if call.is_estimated:
            return np.abs(self._rng.normal(0.0, 0.3, blank.shape))
        if call.request.rides:
            return blank
        n_rows, _, width = blank.shape
        return self._rng.integers(0, 256, (n_rows, call.request.shots, width), np.uint8)


class Flat(Answering):
    """A device that measures 0 on every qubit, whatever the parameters."""

    def _drawn(self, call: HardwareCall, blank: AnyArray) -> AnyArray:
        return np.zeros_like(blank)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("rows") / "rows.npz"
    rng = np.random.default_rng(0)
    np.savez(path, x=rng.uniform(0.0, 1.0, (60, 2)), y=np.arange(60) % 2)
    split = {"train": 0.8, "val": 0.1, "test": 0.1}
    return DatasetLoader.load(
        DatasetConfig(name="rows", source="local", params={"path": str(path)}, split=split)
    )


def asked_for(
    config: TrainerConfig,
    rows: Dataset,
    folder: Path,
    seed: int = 0,
    model: ModelConfig = MODEL,
    device: type[Answering] = Answering,
) -> tuple[int, int]:
    """The jobs and executions of a whole training on a device that answers at random."""
    gateway = device(seed)
    with pytest.MonkeyPatch.context() as patch, recording(gateway):
        patch.setattr(IbmBackend, "check_forecast", lambda *_: None)
        quiet = TrackConfig(mlflow=False, figures=False)
        QuantumTrainer(model, config, name=f"seed-{seed}", storage=folder, track=quiet).fit(rows)
    paid = config.open_backend()
    paid = getattr(paid, "inner", paid)
    turns, caps = gateway.take_turns(), paid.config.policy.caps
    jobs = [job for turn in turns for job in jobs_for(turn, caps)]
    return len(jobs), sum(job.executions for job in jobs)


def forecast_of(
    config: TrainerConfig, rows: Dataset, model: ModelConfig = MODEL
) -> HardwareForecast:
    found = hardware_forecast(config, checked(model, config, rows), rows, confusion=False)
    assert found is not None
    return found


def trainer(**changes: Any) -> TrainerConfig:
    options = {"device": "fake_manila", "shots": 5} | changes.pop("backend_options", {})
    return TrainerConfig(**{
        "epochs": 2, "batch_size": 20, "num_workers": 0, "backend": "ibm",
        "backend_options": options, **changes,
    })  # fmt: skip


ANSWERS = [{}, {"estimator": {"resilience_level": 0}}, {"estimator": {"resilience_level": 2}}]
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "gcans": [{"min_rows": 17}, {"min_rows": 20, "rule": "individual"}],
    "qn_spsa": [{}, {"blocking": False}],
    "spsa": [{}, {"calibration": 2}, {"blocking": True, "directions": 2}],
}


@pytest.mark.parametrize("answers", ANSWERS, ids=["sampler", "level 0", "level 2"])
@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS) - {"qng"}))
def test_every_optimizer(rows, tmp_path, name, answers):
    for number, options in enumerate(OPTIONS.get(name, [{}])):
        config = trainer(optimizer=name, optimizer_options=options, backend_options=answers)
        found = forecast_of(config, rows)
        jobs, executions = asked_for(config, rows, tmp_path / str(number), seed=number)
        if found.at_most:
            assert found.least.jobs <= jobs <= found.total.jobs
            assert found.least.executions <= executions <= found.total.executions
        else:
            assert (jobs, executions) == (found.total.jobs, found.total.executions), options


def test_an_optimizer_that_adapts_its_rows_has_a_range(rows, tmp_path):
    config = trainer(optimizer="gcans", batch_size=48, epochs=4)
    found = forecast_of(config, rows)
    assert found.least.executions < found.total.executions
    assert "adapts its rows" in found.at_most[0]
    for seed in range(2):
        jobs, executions = asked_for(config, rows, tmp_path, seed)
        assert jobs == found.total.jobs == found.least.jobs
        assert found.least.executions <= executions <= found.total.executions


@pytest.mark.parametrize("name", ["rotosolve", "qn_spsa", "spsa"])
def test_an_optimizer_asks_for_no_more_where_the_loss_is_flat(rows, tmp_path, name):
    options = {"calibration": 2} if name == "spsa" else {}
    config = trainer(optimizer=name, optimizer_options=options)
    found = forecast_of(config, rows).total
    jobs = asked_for(config, rows, tmp_path, device=Flat)
    assert jobs == (found.jobs, found.executions)


def test_each_draw_of_a_gate_is_counted(rows, tmp_path):
    """A controlled rotation takes more circuits than a rotation."""
    circuit = """OPENQASM 3.0;
include "stdgates.inc";
input array[angle, 2] x;
input array[angle, 3] theta;
qubit[2] q;
ry(x[0]) q[0];
ry(x[1]) q[1];
crx(theta[0]) q[0], q[1];
rx(theta[1]) q[0];
cp(theta[2]) q[1], q[0];
"""
    model = ModelConfig(circuit=circuit, observables=["Z0", "X1"])
    for batch_size, accumulate in ((20, 1), (8, 2)):
        config = trainer(
            gradient="random_coordinate_shift", batch_size=batch_size, accumulate=accumulate
        )
        total = forecast_of(config, rows, model).total
        found = asked_for(config, rows, tmp_path / str(accumulate), model=model)
        assert found == (total.jobs, total.executions)


@pytest.mark.parametrize(
    ("callback", "is_exact"),
    [
        ({"name": "early_stopping", "patience": 1}, False),
        ({"name": "convergence_monitor", "end_on": ["converged"]}, False),
        ({"name": "budget", "shots": 10**6}, False),
        ({"name": "convergence_monitor"}, True),
        ({"name": "timer"}, True),
    ],
)
def test_what_may_end_a_training_is_said(rows, callback, is_exact):
    found = forecast_of(trainer(callbacks=[callback]), rows)
    assert bool(found.at_most) is not is_exact
    assert found.total == found.least == forecast_of(trainer(), rows).total
    assert is_exact or callback["name"] in found.at_most[0]
