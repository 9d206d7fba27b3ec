"""A circuit as a layer of PyTorch: expectation values forward, exact gradients backward.

    import torch
    from qstore_ray import Observable, build_circuit
    from qstore_ray.torch import TorchQuantumLayer

    circuit = build_circuit(
        encoding="angle", ansatz="hardware_efficient", n_qubits=4, n_features=4, layers=2
    )
    net = torch.nn.Sequential(
        torch.nn.Linear(20, 4),
        TorchQuantumLayer(circuit, [Observable.parse(f"Z{q}") for q in range(4)]),
        torch.nn.Linear(4, 3),
    )

The circuit is evaluated on this machine's CPU in double precision for tensors of any type;
values and gradients are returned in the type of the tensors that came in, so a layer fits a network
in single precision as it is. Tensors on another device are refused: a copy there and back at every
step is the caller's to decide. Needs the extra `torch`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.backends import open_backend
from qstore_ray.backends.base import Backend, Bindings, Estimates, Pullback
from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.load import circuit_of_rows
from qstore_ray.circuits.qiskit.operators import read_observables
from qstore_ray.circuits.slots import feature_names
from qstore_ray.errors import ConfigError, MissingDependencyError, UsageError
from qstore_ray.learn.gradients import draws_its_plan, get_gradient, linearize

try:
    import torch
except ImportError as exc:
    raise MissingDependencyError(
        "the layer needs PyTorch, which is not installed",
        field="torch",
        fix='Install it with `pip install "qstore-ray[torch]"`.',
    ) from exc

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


class TorchQuantumLayer(torch.nn.Module):  # type: ignore[misc]  # torch may not be installed
    """Rows (…, F) to expectation values (…, O), with trained circuit parameters `weight` (P,).

    Gradients flow to `weight` and, through the encoding, to the rows. They are first derivatives
    only: a graph of the gradient itself (`create_graph=True`) is refused.

    Args:
        circuit: a `Circuit`, a Qiskit circuit of any class, a `.qasm` file or its text.
        observables: O Pauli sums, as observables, text or operators of Qiskit.
        features: which parameters of a circuit that is no `Circuit` are data, see `ModelConfig`.
        backend: evaluates the circuit; by default the exact simulator.
        gradient: `adjoint`, `parameter_shift`, or `auto`, as of a trainer.
        initial_spread: standard deviation of the initial parameters, radians.
        seed: of the initial parameters; PyTorch's own generator is not drawn from.

    Raises:
        UnknownNameError: no such gradient method.
        ConfigError: one that draws other gates in each step.
        CircuitError: observables that do not fit the circuit.
    """

    def __init__(
        self,
        circuit: Any,
        observables: Any,
        backend: Backend | None = None,
        *,
        features: Any = None,
        gradient: str = "auto",
        initial_spread: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.circuit: Circuit = circuit_of_rows(circuit, feature_names(features))
        template = self.circuit.template
        self.observables = read_observables(observables, template.n_qubits)
        self.backend: Backend = backend or open_backend("statevector", {})
        self.method = get_gradient(gradient, self.backend)
        if draws_its_plan(self.method):
            raise ConfigError(
                f"{self.method.name} draws other gates in each step, and a layer counts no steps",
                field="gradient",
                value=gradient,
                fix="Take adjoint, parameter_shift or auto.",
            )
        start = np.random.default_rng(seed).normal(scale=initial_spread, size=template.n_params)
        self.weight = torch.nn.Parameter(torch.from_numpy(start))
        self.backend.check(template, self.observables, self._example())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Expectation values (…, O) of rows (…, F), in the type of the rows.

        Raises:
            UsageError: tensors that are not real numbers on the CPU.
            DataError: a wrong width, NaN or infinity.
        """
        rows = x.reshape(-1, x.shape[-1]) if x.ndim else x.reshape(1, 1)
        values = _Expectations.apply(rows, self.weight, self, torch.is_grad_enabled())
        return values.reshape(*x.shape[:-1], len(self.observables))

    def extra_repr(self) -> str:
        """What is printed of the layer."""
        template = self.circuit.template
        return (
            f"{self.circuit.name}, qubits={template.n_qubits}, features={self.circuit.n_features}, "
            f"parameters={template.n_params}, observables={len(self.observables)}"
        )

    def _example(self) -> Bindings:
        """Some row, to check observables and circuit against each other."""
        x = np.ones((1, self.circuit.n_features))
        amplitudes = self.circuit.amplitudes(x)
        return Bindings(self.circuit.angles(x), self.weight.detach().numpy(), amplitudes)


class _Expectations(torch.autograd.Function):  # type: ignore[misc]  # see above
    """The layer's function: rows (B, F) and parameters (P,) to values (B, O)."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, layer: TorchQuantumLayer, trains: bool
    ) -> torch.Tensor:
        rows, circuit = _array(x, "x"), layer.circuit
        bindings = Bindings(
            circuit.angles(rows), _array(weight, "weight"), circuit.amplitudes(rows)
        )
        ctx.layer, ctx.rows, ctx.bindings, ctx.types = (
            layer,
            rows,
            bindings,
            (x.dtype, weight.dtype),
        )
        ctx.pullback = None
        if trains and any(ctx.needs_input_grad[:2]):
            estimates, ctx.pullback = _linearized(ctx)
        else:
            estimates = layer.backend.evaluate(circuit.template, layer.observables, bindings)
        return torch.from_numpy(estimates.values.copy()).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        if torch.is_grad_enabled():  # it would be missing from the second one without a word
            raise UsageError(
                "the layer has first derivatives only",
                field="create_graph",
                value=True,
                fix="Leave out create_graph=True.",
            )
        # A pullback can be asked once; a graph that is retained and walked again needs another.
        pullback = ctx.pullback or _linearized(ctx)[1]
        ctx.pullback = None
        gradients = pullback(_array(cotangent, "gradient"))
        by_x = by_weight = None
        if ctx.needs_input_grad[0]:
            circuit: Circuit = ctx.layer.circuit
            found = circuit.pullback(ctx.rows, gradients.rows, gradients.amplitudes)
            by_x = torch.from_numpy(found).to(ctx.types[0])
        if ctx.needs_input_grad[1]:
            by_weight = torch.from_numpy(gradients.params.sum(axis=0)).to(ctx.types[1])
        return by_x, by_weight, None, None


def _linearized(ctx: Any) -> tuple[Estimates, Pullback]:
    layer: TorchQuantumLayer = ctx.layer
    return linearize(
        layer.method,
        layer.backend,
        layer.circuit.template,
        layer.observables,
        ctx.bindings,
        rows_gradient=ctx.needs_input_grad[0],
    )


def _array(tensor: torch.Tensor, field: str) -> FloatArray:
    """The numbers of a tensor in double precision, in memory of their own."""
    if tensor.device.type != "cpu":
        raise UsageError(
            "a circuit is evaluated on the CPU, this tensor is elsewhere",
            field=field,
            value=str(tensor.device),
            fix="Call .cpu() before the layer, and do not move the layer itself.",
        )
    if not tensor.dtype.is_floating_point:
        raise UsageError(
            "a circuit takes real numbers",
            field=field,
            value=str(tensor.dtype),
            fix="Call .double() before the layer.",
        )
    # A copy: the tensor may be changed in place before the gradient is asked for.
    numbers: FloatArray = np.array(tensor.detach().double().numpy(), order="C")
    return numbers
