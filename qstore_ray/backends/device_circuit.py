"""What is asked of a backend that compiles circuits for its device itself.

Such a backend, a quantum computer, offers `compiled_as` and `together`. Mitigation needs the first:
only after the compilation can gates be folded so that no transpiler takes them out again, and only
then is it known which physical qubits have to be calibrated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeGuard, TypeVar

from qstore_ray.backends.base import Backend
from qstore_ray.circuits.template import Template

T = TypeVar("T")


@dataclass(frozen=True)
class DeviceCircuit:
    """How a circuit is compiled.

    Args:
        folds: how often it is undone and done again, k: a noise scale of 1 + 2k.
        folding: `global` undoes the whole circuit, `local` each gate that has errors.
        layout_of: a circuit on whose measured qubits this one runs. This one then has gates of
            one qubit alone: it calibrates the readout of the other.
    """

    folds: int = 0
    folding: Literal["global", "local"] = "global"
    layout_of: Template | None = None


AS_IT_IS = DeviceCircuit()
"""Neither folded nor on another circuit's qubits."""


class CompilingBackend(Backend, Protocol):
    """A backend that compiles circuits for its device."""

    def compiled_as(self, circuit: DeviceCircuit) -> Backend:
        """The backend that compiles its circuits in this way."""
        ...


def compiles_itself(backend: object) -> TypeGuard[CompilingBackend]:
    """Whether the backend offers `compiled_as`."""
    return hasattr(backend, "compiled_as")


def together(backend: object, work: Callable[[], T]) -> T:
    """What `work()` returns; its evaluations on `backend` are one job, if the backend has jobs.

    `work` may be called twice. Its evaluations must not depend on each other's values, and it must
    change nothing.
    """
    at_once = getattr(backend, "together", None)
    if at_once is None:
        return work()
    found: T = at_once(work)
    return found
