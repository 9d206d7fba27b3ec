"""The letters of array shapes, and the two array types, used in every docstring of the package.

B  rows of a batch            P  parameters of a circuit
F  raw features of a row      O  observables
A  encoded angles of a row    K  outputs of a model
N  rows evaluated in one call (a gradient method may ask for many more than B)
n  qubits; a state has 2^n amplitudes, qubit 0 is the least significant bit of the index
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray: TypeAlias = NDArray[np.float64]
    ComplexArray: TypeAlias = NDArray[np.complex128]
    IntArray: TypeAlias = NDArray[np.int64]
    AnyArray: TypeAlias = NDArray[Any]
