"""Reading circuits from OpenQASM 2 and 3, with Qiskit's parsers, and keeping them as text.

A user's circuit travels as text: in the configuration of a run, in its checkpoints.
`circuit_text` of `text.py` writes it as OpenQASM 3, exact to the last bit; `from_text` reads it
back.
"""

from __future__ import annotations

import re
from pathlib import Path

from qiskit import QuantumCircuit, qasm2, qasm3
from qiskit.exceptions import QiskitError

from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.qasm import HEADER
from qstore_ray.circuits.qiskit import OWN_SLOTS, from_qiskit
from qstore_ray.circuits.slots import FeatureNames
from qstore_ray.circuits.text import circuit_text, read_own, with_encoding
from qstore_ray.errors import CircuitError, ConfigError, MissingDependencyError

__all__ = ["circuit_text", "from_qasm", "from_text", "read_source"]

_VERSION = re.compile(r"^\s*OPENQASM\s+([23])", re.MULTILINE)


def from_qasm(
    path: str | Path, *, features: FeatureNames | None = None, n_features: int | None = None
) -> Circuit:
    """The circuit of an OpenQASM 2 or 3 file; `input float x_0;` declares a slot.

    Raises:
        ConfigError: the file cannot be read.
        CircuitError: it is not OpenQASM, or holds what `from_qiskit` refuses.
    """
    name = Path(path).stem
    return from_text(read_source(path), name=name, features=features, n_features=n_features)


def from_text(
    text: str,
    *,
    name: str = "circuit",
    features: FeatureNames | None = None,
    n_features: int | None = None,
) -> Circuit:
    """The circuit that OpenQASM 2 or 3 source describes.

    Raises:
        CircuitError: it is not OpenQASM, or holds what `from_qiskit` refuses.
    """
    if features is None and n_features is None and (own := read_own(text, name)) is not None:
        return own
    parsed = _parsed(text, name)
    parsed.name = name
    if header := HEADER.search(text):
        parsed.metadata = {OWN_SLOTS: (int(header["rows"]), int(header["params"]))}
    circuit = from_qiskit(parsed, features=features, n_features=n_features)
    return with_encoding(circuit, text) if features is None else circuit


def read_source(path: str | Path) -> str:
    """The text of a circuit file.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(
            f"cannot read the circuit file: {exc}",
            field="circuit",
            value=str(path),
            fix="Give the path of a file in OpenQASM 2 or 3, from the folder you are in.",
        ) from exc


def _parsed(text: str, name: str) -> QuantumCircuit:
    version = _VERSION.search(text)
    if version is None:
        raise CircuitError(
            "no line says OPENQASM 2.0 or 3.0",
            field="circuit",
            value=name,
            fix='Let the file begin with "OPENQASM 3.0;".',
        )
    try:
        # The parser beneath the importer, whose errors are not Qiskit's.
        from qiskit_qasm3_import.api import openqasm3  # type: ignore[attr-defined]

        if version[1] == "2":
            legacy = qasm2.LEGACY_CUSTOM_INSTRUCTIONS  # the gates that qelib1.inc lacks
            return qasm2.loads(text, custom_instructions=legacy)
        return qasm3.loads(text)
    except ImportError as exc:
        raise MissingDependencyError(
            "reading OpenQASM needs the package qiskit-qasm3-import",
            fix="pip install qiskit-qasm3-import",
        ) from exc
    except (QiskitError, openqasm3.parser.QASM3ParsingError) as exc:
        reason = str(exc) or "a syntax error"
        raise CircuitError(f"not OpenQASM: {reason}", field="circuit", value=name) from exc
