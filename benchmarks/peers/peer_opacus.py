"""A private step as people take it: PennyLane's default.qubit in torch, gradients by Opacus.

Opacus has no rule for a circuit, so it differentiates the layer for each row by functorch, or, with
the argument `loop`, rows go through one by one. The gradient of each row is clipped to norm 1 and
noise is added to the sum; what is compared is the mean of the clipped gradients without it.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pennylane as qml
import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from pennylane_circuit import function
from protocol import Case, Step, serve

CLIP, SIGMA = 1.0, 1.0
LOOP = sys.argv[1:] == ["loop"]


class CircuitLayer(torch.nn.Module):
    """Rows (B, A) to outputs (B,): the expectation values times w, plus c."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        device = qml.device("default.qubit", wires=case.n_qubits)
        self._node = qml.QNode(function(case), device, interface="torch", diff_method="backprop")
        self.theta = torch.nn.Parameter(torch.tensor(case.params))
        self.w = torch.tensor(case.w)  # no buffer: Opacus takes no layer with one
        self._c = case.c

    def forward(self, rows: Any) -> Any:
        """See the class."""
        values = torch.stack(self._node(rows.T, self.theta, None)).reshape(len(self.w), -1)
        return values.T @ self.w + self._c


def build(case: Case) -> Step:
    """One step of DP-SGD, by Opacus or by a loop over the rows."""
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    layer = CircuitLayer(case)
    rows, y = torch.tensor(case.rows), torch.tensor(case.y)
    return _loop(layer, rows, y) if LOOP else _opacus(layer, rows, y)


def _opacus(layer: Any, rows: Any, y: Any) -> Step:
    wrapped = GradSampleModule(layer, batch_first=True, loss_reduction="sum")
    optimizer = DPOptimizer(
        torch.optim.SGD(wrapped.parameters(), lr=0.0), noise_multiplier=SIGMA,
        max_grad_norm=CLIP, expected_batch_size=len(y), loss_reduction="mean",
    )  # fmt: skip

    def step() -> tuple[float, np.ndarray]:
        optimizer.zero_grad()
        losses = (wrapped(rows) - y) ** 2
        losses.sum().backward()
        each = layer.theta.grad_sample.numpy()
        factors = np.minimum(1.0, CLIP / (np.linalg.norm(each, axis=1) + 1e-6))
        expected = factors @ each / len(y)
        optimizer.step()  # clips, adds noise, and moves by nothing
        return float(losses.mean()), expected

    return step


def _loop(layer: Any, rows: Any, y: Any) -> Step:
    def step() -> tuple[float, np.ndarray]:
        total, loss = torch.zeros_like(layer.theta), 0.0
        for place in range(len(y)):
            found = ((layer(rows[place : place + 1]) - y[place]) ** 2).sum()
            (gradient,) = torch.autograd.grad(found, layer.theta)
            total += gradient * torch.clamp(CLIP / (gradient.norm() + 1e-6), max=1.0)
            loss += float(found)
        # gate: QS101 because only its time is measured
        _ = (total + SIGMA * CLIP * torch.randn_like(total)) / len(y)
        return loss / len(y), (total / len(y)).numpy()

    return step


if __name__ == "__main__":
    serve(build)
