"""The encoding of a circuit in the comments of its text."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from qstore_ray.circuits.circuit import AmplitudeLoading, Circuit, Encoding
from qstore_ray.circuits.expressions import Formula, Formulas, from_json
from qstore_ray.circuits.library.row_angles import (
    Bits,
    Features,
    NoAngles,
    PairProducts,
    Repeated,
    RowAmplitudes,
)
from qstore_ray.circuits.template import Template
from qstore_ray.errors import CircuitError
from qstore_ray.types import Table


def encoded_circuit(template: Template, comments: Table, name: str) -> Circuit:
    """The circuit of a template with the encoding and the qubits' numbers that comments describe.

    Raises:
        CircuitError: they describe no encoding of its row angles.
    """
    return with_wires(_encoded(template, comments, name), comments)


def with_wires(circuit: Circuit, comments: Table) -> Circuit:
    """The circuit with the numbers of its qubits in the user's circuit, if the text has them."""
    match comments.get("wires"):
        case [*wires] if len(wires) == circuit.template.n_qubits:
            return replace(circuit, wires=tuple(wires))
    return circuit


def _encoded(template: Template, comments: Table, name: str) -> Circuit:
    if "formulas" in comments:
        n = template.n_rows - len(comments["formulas"])
        return Circuit(template, n, name, _formulas(comments["formulas"], n))
    if "circuit" not in comments:
        return Circuit(template, template.n_rows, name, Features())
    about = comments["circuit"]
    try:
        n, encode = int(about["n_features"]), _encoding(about["encode"], int(about["n_features"]))
        loads = "load" in about
        if loads and about["load"] != {"name": "amplitudes"}:
            raise encoding_error(about)
    except (KeyError, TypeError, ValueError) as exc:
        raise encoding_error(about) from exc
    load = RowAmplitudes(template.n_qubits) if loads else None
    width = _width(encode, n)
    if width != template.n_rows or n < 1 or (load is not None and n > 2**template.n_qubits):
        raise encoding_error(about)
    return Circuit(
        replace(template, initial="amplitudes" if loads else "zeros"), n, name, encode, load
    )


def written_encoding(encode: Encoding | AmplitudeLoading) -> Table:
    """The encoding as JSON holds it; `encoded_circuit` reads it again.

    Raises:
        CircuitError: a class of the user's own.
    """
    match encode:
        case Formulas(formulas=formulas):
            return {"name": "formulas", "formulas": formulas}
        case Features():
            return {"name": "features"}
        case Bits():
            return {"name": "bits"}
        case NoAngles():
            return {"name": "none"}
        case PairProducts(center=center):
            return {"name": "pairs", "center": center}
        case Repeated(inner=inner, times=times):
            return {"name": "repeated", "times": times, "inner": written_encoding(inner)}
        case RowAmplitudes():
            return {"name": "amplitudes"}
    raise CircuitError(
        "an encoding of a class of your own cannot be kept with the model",
        field="circuit",
        value=type(encode).__name__,
        fix="Write its angles as formulas of the features in a Qiskit circuit, such as "
        "ry(x[0] * x[1]), or transform the features by a preprocessing step.",
    )


def _encoding(about: Table, n_features: int) -> Encoding:
    match about:
        case {"name": "formulas", "formulas": [*formulas]}:
            return _formulas(formulas, n_features)
        case {"name": "features"}:
            return Features()
        case {"name": "bits"}:
            return Bits()
        case {"name": "none"}:
            return NoAngles()
        case {"name": "pairs", "center": float(center)}:
            return PairProducts(n_features, center)
        case {"name": "repeated", "times": int(times), "inner": {"name": str()} as inner}:
            return Repeated(_encoding(inner, n_features), times)
    raise encoding_error(about)


def _formulas(values: list[Any], n_features: int) -> Formulas:
    formulas: tuple[Formula, ...] = tuple(from_json(value, n_features) for value in values)
    return Formulas(n_features, formulas)


def _width(encode: Encoding, n_features: int) -> int:
    """A, how many angles it gives."""
    match encode:
        case Formulas(formulas=formulas):
            return n_features + len(formulas)
        case NoAngles():
            return 0
        case PairProducts():
            return n_features * (n_features + 1) // 2
        case Repeated(inner=inner, times=times):
            return times * _width(inner, n_features)
    return n_features


def encoding_error(about: Any) -> CircuitError:
    """The error for comments that describe no encoding."""
    return CircuitError(
        "the text describes no encoding of this circuit's row angles",
        field="circuit",
        value=json.dumps(about),
        fix="Take the text as this package wrote it.",
    )
