"""Read observables from text, `Observable` objects, or Qiskit's operators.

Qiskit writes Pauli strings with qubit 0 last: `SparsePauliOp("ZI")` is Z on qubit 1. Its operators
are recognised by the names of their classes, without importing Qiskit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from qstore_ray.circuits.observable import Observable, PauliTerm
from qstore_ray.errors import CircuitError

_OPERATORS = ("SparsePauliOp", "SparseObservable", "Pauli", "PauliList")
_LABEL = re.compile(r"(-?i?)([IXYZ]+)")
_TYPED = 'Write Pauli sums such as "Z0" or "0.5*X0 Y2 - Z1", or give a SparsePauliOp.'


def read_observables(given: Any, n_qubits: int | None = None) -> tuple[Observable, ...]:
    """The observables that `given` is: one, or several in a list; a PauliList is one a row.

    Args:
        given: a Pauli sum as text, an `Observable`, a SparsePauliOp, SparseObservable, Pauli or
            PauliList of Qiskit, or a list of these.
        n_qubits: of the circuit; operators of Qiskit, which know theirs, must have as many.

    Raises:
        CircuitError: something else, complex coefficients, or another number of qubits.
    """
    if isinstance(given, str):
        return (Observable.parse(given),)
    if isinstance(given, Observable):
        return (given,)
    if is_operator(given):
        if n_qubits is not None and given.num_qubits != n_qubits:
            raise CircuitError(
                f"the operator is of {given.num_qubits} qubits, the circuit has {n_qubits}",
                field="observables",
                value=type(given).__name__,
                fix="Give operators of the circuit's own number of qubits; for a transpiled "
                "circuit those of the circuit before, without apply_layout.",
            )
        rows = list(given) if type(given).__name__ == "PauliList" else [given]
        return tuple(map(_of_qiskit, rows))
    if not isinstance(given, Iterable):
        raise _no_observable_error(given)
    return tuple(found for each in given for found in read_observables(each, n_qubits))


def is_operator(given: Any) -> bool:
    """Whether it is one of Qiskit's operators that are sums of Pauli strings."""
    kinds = type(given).__mro__
    return any(
        kind.__name__ in _OPERATORS and kind.__module__.partition(".")[0] == "qiskit"
        for kind in kinds
    )


def _of_qiskit(operator: Any) -> Observable:
    terms = tuple(_term(*summand) for summand in _summands(operator))
    if not terms:
        raise CircuitError("an operator without terms", field="observables", fix=_TYPED)
    return Observable(terms)


def _summands(operator: Any) -> Iterable[tuple[str, Sequence[int], Any]]:
    """Letters, their qubits and the coefficient of each summand."""
    if hasattr(operator, "to_label"):  # a Pauli string, such as -iXYZ
        sign, letters = _LABEL.fullmatch(operator.to_label()).groups()  # type: ignore[union-attr]
        coefficient = {"": 1.0, "-": -1.0, "i": 1j, "-i": -1j}[sign]
        return [(letters[::-1], range(len(letters)), coefficient)]
    if hasattr(operator, "as_paulis"):  # a SparseObservable has projectors too
        operator = operator.as_paulis()
    summands: Iterable[tuple[str, Sequence[int], Any]] = operator.to_sparse_list()
    return summands


def _term(letters: str, qubits: Sequence[int], coefficient: Any) -> PauliTerm:
    acting = list(zip(letters, qubits, strict=True))
    x = sum(1 << qubit for letter, qubit in acting if letter in "XY")
    z = sum(1 << qubit for letter, qubit in acting if letter in "YZ")
    return PauliTerm(x, z, _real(coefficient))


def _real(coefficient: Any) -> float:
    try:
        number = complex(coefficient)
    except TypeError as exc:  # a parameter that was not bound
        raise _coefficient_error(coefficient) from exc
    if number.imag or not math.isfinite(number.real):
        raise _coefficient_error(coefficient)
    return number.real


def _coefficient_error(coefficient: Any) -> CircuitError:
    return CircuitError(
        "a coefficient of an observable must be a real, finite number",
        field="observables",
        value=str(coefficient),
        fix="Take the Hermitian part, and bind every parameter.",
    )


def _no_observable_error(given: Any) -> CircuitError:
    return CircuitError(
        f"{type(given).__name__} is no observable", field="observables", value=given, fix=_TYPED
    )
