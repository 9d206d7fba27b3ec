"""What has happened to each qubit so far: whether a reset or a measurement changes the state.

A reset of a qubit that no gate has touched does nothing; a measurement after which nothing happens
to its qubit is what the observables say. Everything else would need circuits with measurements in
their middle, and is refused by its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from qstore_ray.errors import CircuitError

Where = Callable[[], str]
"""Says the place in the user's file; asked only for an error. `str` says nothing."""


class QubitHistory:
    """Gates and measurements of each qubit of a circuit.

    Attributes:
        touched: numbers of the qubits with a gate or a measurement.
        measured: number of a measured qubit → place of its measurement.
    """

    def __init__(self) -> None:
        self.touched: set[int] = set()
        self.measured: dict[int, Where] = {}

    def gate(self, name: str, qubits: Iterable[int], where: Where = str) -> None:
        """A gate acts on `qubits`.

        Raises:
            CircuitError: one of them was measured before.
        """
        self.touched.update(qubits)
        if not self.measured:
            return
        for qubit in qubits:
            if qubit in self.measured:
                at = self.measured[qubit]().partition(", ")[2]
                raise _history_error(
                    f"{name} acts on qubit {qubit} after its measurement{at and f' in {at}'}: "
                    "mid-circuit measurement is not supported",
                    where,
                    "measure",
                    "Measure at the end only; what is measured is said by observables.",
                )

    def measure(self, qubits: Iterable[int], where: Where = str) -> None:
        """`qubits` are measured."""
        self.measured.update(dict.fromkeys(qubits, where))
        self.touched.update(qubits)

    def reset(self, qubits: Iterable[int], where: Where = str, name: str = "reset") -> None:
        """`qubits` are put back to |0⟩.

        Raises:
            CircuitError: a gate or a measurement came before.
        """
        used = sorted(self.touched.intersection(qubits))
        if used:
            raise _history_error(
                f"{name} of qubit {used[0]}, which is no longer fresh, is not supported",
                where,
                name,
                "Start every qubit in |0⟩ and use fresh qubits instead of resetting.",
            )


def _history_error(message: str, where: Where, value: str, fix: str) -> CircuitError:
    place = where()
    message = f"{place}: {message}" if place else message
    return CircuitError(message, field="circuit", value=value, fix=fix)
