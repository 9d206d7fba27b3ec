"""Options are checked when the backend is made, and say what to type instead."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Iterator

import numpy as np
import pytest

from qstore_ray.backends import open_backend
from qstore_ray.backends.aer import AerBackend, device
from qstore_ray.backends.aer.device import compare, gpu_failure, resolve_device
from qstore_ray.backends.aer.truncation import discarded_weights
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.keys import DrawKey
from qstore_ray.circuits.observable import z_observables
from qstore_ray.circuits.template import Op, Template, const, row
from qstore_ray.cli.app import main
from qstore_ray.doctor import gpu as gpu_check
from qstore_ray.errors import BackendError, ConfigError, UnknownNameError

NO_GPU = "no GPU runs circuits on this machine"
MPS = "matrix_product_state"

WRONG = {
    "bond of zero": ({"method": MPS, "max_bond_dimension": 0}, "max_bond_dimension"),
    "half a bond": ({"method": MPS, "max_bond_dimension": 2.5}, "max_bond_dimension"),
    "threshold of one": ({"method": MPS, "truncation_threshold": 1.0}, "truncation_threshold"),
    "negative threshold": ({"method": MPS, "truncation_threshold": -1e-9}, "truncation_threshold"),
    "threshold as text": ({"method": MPS, "truncation_threshold": "1e-9"}, "truncation_threshold"),
    "bond without mps": ({"max_bond_dimension": 8}, "max_bond_dimension"),
    "threshold without mps": ({"truncation_threshold": 1e-9}, "truncation_threshold"),
    "single mps": ({"method": MPS, "precision": "complex64"}, "precision"),
    "mps on a gpu": ({"method": MPS, "device": "gpu"}, "device"),
    "noise as text": ({"noise": "depolarizing"}, "noise"),
    "half a thread": ({"threads": 1.5}, "threads"),
    "p out of range": ({"noise": {"gates": [{"channel": {"name": "bit_flip", "p": 2}}]}}, "gates"),
    "wrong confusion": ({"noise": {"readout": [[0.9, 0.2], [0.2, 0.8]]}}, "readout"),
    "a noise key": ({"noise": {"read_out": 0.1}}, "read_out"),
}


@pytest.mark.parametrize(("options", "field"), WRONG.values(), ids=WRONG)
def test_wrong_options_name_field_and_value(options: dict, field: str):
    with pytest.raises(ConfigError) as caught:
        open_backend("aer", options)
    assert field in caught.value.field
    assert caught.value.fix


@pytest.mark.parametrize(
    "options", [{"device": "GPU"}, {"device": "tpu"}, {"precision": "double"}, {"method": "mps"}]
)
def test_unknown_names_are_refused(options: dict):
    with pytest.raises(UnknownNameError):
        open_backend("aer", options)


def test_an_option_of_aers_own_is_refused():
    with pytest.raises(UnknownNameError, match="fusion_enable"):
        open_backend("aer", {"fusion_enable": False})


def test_single_precision_is_near():
    backend = AerBackend(precision="complex64")
    template = Template(2, (Op("ry", (0,), (const(0.3),)), Op("cx", (0, 1))))
    found = backend.evaluate(template, z_observables(2), Bindings(np.zeros((1, 0)), np.zeros(0)))
    np.testing.assert_allclose(found.values, np.cos(0.3), atol=1e-6)
    assert found.values[0, 0] != np.cos(0.3)


@pytest.mark.parametrize(
    "options", [{}, {"method": MPS, "max_bond_dimension": 4}, {"noise": {"readout": 0.1}}]
)
def test_it_reaches_workers_with_its_options(options: dict):
    backend = AerBackend(threads=1, **options)
    arrived = pickle.loads(pickle.dumps(backend))
    assert repr(arrived) == repr(backend)
    assert arrived.options == backend.options


# ------------------------------------------------------------------------------------------ device


def _one_row(backend: AerBackend) -> float:
    empty = Bindings(np.zeros((1, 0)), np.zeros(0))
    return float(backend.evaluate(Template(1, ()), z_observables(1), empty).values[0, 0])


def test_a_gpu_that_is_missing_is_an_error_with_the_reason():
    if not gpu_failure():
        pytest.skip("a GPU runs circuits on this machine")
    backend = AerBackend(device="gpu")  # the driver may have none: the evaluating process decides
    with pytest.raises(BackendError, match="no GPU runs circuits") as caught:
        _one_row(backend)
    assert gpu_failure() in str(caught.value)
    assert (caught.value.field, caught.value.value) == ("device", "gpu")
    assert "gpu" in caught.value.fix


def test_auto_says_what_it_chose(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "qstore_ray.backends.aer.device"):
        assert _one_row(AerBackend(device="auto")) == 1.0
        assert resolve_device("auto", MPS, "complex128") == "CPU"
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("device auto: ")
    assert "CPU" in first or not gpu_failure()
    assert MPS in second


@pytest.mark.parametrize(
    ("precision", "difference"), [("complex128", 1e-9), ("complex64", 1e-3), ("complex64", np.nan)]
)
def test_a_gpu_with_other_values_is_refused(precision: str, difference: float):
    cpu = np.linspace(-1, 1, 5)
    with pytest.raises(BackendError, match="other values"):
        compare(cpu, cpu + difference, precision)
    assert compare(cpu, cpu, precision) == 0.0


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, float]]:
    """A stand-in for a GPU: it computes what the CPU computes, plus an error."""
    error = {"error": 0.0}
    on_cpu = device._random_values

    def random_values(name: str, *args):
        values, seconds = on_cpu("CPU", *args)
        return values + error["error"] * (name == "GPU"), seconds

    monkeypatch.setattr(device, "gpu_failure", lambda: "")
    monkeypatch.setattr(device, "_random_values", random_values)
    device.check_gpu.cache_clear()
    yield error
    device.check_gpu.cache_clear()


def test_a_gpu_is_taken_after_it_has_computed_what_the_cpu_computes(
    gpu, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.INFO, "qstore_ray.backends.aer.device"):
        assert resolve_device("auto", "statevector", "complex128") == "GPU"
        assert resolve_device("gpu", "density_matrix", "complex64") == "GPU"
    assert "device auto: GPU" in caplog.text
    assert resolve_device("cpu", "statevector", "complex128") == "CPU"


@pytest.mark.parametrize("asked", ["gpu", "auto"])
def test_a_gpu_that_computes_wrongly_is_never_used(gpu, asked: str):
    gpu["error"] = 1e-6
    with pytest.raises(BackendError, match="differ by"):
        resolve_device(asked, "statevector", "complex128")
    assert resolve_device(asked, "statevector", "complex64") == "GPU"


def test_the_doctor_prints_what_the_gpu_computes(
    gpu, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    small = [check for check in gpu_check.CHECKED if check[2] < 10]
    monkeypatch.setattr(gpu_check, "CHECKED", small)
    assert main(["doctor", "--gpu", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["gpu"] == "runs circuits"
    assert found["density_matrix complex128 6 qubits"].startswith("differs from the CPU by 0.0e+00")
    device.check_gpu.cache_clear()
    gpu["error"] = 1e-6
    assert main(["doctor", "--gpu", "--json"]) == 4
    found = json.loads(capsys.readouterr().out)
    assert "1e-06" in found["statevector complex128 6 qubits"]
    assert found["statevector complex64 6 qubits"].startswith("differs from the CPU by 1.0e-06")


def test_the_doctor_says_why_no_gpu_runs(capsys: pytest.CaptureFixture[str]):
    if not gpu_failure():
        pytest.skip("a GPU runs circuits on this machine")
    assert main(["doctor", "--gpu"]) == 4
    out = " ".join(capsys.readouterr().out.split())
    assert f"gpu FAULT runs no circuits: {gpu_failure()}" in out
    assert "visible GPUs" in out


@pytest.mark.skipif(bool(gpu_failure()), reason=NO_GPU)
@pytest.mark.parametrize("method", ["statevector", "density_matrix"])
def test_a_gpu_has_the_values_of_the_cpu(method: str):
    template = Template(2, (Op("ry", (0,), (const(0.3),)), Op("cx", (0, 1))))
    empty = Bindings(np.zeros((1, 0)), np.zeros(0))
    found = [
        AerBackend(method=method, device=name).evaluate(template, z_observables(2), empty).values
        for name in ("cpu", "gpu")
    ]
    np.testing.assert_allclose(found[1], found[0], atol=1e-10)


@pytest.mark.skipif(bool(gpu_failure()), reason=NO_GPU)
def test_shots_on_a_gpu_are_those_of_their_key():
    template, empty = Template(1, (Op("h", (0,)),)), Bindings(np.zeros((2, 0)), np.zeros(0))
    first, again = (
        AerBackend(device="gpu").evaluate(
            template, z_observables(1), empty, shots=500, key=DrawKey((1,))
        )
        for _ in range(2)
    )
    assert first.values.tobytes() == again.values.tobytes()


# -------------------------------------------------------------------------------------- truncation


def _brickwork(layers: int = 4) -> Template:
    angles = iter(np.random.default_rng(2).uniform(-3, 3, 1000))
    ops: list[Op] = []
    for _ in range(layers):
        ops += [Op("ry", (q,), (const(next(angles)),)) for q in range(6)]
        ops += [Op("cx", (q, q + 1)) for q in range(5)]
    return Template(6, tuple(ops))


@pytest.mark.parametrize("shots", [None, 50])
def test_a_truncation_that_matters_is_warned_of(caplog: pytest.LogCaptureFixture, shots):
    """Once: a run evaluates the same circuit thousands of times."""
    args = _brickwork(), z_observables(6), Bindings(np.zeros((1, 0)), np.zeros(0))
    backend = AerBackend(method=MPS, max_bond_dimension=2)
    for _ in range(2):
        found = backend.evaluate(*args, shots=shots, key=DrawKey((1,)))
    (record,) = caplog.records
    assert "max_bond_dimension = 2" in record.getMessage()
    if shots is None:
        assert abs(found.values - AerBackend().evaluate(*args).values).max() > 0.01


@pytest.mark.parametrize("bond", [None, 8])
def test_a_truncation_that_discards_nothing_is_not(
    caplog: pytest.LogCaptureFixture, bond: int | None
):
    """Also after others of the same process, in whose log Aer keeps the weights of all runs."""
    args = _brickwork(), z_observables(6), Bindings(np.zeros((1, 0)), np.zeros(0))
    AerBackend(method=MPS, max_bond_dimension=2).evaluate(*args)
    caplog.clear()
    found = AerBackend(method=MPS, max_bond_dimension=bond).evaluate(*args)
    assert caplog.records == []
    np.testing.assert_allclose(found.values, AerBackend().evaluate(*args).values, atol=1e-9)


def test_a_truncation_that_matters_later_is_warned_of_then(caplog: pytest.LogCaptureFixture):
    """Angles change while a model trains: the 1st, 2nd, 4th and 8th evaluation are looked at."""
    pairs = [(q, p) for q in (0, 1) for p in (3, 4)]
    ops = [Op("rxx", pair, (row(0),)) for pair in pairs] + [Op("rzz", (1, 3), (row(0),))]
    template = Template(5, tuple(ops), n_rows=1)
    backend = AerBackend(method=MPS, max_bond_dimension=1)
    for evaluation in range(1, 9):
        angle = 0.0 if evaluation < 5 else 1.2
        args = template, z_observables(5), Bindings(np.array([[angle]]), np.zeros(0))
        backend.evaluate(*args)
        assert len(caplog.records) == (evaluation == 8)


def test_discarded_weights_of_a_log():
    log = "{I0:cx on qubits 0,1, BD=[2 1],  discarded_value=0.25, I1:cx on qubits 0,1, "
    assert discarded_weights(log + "BD=[2 2],  discarded_value=1.5e-05, }") == [0.25, 1.5e-05]
    assert discarded_weights("") == []
