"""The letters of array shapes used in every docstring, the array types, free tables, and tasks.

B  rows of a batch            P  parameters of a circuit
F  raw features of a row      O  observables
A  encoded angles of a row    K  outputs of a model
T  labels or numbers of a row with several
N  rows evaluated in one call (a gradient method may ask for many more than B)
n  qubits; a state has 2^n amplitudes, qubit 0 is the least significant bit of the index
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray: TypeAlias = NDArray[np.float64]
    ComplexArray: TypeAlias = NDArray[np.complex128]
    IntArray: TypeAlias = NDArray[np.int64]
    AnyArray: TypeAlias = NDArray[Any]

Table: TypeAlias = dict[str, Any]
"""A free table of TOML or JSON, such as the options of a backend: its reader checks the values."""

ReadOnlyTable: TypeAlias = Mapping[str, object]
"""A `Table` that is only read; its values are checked before they are used."""

Task: TypeAlias = Literal["classification", "multilabel", "regression"]
"""One class a row, several labels that each hold or not, or one or several numbers a row."""
