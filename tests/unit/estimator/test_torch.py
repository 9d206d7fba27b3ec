"""The layer of PyTorch: its values, PyTorch's own check of its gradients, and training with it."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.library.encodings import ENCODINGS
from qstore_ray.circuits.library.library import build_circuit
from qstore_ray.circuits.observable import Observable, z_observables
from qstore_ray.errors import CircuitError, DataError, UnknownNameError, UsageError
from qstore_ray.simulate import reference

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install qstore-ray[torch]")

WIDTHS = {"dense_angle": 6, "amplitude": 7, "hamiltonian": 2}  # on three qubits, else 3
DIFFERENTIABLE = [name for name in ENCODINGS if name != "basis"]
OBSERVABLES = [Observable.parse(text) for text in ("X0 + 0.5*Z0", "Z1 - 0.3*Y1", "Z0 Z2")]


def _layer(encoding: str = "angle", **other):
    from qstore_ray.torch import TorchQuantumLayer

    fields = {"ansatz": "hardware_efficient", "layers": 1, "reuploading": False} | {
        name: other.pop(name) for name in ("ansatz", "reuploading") if name in other
    }
    circuit = build_circuit(
        encoding=encoding, n_qubits=3, n_features=WIDTHS.get(encoding, 3), **fields
    )
    return TorchQuantumLayer(circuit, OBSERVABLES, **({"initial_spread": 0.7} | other))


def _rows(layer, *shape: int, dtype=None):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1.5, 1.5, (*shape, layer.circuit.n_features))
    return torch.tensor(x, dtype=dtype or torch.float64, requires_grad=True)


@pytest.mark.parametrize("encoding", DIFFERENTIABLE)
@pytest.mark.parametrize("reuploading", [False, True])
def test_gradcheck_by_weights_and_inputs(encoding: str, reuploading: bool):
    if encoding == "amplitude" and reuploading:
        reuploading = False  # it cannot be; the other ansatz is checked instead
        layer = _layer(encoding, ansatz="strongly_entangling")
    else:
        layer = _layer(encoding, reuploading=reuploading)
    x = _rows(layer, 3)

    def function(x, weight):
        return torch.func.functional_call(layer, {"weight": weight}, x)

    assert torch.autograd.gradcheck(function, (x, layer.weight), atol=1e-6)


@pytest.mark.parametrize("gradient", ["adjoint", "parameter_shift"])
def test_every_gradient_method_gives_the_same(gradient: str):
    expected, layer = _layer("zz"), _layer("zz", gradient=gradient)
    found = []
    for one in (expected, layer):
        x = _rows(one, 4)
        one(x).square().sum().backward()
        found.append((x.grad, one.weight.grad))
    for this, other in zip(*found, strict=True):
        torch.testing.assert_close(this, other)


def test_values_are_those_of_the_reference():
    layer = _layer("iqp")
    x = _rows(layer, 5)
    expected = reference.expectations(
        layer.circuit.template,
        OBSERVABLES,
        layer.circuit.angles(x.detach().numpy()),
        layer.weight.detach().numpy(),
    )
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0,)])
def test_any_leading_shape_comes_back(shape: tuple[int, ...]):
    layer = _layer()
    assert layer(_rows(layer, *shape)).shape == (*shape, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_have_the_type_of_their_tensors(dtype):
    layer = _layer().to(dtype)
    x = _rows(layer, 2, dtype=dtype)
    values = layer(x)
    values.sum().backward()
    assert values.dtype == x.grad.dtype == layer.weight.grad.dtype == dtype


def test_a_graph_that_is_kept_can_be_walked_again():
    layer = _layer()
    x = _rows(layer, 3)
    loss = layer(x).square().sum()
    (first,) = torch.autograd.grad(loss, layer.weight, retain_graph=True)
    (second,) = torch.autograd.grad(loss, layer.weight, retain_graph=True)
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_a_tensor_changed_afterwards_does_not_change_the_gradient():
    layer = _layer()
    x = _rows(layer, 3).detach()
    values = layer(x)
    values.sum().backward()
    expected = layer.weight.grad.clone()
    layer.weight.grad = None
    values = layer(x)
    x.zero_()
    values.sum().backward()
    torch.testing.assert_close(layer.weight.grad, expected)


def test_without_gradients_nothing_is_kept():
    layer = _layer()
    with torch.no_grad():
        values = layer(_rows(layer, 2))
    assert not values.requires_grad


def test_a_second_derivative_is_refused():
    layer = _layer()
    x = _rows(layer, 2)
    with pytest.raises(UsageError, match="first derivatives") as caught:
        torch.autograd.grad(layer(x).sum(), x, create_graph=True)
    assert caught.value.field == "create_graph"


def test_a_network_around_the_layer_learns():
    from qstore_ray.torch import TorchQuantumLayer

    torch.manual_seed(0)
    rng = np.random.default_rng(1)
    x = torch.tensor(rng.normal(size=(96, 6)), dtype=torch.float32)
    y = (x[:, 0] * x[:, 1] > 0).long()
    circuit = build_circuit(
        encoding="angle", ansatz="real_amplitudes", n_qubits=2, n_features=2, layers=1
    )
    net = torch.nn.Sequential(
        torch.nn.Linear(6, 8),
        torch.nn.Tanh(),
        torch.nn.Linear(8, 2),
        TorchQuantumLayer(circuit, z_observables(2)).float(),
        torch.nn.Linear(2, 2),
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.25 < losses[0]
    assert (net(x).argmax(dim=1) == y).double().mean() > 0.9


def test_the_state_of_a_layer_is_its_parameters():
    one, other = _layer(seed=1), _layer(seed=2)
    x = _rows(one, 2)
    assert not torch.allclose(one(x), other(x))
    other.load_state_dict(one.state_dict())
    torch.testing.assert_close(one(x), other(x), rtol=0, atol=0)
    assert "parameters=9" in repr(one)


@pytest.mark.parametrize(
    ("x", "value", "message"),
    [
        (torch.zeros(2, 3, device="meta"), "meta", r"\.cpu\(\)"),
        (torch.zeros(2, 3, dtype=torch.int64), "torch.int64", r"\.double\(\)"),
        (torch.zeros(2, 3, dtype=torch.complex64), "torch.complex64", "real numbers"),
    ],
    ids=["another device", "integers", "complex numbers"],
)
def test_tensors_it_cannot_take_are_refused(x, value: str, message: str):
    with pytest.raises(UsageError, match=message) as caught:
        _layer()(x)
    assert (caught.value.field, caught.value.value) == ("x", value)


def test_rows_it_cannot_take_are_refused():
    with pytest.raises(DataError, match="3 features"):
        _layer()(torch.zeros(2, 4))
    with pytest.raises(DataError, match="NaN"):
        _layer()(torch.full((2, 3), torch.nan))
    basis = _layer("basis")
    values = basis(torch.ones(2, 3, requires_grad=True))
    with pytest.raises(CircuitError, match="no derivative"):
        values.sum().backward()


def test_what_makes_no_layer_is_refused():
    from qstore_ray.torch import TorchQuantumLayer

    circuit = build_circuit(encoding="angle", ansatz="basic", n_qubits=2, n_features=2, layers=1)
    with pytest.raises(CircuitError, match="qubit 4"):
        TorchQuantumLayer(circuit, [Observable.parse("Z4")])
    with pytest.raises(UnknownNameError):
        TorchQuantumLayer(circuit, z_observables(2), gradient="backprop")
    layer = TorchQuantumLayer(circuit, z_observables(2), StatevectorBackend("numpy"))
    assert layer.backend.engine == "numpy"
