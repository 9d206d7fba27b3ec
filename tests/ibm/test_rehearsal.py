"""A rehearsal on a simulator stands for the training on the device whose noise it has."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.backends.aer import AerBackend
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.gateway.access import close_gateways
from qstore_ray.backends.ibm.service.account import IbmAccount, sign_in
from qstore_ray.backends.ibm.service.client import IbmClient
from qstore_ray.backends.ibm.service.isa import compile_isa
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.noise.device.compiled import compile_for_device
from qstore_ray.backends.noise.device.device import Device
from qstore_ray.backends.noise.device.read import read_device
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.cli.app import main
from qstore_ray.config import dump_toml
from qstore_ray.errors import ConfigError
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.rehearsal import on_hardware
from tests.ibm.test_estimate import POLICY, estimated, job_file

TEMPLATE = Template(
    n_qubits=3,
    ops=(
        *(Op("ry", (q,), (row(q),)) for q in range(3)),
        Op("cx", (0, 1)),
        Op("cx", (1, 2)),
        *(Op("rx", (q,), (param(q),)) for q in range(3)),
    ),
    n_rows=3,
    n_params=3,
)
OBSERVABLES = tuple(map(Observable.parse, ("Z0", "Z1 Z2", "X0 X1")))


def calibration(folder: Path) -> str:
    path = str(folder / "device.json")
    assert main(["noise", "save", "fake_manila", "--output", path]) == 0
    return path


def as_aer_reads(device: Device) -> Device:
    """With the mean of the two errors of a readout, which is all that the stand-in's noise has:
    Aer's `NoiseModel.from_backend` reads a target.
    """
    means = [device.readout_error(q) for q in range(len(device.qubits))]
    qubits = [
        each.model_copy(update={"readout": ((1 - mean, mean), (mean, 1 - mean))})
        for each, mean in zip(device.qubits, means, strict=True)
    ]
    return device.model_copy(update={"qubits": tuple(qubits)})


def rehearsal_of(job: str, device: str, backend: str) -> str:
    """The same job on a simulator: only the backend, its shots and the noise change."""
    values = tomllib.loads(Path(job).read_text())
    trainer = values["trainer"]
    shots = trainer["backend_options"]["shots"]
    trainer |= {
        "backend": backend,
        "backend_options": {"shots": shots},
        "noise": {"device": device, "twirl": True},
    }
    path = Path(job).with_name("rehearsal.toml")
    path.write_text(dump_toml(values))
    return str(path)


@pytest.mark.parametrize(
    ("trainer", "backend"),
    [
        ({"gradient": "spsa"}, "statevector"),
        ({"gradient": "parameter_shift", "epochs": 1}, "aer"),
        ({"optimizer": "spsa"}, "statevector"),
    ],
    ids=["spsa gradient", "parameter shift", "search"],
)
def test_its_forecast_is_the_hardwares_and_the_journals(ibm, tmp_path, capsys, trainer, backend):
    job = job_file(tmp_path, trainer=trainer, price_per_second=1.6)
    rehearsal = rehearsal_of(job, calibration(tmp_path), backend)
    capsys.readouterr()
    price = ["--hardware-option", "price_per_second=1.6"]
    found = estimated(rehearsal, capsys, "--hardware", *price)
    assert found == estimated(job, capsys)
    try:
        assert main(["train", job, "--quiet"]) == 0
    finally:
        close_gateways()
    accepted = ibm.accepted().values()
    assert found["total"]["jobs"] == len(accepted)
    assert found["total"]["executions"] == sum(each.executions for each in accepted)
    billed = sum(each.seconds for each in accepted)
    assert found["total"]["qpu_seconds"] == pytest.approx(billed, rel=1e-6)
    assert found["total"]["money"] == pytest.approx(1.6 * billed, rel=1e-6)


def test_its_circuits_are_the_hardwares_on_the_same_qubits(ibm, tmp_path):
    device = read_device(calibration(tmp_path))
    client = IbmClient(sign_in(IbmAccount()), "fake_manila")
    assert client.device == device
    compiled = compile_for_device(TEMPLATE, device)
    for each in compile_isa(TEMPLATE, OBSERVABLES, client.device, client.target):
        bits = [each.circuit.find_bit(q).index for i in each.circuit.data for q in i.qubits]
        assert set(bits) == set(compiled.layout)
    z_basis = compile_isa(TEMPLATE, OBSERVABLES[:1], client.device, client.target)[0].circuit
    gates = dict(z_basis.count_ops())
    del gates["measure"]
    assert gates == compiled.gates


def test_its_values_are_the_hardwares_within_standard_errors(start, tmp_path):
    start(execution="noisy", seed=3)
    device = as_aer_reads(read_device(calibration(tmp_path)))
    rng = np.random.default_rng(0)
    rows = Bindings(rng.uniform(0.0, np.pi, (8, 3)), rng.uniform(0.0, np.pi, 3))
    hardware = IbmBackend(
        "fake_manila", 4096, ledger=str(tmp_path), where="process", policy=POLICY
    ).for_run("rehearsed")
    try:
        measured = hardware.evaluate(TEMPLATE, OBSERVABLES, rows, key=DrawKey((1,)))
    finally:
        IbmBackend.close_run("rehearsed")
    noisy = AerBackend(method="density_matrix", noise={"device": device})
    expected = noisy.evaluate(TEMPLATE, OBSERVABLES, rows).values
    exact = AerBackend().evaluate(TEMPLATE, OBSERVABLES, rows).values
    assert measured.variances is not None
    errors = np.sqrt(measured.variances)
    deviation = (measured.values - expected) / errors
    assert np.abs(deviation).max() < 4.0
    assert np.sqrt(np.mean(deviation**2)) < 1.5
    assert np.sqrt(np.mean(((measured.values - exact) / errors) ** 2)) > 2.0, "the noise is seen"


def test_what_differs_from_the_hardware_is_said(tmp_path, capsys):
    job = job_file(tmp_path)
    rehearsal = rehearsal_of(job, "fake_manila", "aer")
    assert main(["estimate", rehearsal, "--hardware", "--json"]) == 0
    seen = capsys.readouterr()
    said = 'parameter_shift in the rehearsal and spsa on the device: set trainer.gradient = "spsa"'
    assert said in " ".join(seen.err.split())
    assert json.loads(seen.out)["hardware"]["device"] == "fake_manila"


def test_a_job_without_the_noise_of_a_device_rehearses_none():
    for trainer in (TrainerConfig(), TrainerConfig(noise={"readout": 0.1})):
        with pytest.raises(ConfigError) as caught:
            on_hardware(trainer)
        assert caught.value.field == "trainer.noise.device"
    rehearsal = TrainerConfig(noise={"device": "fake_manila"}, backend_options={"shots": 8})
    with pytest.raises(ConfigError, match="unknown option"):
        on_hardware(rehearsal, {"prise": 1})
    assert on_hardware(rehearsal).backend_options == {
        "device": "fake_manila", "shots": 8, "seed": 0, "level": 3,
    }  # fmt: skip
