"""What describes a device, what is refused, and what of its data is not used as it is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from qiskit.circuit import Measure, Parameter
from qiskit.circuit.library import CZGate, RZGate, SXGate
from qiskit.providers import QubitProperties
from qiskit.transpiler import InstructionProperties, Target
from qiskit_aer.noise import NoiseModel, ReadoutError, amplitude_damping_error
from qiskit_ibm_runtime import fake_provider
from qiskit_ibm_runtime.fake_provider.fake_backend import FakeBackendV2

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.backends.noise.device.compiled import compile_for_device
from qstore_ray.backends.noise.device.device import Device
from qstore_ray.backends.noise.device.read import read_device
from qstore_ray.backends.noise.placement import channel_sites
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.observable import z_observables
from qstore_ray.circuits.template import Op, Template, const, param
from qstore_ray.errors import (
    BackendError,
    CircuitError,
    ConfigError,
    MissingDependencyError,
    ResourceError,
    UnknownNameError,
)

PAIR = Template(2, (Op("ry", (0,), (param(0),)), Op("cx", (0, 1))), n_params=1)
SMALL = {
    "name": "two",
    "basis": ["cz", "rz", "sx"],
    "qubits": [{"t1": 1e-4, "t2": 3e-4, "readout": [[0.9, 0.2], [0.1, 0.8]]}, {}],
    "gates": [
        {"gate": "cz", "qubits": [0, 1], "error": 0.01, "time": 1e-7},
        {"gate": "sx", "qubits": [0], "error": 1e-3, "time": 1e-6},
        {"gate": "sx", "qubits": [1]},
        {"gate": "rz", "error": 0.0, "time": 0.0},
    ],
}


def _fakes() -> list[str]:
    return sorted(
        each.backend_name
        for each in vars(fake_provider).values()
        if isinstance(each, type) and issubclass(each, FakeBackendV2) and each is not FakeBackendV2
    )


def test_every_fake_backend_is_a_device():
    assert len(_fakes()) > 50
    for name in _fakes():
        device = read_device(name)
        assert device.name == name
        # Every pair of fake_kyoto has an error of 1.
        assert bool(device.pairs) == (len(device.qubits) > 1 and name != "fake_kyoto")
        assert any(g.error for g in device.gates)
        assert any(q.readout for q in device.qubits)
        assert any(q.t1 for q in device.qubits)


def _numbers(device: Device) -> list[tuple]:
    return sorted(
        (g.gate, g.qubits or (), g.error and round(g.error, 9), g.time and round(g.time, 12))
        for g in device.gates
    )


def test_a_backend_its_target_and_its_saved_properties_say_the_same(tmp_path: Path):
    backend = fake_provider.FakeManilaV2()
    properties = backend.properties()
    file = tmp_path / "props.json"
    file.write_text(json.dumps(properties.to_dict(), default=str))
    devices = [
        read_device(given)
        for given in (backend, "fake_manila", backend.target, properties, file, str(file))
    ]
    for device in devices:
        assert _numbers(device) == _numbers(devices[0])
        for q, qubit in enumerate(device.qubits):
            assert qubit.t1 == pytest.approx(devices[0].qubits[q].t1)
            assert device.readout_error(q) == pytest.approx(devices[0].readout_error(q), abs=1e-3)
    assert devices[3].qubits == devices[4].qubits == devices[5].qubits
    assert devices[0].qubits[0].readout[0][1] != devices[0].qubits[0].readout[1][0]


def test_a_target_without_calibration_is_a_device_without_errors():
    target = Target(qubit_properties=[QubitProperties(t1=1e-4), QubitProperties()])
    target.add_instruction(CZGate(), {(0, 1): None})
    target.add_instruction(SXGate(), {(0,): InstructionProperties(error=0.01), (1,): None})
    target.add_instruction(RZGate(Parameter("a")), {(0,): None, (1,): None})
    target.add_instruction(Measure(), {(0,): None, (1,): None})
    compiled = compile_for_device(PAIR, read_device(target))
    assert compiled.without_error["cz"] == compiled.gates["cz"] == 1
    assert 0 < compiled.without_error["sx"] < compiled.gates["sx"]
    assert compiled.confusions == (None, None)


def test_a_noise_keeps_the_data_of_its_device(tmp_path: Path):
    """A later version of the package that has the backend cannot change what was recorded."""
    noise = NoiseConfig(device="fake_manila", twirl=True)
    (tmp_path / "noise.toml").write_text(noise.to_toml())
    again = NoiseConfig.from_toml(tmp_path / "noise.toml")
    assert again == noise == NoiseConfig.from_dict(json.loads(json.dumps(noise.to_dict())))
    assert again.fingerprint() == noise.fingerprint()
    assert noise.to_dict()["device"]["qubits"][0]["t1"] == noise.device.qubits[0].t1
    other = noise.device.to_dict()
    other["gates"][0]["error"] += 1e-9
    assert NoiseConfig(device=other, twirl=True).fingerprint() != noise.fingerprint()


@pytest.mark.parametrize(
    ("name", "near"),
    [("fake_torinno", "fake_torino"), ("torino", "fake_torino"), ("ibm_torino", "fake_torino")],
)
def test_an_unknown_backend_names_the_nearest(name: str, near: str):
    with pytest.raises(UnknownNameError, match=near) as caught:
        NoiseConfig(device=name)
    assert caught.value.field == "device"


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "qiskit_ibm_runtime", None)
    with pytest.raises(MissingDependencyError, match="pip install qiskit-ibm-runtime"):
        read_device("fake_manila")


@pytest.mark.parametrize("text", ["[1, 2]", '{"a": 1}', "no JSON", '{"backend_name": "x"}',
                                  '{"errors": [{"type": "qerror"}]}', '{"errors": 3}'])  # fmt: skip
def test_a_file_that_is_no_device_is_refused(tmp_path: Path, text: str):
    (tmp_path / "d.json").write_text(text)
    with pytest.raises(ConfigError):
        read_device(tmp_path / "d.json")


def test_what_describes_no_device_is_refused(tmp_path: Path):
    for given in (3, {"gates": []}, tmp_path / "missing.json"):
        with pytest.raises(ConfigError, match="device"):
            read_device(given)
    with pytest.raises(ConfigError, match="ms"):
        read_device({
            "backend_name": "x", "gates": [],
            "qubits": [[{"name": "T1", "unit": "min", "value": 1.0}]],
        })  # fmt: skip


@pytest.mark.parametrize("field", [{"gates": [{"channel": {"name": "bit_flip", "p": 0.1}}]},
                                   {"readout": 0.1}, {"over_rotation": 0.1}])  # fmt: skip
def test_noise_beside_that_of_a_device_is_refused(field: dict):
    with pytest.raises(ConfigError, match="brings its own") as caught:
        NoiseConfig(device="fake_manila", **field)
    assert caught.value.field == next(iter(field))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"gates": [{"gate": "cz", "qubits": [0, 2], "error": 0.1}]}, "gates.0.qubits"),
        ({"qubits": [{"t1": -1.0}]}, "qubits.0.t1"),
        ({"qubits": [{"readout": [[0.9, 0.3], [0.1, 0.8]]}]}, "qubits.0.readout"),
        ({"gates": [{"gate": "cz", "qubits": [0, 1], "error": -0.1}]}, "gates.0.error"),
        ({"basis": []}, "basis"),
    ],
)
def test_data_out_of_range_are_refused(change: dict, field: str):
    with pytest.raises(ConfigError) as caught:
        Device.from_dict({**SMALL, **change})
    assert caught.value.field == field


def test_a_t2_above_twice_t1_is_taken_as_twice_t1_and_said():
    device = Device.from_dict(SMALL)
    assert device.clamped == (0,)
    *_, (relaxation, _) = device.channels("sx", (0,))
    assert relaxation.t2 == 2 * relaxation.t1
    assert device.qubits[0].t2 == 3e-4, "the record keeps what was calibrated"


def test_faulty_gates_are_not_used():
    """An error of 1 says that the calibration failed."""
    line = {
        "name": "line",
        "basis": ["cz", "rz", "sx"],
        "qubits": [{}] * 4,
        "gates": [
            {"gate": "cz", "qubits": [0, 1], "error": 1.0},
            {"gate": "cz", "qubits": [1, 2], "error": 0.2},
            {"gate": "cz", "qubits": [2, 3], "error": 0.01},
            *({"gate": "sx", "qubits": [q], "error": 1.0 if q == 3 else 1e-3} for q in range(4)),
            {"gate": "rz", "error": 0.0, "time": 0.0},
        ],
    }
    device = Device.from_dict(line)
    assert device.faulty == ((0, 1), (3,))
    assert set(compile_for_device(PAIR, device).layout) == {1, 2}


def test_a_device_with_too_few_qubits_is_refused():
    with pytest.raises(ResourceError, match=r"fake_manila has 5 .* needs 6"):
        compile_for_device(Template(6, ()), read_device("fake_manila"))
    apart = {**SMALL, "gates": SMALL["gates"][1:]}
    with pytest.raises(ResourceError, match="1 connected qubits"):
        compile_for_device(PAIR, Device.from_dict(apart))


def test_a_device_without_the_gates_for_a_circuit_is_refused():
    with pytest.raises(CircuitError, match=r"has cz.*, rz\. Qiskit's .* fake_torino") as caught:
        compile_for_device(PAIR, Device.from_dict({**SMALL, "basis": ["cz", "rz"]}))
    assert caught.value.value == SMALL["name"]
    with pytest.raises(UnknownNameError, match="gate"):
        compile_for_device(PAIR, Device.from_dict({**SMALL, "basis": ["cz", "rz", "sy"]}))


def test_a_device_with_two_kinds_of_pairs_runs_where_the_transpiler_can_compile():
    """fake_cairo has CX on some pairs and ECR on others; Qiskit compiles for some of its qubits."""
    cairo = read_device("fake_cairo")
    chain = Template(
        3, (Op("ry", (0,), (const(0.3),)), Op("cx", (0, 1)), Op("cx", (1, 2)), Op("h", (2,)))
    )
    compiled = compile_for_device(chain, cairo)
    seen = z_observables(3)
    nothing = Bindings(np.zeros((1, 0)), np.zeros(0))
    exact = StatevectorBackend().evaluate(chain, seen, nothing).values
    moved = tuple(map(compiled.moved, seen))
    found = StatevectorBackend().evaluate(compiled.template, moved, nothing).values
    np.testing.assert_allclose(found, exact, atol=1e-9)
    three = (15, 17, 18)
    few = tuple(
        gate.model_copy(update={"qubits": tuple(map(three.index, gate.qubits or ())) or None})
        for gate in cairo.gates
        if set(gate.qubits or ()) <= set(three)
    )
    mixed = Device(name="mixed", basis=cairo.basis, qubits=cairo.qubits[:3], gates=few)
    with pytest.raises(CircuitError, match="cx on 1 pairs, ecr on 1 pairs") as caught:
        compile_for_device(chain, mixed)
    assert "one gate of two qubits on all of its pairs" in caught.value.fix


def test_a_start_from_amplitudes_is_refused():
    with pytest.raises(CircuitError, match="amplitudes"):
        compile_for_device(Template(2, (), initial="amplitudes"), read_device("fake_manila"))


def test_a_backend_that_does_not_compile_refuses_the_noise_of_a_device():
    with pytest.raises(BackendError, match="compiled"):
        channel_sites(PAIR, NoiseConfig(device=SMALL))


def test_what_a_noise_model_of_aer_says_of_idle_qubits_is_left_out_and_said():
    model = NoiseModel()
    model.add_all_qubit_quantum_error(amplitude_damping_error(0.1), ["id", "sx", "reset"])
    model.add_all_qubit_readout_error(ReadoutError([[0.9, 0.1], [0.3, 0.7]]))
    device = read_device(model)
    assert device.left_out == ("id", "reset")
    assert device.confusion(17) == ((0.9, 0.3), (0.1, 0.7))
    ((channel, _),) = device.channels("sx", (3,))
    assert channel.name == "kraus"
    np.testing.assert_allclose(sum(k.conj().T @ k for k in channel.kraus(1)), np.eye(2), atol=1e-12)
    again = read_device(json.loads(json.dumps(model.to_dict(serializable=True), default=list)))
    np.testing.assert_allclose(
        again.channels("sx", (0,))[0][0].kraus(1), channel.kraus(1), atol=1e-9
    )


def test_errors_of_more_qubits_than_two_are_refused():
    model = NoiseModel()
    model.add_readout_error(ReadoutError(np.full((4, 4), 0.25)), [0, 1])
    with pytest.raises(ConfigError, match="several qubits"):
        read_device(model)
