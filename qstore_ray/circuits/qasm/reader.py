"""Reading circuits from OpenQASM 2 and 3, and keeping them as text.

A user's circuit travels as text: in the configuration of a run, in its checkpoints.
`circuit_text` of `text.py` writes it as OpenQASM 3, exact to the last bit; `from_text` reads it
back. A text is parsed once in a process, whoever asks for its circuit.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.qasm.program import run_program
from qstore_ray.circuits.qasm.qasm import HEADER
from qstore_ray.circuits.qasm.source import is_in_text_order, read_source
from qstore_ray.circuits.qasm.text import circuit_text, read_own, with_encoding
from qstore_ray.circuits.qiskit.gates import in_our_gates
from qstore_ray.circuits.qiskit.qiskit import OWN_SLOTS, TEXT_ORDER, from_qiskit
from qstore_ray.circuits.slots import FeatureNames
from qstore_ray.errors import CircuitError

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

__all__ = ["check_text", "circuit_text", "from_qasm", "from_text"]

_TEXTS_KEPT = 16


def from_qasm(
    path: str | Path, *, features: FeatureNames | None = None, n_features: int | None = None
) -> Circuit:
    """The circuit of an OpenQASM 2 or 3 file; `input float x_0;` declares a slot.

    Raises:
        ConfigError: the file cannot be read.
        CircuitError: it is not OpenQASM, or holds what `from_qiskit` refuses.
    """
    text, file = read_source(path), Path(path)
    circuit = from_text(text, name=str(file), features=features, n_features=n_features)
    return replace(circuit, name=file.stem)


def from_text(
    text: str,
    *,
    name: str = "circuit",
    features: FeatureNames | None = None,
    n_features: int | None = None,
) -> Circuit:
    """The circuit that OpenQASM 2 or 3 source describes.

    Args:
        text: OpenQASM source.
        name: the circuit's name, or the file that errors name.
        features: as in `from_qiskit`.
        n_features: F, if the data have more columns than the circuit uses.

    Raises:
        CircuitError: it is not OpenQASM, or holds what `from_qiskit` refuses.
    """
    if features is None and n_features is None and (own := read_own(text, name)) is not None:
        return own
    named = tuple(features) if isinstance(features, list) else features
    circuit = replace(_converted(text, name, named, n_features), name=name)
    return with_encoding(circuit, text) if features is None else circuit


def check_text(text: str, name: str) -> None:
    """Refuse, in the name of its file, a text that builds no circuit.

    Raises:
        CircuitError: it is not OpenQASM, or has gates or steps that no circuit here can have.
    """
    in_our_gates(_parsed(text, name))


@lru_cache(maxsize=_TEXTS_KEPT)
def _converted(
    text: str, name: str, features: FeatureNames | None, n_features: int | None
) -> Circuit:
    parsed = _parsed(text, name)
    try:
        return from_qiskit(parsed, features=features, n_features=n_features)
    except CircuitError as exc:
        if not exc.message.startswith(name):
            exc.message = f"{name}: {exc.message}"
        raise


_PARSED: OrderedDict[str, QuantumCircuit] = OrderedDict()


def _parsed(text: str, name: str) -> QuantumCircuit:
    """The program's circuit; a text is parsed only once, even under several names."""
    circuit = _PARSED.get(text)
    if circuit is None:
        circuit = run_program(text, name)
        circuit.metadata = {TEXT_ORDER: True} if is_in_text_order(text) else {}
        if header := HEADER.search(text):
            circuit.metadata[OWN_SLOTS] = (int(header["rows"]), int(header["params"]))
        _PARSED[text] = circuit
        if len(_PARSED) > _TEXTS_KEPT:
            _PARSED.popitem(last=False)
    return circuit
