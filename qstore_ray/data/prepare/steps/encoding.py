"""Last steps before a circuit that takes no angles: bits for basis, amplitudes for amplitude."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from qstore_ray.data.prepare.steps.base import State, Step
from qstore_ray.data.prepare.steps.norms import by_largest
from qstore_ray.errors import ConfigError, DataError, UsageError

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


class Binarize(Step):
    """1 where x is above the threshold and else 0.

    Args:
        threshold: each column's median or mean in train, or one number for all columns.
    """

    name: Literal["binarize"] = "binarize"
    keeps_columns: ClassVar[bool] = True
    threshold: Literal["median", "mean"] | float = "median"

    def fit(self, x: FloatArray) -> State:
        """The threshold of each column (F,)."""
        if self.threshold == "median":
            return {"threshold": np.asarray(np.median(x, axis=0), dtype=np.float64)}
        if self.threshold == "mean":
            return {"threshold": x.mean(axis=0)}
        return {"threshold": np.full(x.shape[1], float(self.threshold))}

    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """The rows `x` (B, F) as zeros and ones, (B, F)."""
        return (x > state["threshold"]).astype(np.float64)


class Amplitudes(Step):
    """(x, constant, 0, …, 0) / ‖(x, constant)‖₂: a row as the amplitudes of a quantum state.

    A state has no length, so that a row and its double give the same one. A constant other than 0
    keeps them apart: it is an amplitude against which the row is measured, and takes up one of the
    padded places.

    Args:
        width: amplitudes of a state, 2^n for n qubits; zeros fill what the row leaves.
        constant: entry that is put behind the row; 0 for none.
    """

    name: Literal["amplitudes"] = "amplitudes"
    width: int = Field(ge=1, examples=[16])
    constant: float = Field(default=0.0, ge=0.0)

    def fit(self, x: FloatArray) -> State:
        """Nothing to learn; checks that the rows `x` (N, F) fit.

        Raises:
            ConfigError: more features than amplitudes.
        """
        room = self.width - (self.constant > 0.0)
        if x.shape[1] > room:
            raise ConfigError(
                f"{x.shape[1]} features do not fit into {self.width} amplitudes"
                + (", one of which is the constant" if self.constant else ""),
                field="preprocessing.amplitudes.width",
                value=self.width,
                fix=f"Reduce the data to {room} components (PCA), or take more qubits.",
            )
        return {"n_features": np.array([float(x.shape[1])])}

    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """The rows `x` (B, F) as amplitudes, (B, width).

        Raises:
            DataError: a row of zeros, which is no quantum state.
        """
        n_features = x.shape[1]
        out = np.zeros((len(x), self.width))
        out[:, :n_features] = x
        if self.constant:
            out[:, n_features] = self.constant
        zero = ~out.any(axis=1)
        if zero.any():
            raise DataError(
                "row {row} is all zeros and cannot be an amplitude vector",
                row=int(np.argmax(zero)),
                field="preprocessing.amplitudes",
                fix="Drop such rows, or set constant = 1.0.",
            )
        safe = by_largest(out)
        norms: FloatArray = np.linalg.norm(safe, axis=1, keepdims=True)
        return safe / norms

    def invert(self, x: FloatArray, state: State) -> FloatArray:
        """x · constant / x_F, the row that was measured against the constant.

        Raises:
            UsageError: there is no constant, so the length of the row is lost.
        """
        if not self.constant:
            raise UsageError(
                "the step amplitudes has no inverse without a constant: rows lost their length",
                field="preprocessing.amplitudes.constant",
                value=self.constant,
                fix="Set constant = 1.0.",
            )
        n_features = int(state["n_features"][0])
        return x[:, :n_features] * (self.constant / x[:, n_features : n_features + 1])
