"""What a quantum kernel can know that classical kernels do not (Huang et al., arXiv:2011.01938).

Concentration: the mean and the variance of |⟨ψ(x)|ψ(y)⟩|² over pairs of rows. A variance of v takes
about 1/v shots a pair to see anything; a mean of 2^-n is that of random states.

Geometric difference, of kernels scaled to trace N:

    g(C‖Q) = √ ‖ √K_Q √K_C (K_C + λN)⁻² √K_C √K_Q ‖

Far below √N no labels exist on which the quantum kernel is much better. g is huge against one badly
scaled classical kernel, so it is only ever the least over a grid of widths of the RBF kernel and
the linear one, and with λ > 0. On the labels themselves:

    s(K) = Yᵀ (K + λN)⁻¹ Y

(Y centred, one column a class, scaled to ‖Y‖² = N) is small where the kernel fits the labels;
only g near √N and s_C near N with s_Q far below point to an advantage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray, IntArray

RIDGE = 1e-3
"""λ, of a kernel of trace N."""

WIDTHS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""γ of the RBF kernels, in units of 1 / mean squared distance."""


class KernelFacts(NamedTuple):
    """What the matrices of N rows say.

    Attributes:
        mean, variance: of the quantum kernel between different rows. random: 2^-n.
        shots: a pair needs, about 1 / variance.
        g: the least geometric difference to a classical kernel. bound: √N.
        s_classical: the least of a classical kernel. s_quantum: of the quantum kernel.
        rows: N.
    """

    mean: float
    variance: float
    random: float
    shots: float
    g: float
    bound: float
    s_classical: float
    s_quantum: float
    rows: int

    @property
    def concentrates(self) -> bool:
        """Whether pairs cannot be told apart by 10,000 shots each."""
        return self.shots > 1e4

    @property
    def points_to_advantage(self) -> bool:
        """Whether the geometry leaves room for an advantage, and the labels lie in that room."""
        room = self.g > 0.5 * self.bound
        return room and self.s_classical > 2.0 * self.s_quantum


def kernel_facts(
    quantum: FloatArray, x: FloatArray, y: IntArray, n_qubits: int, ridge: float = RIDGE
) -> KernelFacts:
    """The facts of a quantum kernel matrix (N, N) of rows with classical features x (N, F).

    Args:
        y: class numbers (N,).
    """
    off = quantum[np.triu_indices(len(quantum), 1)]
    rivals = classical_kernels(x)
    targets = _targets(y)
    variance = float(off.var())
    return KernelFacts(
        mean=float(off.mean()),
        variance=variance,
        random=2.0**-n_qubits,
        shots=1.0 / max(variance, 1e-300),
        g=min(geometric_difference(quantum, rival, ridge) for rival in rivals),
        bound=float(np.sqrt(len(quantum))),
        s_classical=min(label_norm(rival, targets, ridge) for rival in rivals),
        s_quantum=label_norm(quantum, targets, ridge),
        rows=len(quantum),
    )


def classical_kernels(x: FloatArray) -> list[FloatArray]:
    """RBF kernels of all widths, and the linear one, of standardised features (N, F)."""
    spread = x.std(axis=0)
    z = (x - x.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)
    squares = _squares(z)
    scale = max(float(squares.mean()), 1e-12)
    linear = z @ z.T + 1.0
    return [np.exp(-width * squares / scale) for width in WIDTHS] + [linear]


def geometric_difference(quantum: FloatArray, classical: FloatArray, ridge: float) -> float:
    """g(C‖Q) of two kernel matrices (N, N), regularised by λ."""
    root_q = _root(_unit_trace(quantum))
    values, vectors = np.linalg.eigh(_unit_trace(classical))
    values = np.maximum(values, 0.0)
    inner = vectors * (values / (values + ridge * len(values)) ** 2) @ vectors.T
    return float(np.sqrt(max(0.0, np.linalg.eigvalsh(root_q @ inner @ root_q)[-1])))


def label_norm(kernel: FloatArray, targets: FloatArray, ridge: float) -> float:
    """s = Yᵀ (K + λN)⁻¹ Y of a kernel matrix (N, N) and targets (N, K)."""
    matrix = _unit_trace(kernel) + ridge * len(kernel) * np.eye(len(kernel))
    return float((targets * np.linalg.solve(matrix, targets)).sum())


def planted_labels(quantum: FloatArray, classical: FloatArray, ridge: float = RIDGE) -> IntArray:
    """Labels (N,) on which the quantum kernel is as much better as it can be: sign(√K_Q v).

    v is the eigenvector of the largest eigenvalue in `geometric_difference`: the positive control
    that a check of advantage has to find.
    """
    root_q = _root(_unit_trace(quantum))
    values, vectors = np.linalg.eigh(_unit_trace(classical))
    values = np.maximum(values, 0.0)
    inner = vectors * (values / (values + ridge * len(values)) ** 2) @ vectors.T
    _, found = np.linalg.eigh(root_q @ inner @ root_q)
    scores = root_q @ found[:, -1]
    labels: IntArray = (scores > np.median(scores)).astype(np.int64)
    return labels


def _targets(y: IntArray) -> FloatArray:
    """One centred column a class, ‖Y‖² = N."""
    hot = (y[:, None] == np.unique(y)[None]).astype(np.float64)
    hot -= hot.mean(axis=0)
    found: FloatArray = hot * np.sqrt(len(y) / (hot**2).sum())
    return found


def _unit_trace(kernel: FloatArray) -> FloatArray:
    """The matrix scaled to trace N."""
    found: FloatArray = kernel * (len(kernel) / np.trace(kernel))
    return found


def _root(kernel: FloatArray) -> FloatArray:
    values, vectors = np.linalg.eigh(kernel)
    found: FloatArray = vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
    return found


def _squares(z: FloatArray) -> FloatArray:
    """Squared distances (N, N), without N² F numbers in memory."""
    norms = (z**2).sum(axis=1)
    found: FloatArray = np.maximum(norms[:, None] + norms[None] - 2.0 * z @ z.T, 0.0)
    return found
