"""The calibration that a device has now, read through the client and saved as a device's noise."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from qstore_ray.backends.ibm.policy import GatewayPolicy
from qstore_ray.backends.ibm.service.account import IbmAccount
from qstore_ray.backends.ibm.service.calibration import read_calibration
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.backends.noise.device.compiled import compile_for_device
from qstore_ray.backends.noise.device.device import Device
from qstore_ray.backends.noise.device.read import read_device
from qstore_ray.circuits.template import Op, Template, row
from qstore_ray.cli.app import main
from qstore_ray.errors import ServiceError
from tests.ibm import devices
from tests.ibm.faults import Fault

CHAIN = Template(
    n_qubits=3,
    ops=(*(Op("ry", (q,), (row(0),)) for q in range(3)), Op("cx", (0, 1)), Op("cx", (1, 2))),
    n_rows=1,
)
DEVICES = (
    "fake_fez", "fake_marrakesh", "fake_torino", "fake_manila", "fake_cairo", "fake_brisbane",
)  # fmt: skip


def saved(folder, name: str) -> Device:
    path = folder / "device.json"
    assert main(["noise", "save", name, "--output", str(path)]) == 0
    found = NoiseConfig(device=str(path), twirl=True).device
    assert found is not None
    return found


def errors(device: Device, names: tuple[str, ...]) -> dict[str, float | None]:
    return {g.gate: g.error for g in device.gates if g.qubits == (0, 1) and g.gate in names}


def faulty(device: Device, names: tuple[str, ...]) -> set[tuple[int, ...] | None]:
    return {g.qubits for g in device.gates if g.is_faulty and g.gate in names}


@pytest.mark.parametrize("name", DEVICES)
def test_the_file_is_the_devices_calibration(start, tmp_path, capsys, name):
    start(backend=(name,))
    found = saved(tmp_path, name)
    said = " ".join(capsys.readouterr().out.split())
    properties = devices.properties(name)
    assert f"{properties['last_update_date']}"[:10] in found.version
    assert found.version in said
    own = read_device(properties)
    assert [q.readout for q in found.qubits] == [q.readout for q in own.qubits]
    for one, other in zip(found.qubits, own.qubits, strict=True):  # other factors of the units
        assert (one.t1, one.t2) == pytest.approx((other.t1, other.t2), rel=1e-12)
    # The properties also name fractional gates, rx and rzz, which the circuits do not have.
    for of in (errors, faulty):
        assert of(found, found.basis) == of(own, found.basis)
    assert (tmp_path / "device.json").stat().st_size < 100_000


def test_what_is_not_calibrated_is_not_used(start, tmp_path, capsys, monkeypatch):
    """Of the circuit's best qubits one lost its readout, and a gate failed."""
    best = compile_for_device(CHAIN, read_device("fake_cairo")).layout
    given: dict[str, Any] = copy.deepcopy(devices.properties("fake_cairo"))
    unread = best[0]
    given["qubits"][unread] = [
        each for each in given["qubits"][unread]
        if each["name"] not in {"readout_error", "prob_meas0_prep1", "prob_meas1_prep0", "T1"}
    ]  # fmt: skip
    failed = next(
        gate for gate in given["gates"]
        if len(gate["qubits"]) == 2 and unread not in gate["qubits"]
    )  # fmt: skip
    for each in failed["parameters"]:
        each["value"] = 1.0 if each["name"] == "gate_error" else each["value"]
    monkeypatch.setattr(devices, "properties", lambda name: given)
    start(backend=("fake_cairo",))
    found = saved(tmp_path, "fake_cairo")
    assert (unread,) in found.faulty
    assert found.qubits[unread].t1 is None
    assert tuple(failed["qubits"]) in found.faulty
    compiled = compile_for_device(CHAIN, found)
    assert unread not in compiled.layout
    capsys.readouterr()
    assert main(["noise", "show", str(tmp_path / "device.json")]) == 0
    assert f"error 1, not used: {unread}, " in " ".join(capsys.readouterr().out.split())


def test_wrong_input_costs_a_clear_error(ibm, tmp_path, capsys):
    path = str(tmp_path / "device.json")
    for arguments, code, said in (
        (["fake_nope", "--output", path], 2, "Take one of the instance's: fake_manila"),
        (["fake_manila", "--output", path, "--token-file", path], 2, "cannot be read"),
        (["fake_manila", "--output", str(tmp_path / "no" / "x.json")], 2, "folder"),
        (["fake_manila", "--output", str(tmp_path / "x.toml")], 2, ".json"),
    ):
        assert main(["noise", "save", *arguments, "--json"]) == code
        told = json.loads(capsys.readouterr().out)
        assert said in told["message"] + told["fix"]
    assert not (tmp_path / "device.json").exists()


def test_a_service_that_does_not_answer_at_once_is_asked_again(start, tmp_path):
    ibm = start()
    ibm.inject(Fault("status", on="configuration", status=503))
    assert saved(tmp_path, "fake_manila").qubits
    ibm.inject(Fault("status", on="any", status=503, times=None))
    quickly = GatewayPolicy(first_pause=0.05, patience=0.2)
    with pytest.raises(ServiceError, match="has not answered for 0 s"):
        read_calibration(IbmAccount(), "fake_manila", quickly)
