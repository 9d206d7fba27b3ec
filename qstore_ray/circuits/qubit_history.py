"""What has happened to each qubit so far: whether a reset or a measurement changes the state.

A reset of a qubit that no gate has touched does nothing; a measurement after which nothing happens
to its qubit is what the observables say. Everything else would need circuits with measurements in
their middle, and is refused by its place.
"""

from __future__ import annotations

from collections.abc import Iterable

from qstore_ray.errors import CircuitError


class QubitHistory:
    """The qubits that gates have touched, and where the measured ones were measured."""

    def __init__(self) -> None:
        self._touched: set[int] = set()
        self._measured: dict[int, str] = {}

    @property
    def measured(self) -> bool:
        """Whether any qubit was measured."""
        return bool(self._measured)

    def gate(self, name: str, qubits: Iterable[int], where: str = "") -> None:
        """A gate acts on `qubits`.

        Raises:
            CircuitError: one of them was measured before.
        """
        self._touched.update(qubits)
        if not self._measured:
            return
        for qubit in qubits:
            if qubit in self._measured:
                raise _refused(
                    f"{where}{name} acts on qubit {qubit} after its measurement"
                    f"{self._measured[qubit]}: mid-circuit measurement is not supported",
                    "measure",
                    "Measure at the end only; what is measured is said by observables.",
                )

    def measure(self, qubits: Iterable[int], where: str = "") -> None:
        """`qubits` are measured."""
        self._measured.update(dict.fromkeys(qubits, where))
        self._touched.update(qubits)

    def reset(self, qubits: Iterable[int], where: str = "", name: str = "reset") -> None:
        """`qubits` are put back to |0⟩.

        Raises:
            CircuitError: a gate or a measurement came before.
        """
        used = sorted(self._touched.intersection(qubits))
        if used:
            raise _refused(
                f"{where}{name} of qubit {used[0]}, which is no longer fresh, is not supported",
                name,
                "Start every qubit in |0⟩ and use fresh qubits instead of resetting.",
            )


def _refused(message: str, value: str, fix: str) -> CircuitError:
    return CircuitError(message, field="circuit", value=value, fix=fix)
