"""A circuit as text that gives it back to the last bit: what configurations and checkpoints keep.

The gates are OpenQASM 3 (`qasm.py`), which other tools read too. What OpenQASM cannot say stands in
comments: how many slots there are, the formulas of features that fill further row angles, or what
else turns a row into angles and amplitudes.

    // qstore_ray: rows=6 params=4
    // qstore_ray: formulas=[["mul", 0, 1]]
    // qstore_ray: circuit={"n_features": 3, "encode": {"name": "pairs", "center": 0.0}}

`read_own` reads exactly what is written here, without Qiskit. A text that was edited is read by
`qasm_reader.py`, as any other OpenQASM.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.expressions import Formulas
from qstore_ray.circuits.library.row_angles import (
    Features,
)
from qstore_ray.circuits.qasm.encoding_text import (
    encoded_circuit,
    encoding_error,
    with_wires,
    written_encoding,
)
from qstore_ray.circuits.qasm.qasm import DEFINITIONS, to_qasm3
from qstore_ray.circuits.template import Angle, Kind, Op, ScaledSlot, Template
from qstore_ray.types import Table

_HEADER = re.compile(r"// qstore_ray: rows=(?P<rows>\d+) params=(?P<params>\d+)")
_COMMENT = re.compile(r"// qstore_ray: (?P<key>formulas|circuit|features|wires)=(?P<json>.*)")
_INPUT = re.compile(r"input float\[64\] (?P<kind>[xp])_(?P<slot>\d+);")
_QUBITS = re.compile(r"qubit\[(?P<n>\d{1,4})\] q;")
_GATE = re.compile(r"(?P<name>[A-Za-z]\w*)(?:\((?P<angles>[^()]*)\))? (?P<qubits>q\[.*\]);")
_QUBIT = re.compile(r"q\[(\d{1,4})\]")
_NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_CONSTANT = re.compile(_NUMBER)
_TERM = re.compile(rf"(?P<scale>{_NUMBER})\*(?P<kind>[xp])_(?P<slot>\d+)")
_KINDS: dict[str, Kind] = {"x": "row", "p": "param"}


class _OtherText(Exception):  # noqa: N818 - not an error: it is read otherwise
    """Not what is written here."""


def circuit_text(circuit: Circuit, *, features: Sequence[str] = ()) -> str:
    """OpenQASM 3 source that `qasm_reader.from_text` reads back to the same circuit.

    Args:
        features: what the features were called, kept for people.

    Raises:
        CircuitError: a circuit whose encoding is a class of the user's own.
    """
    template = circuit.template
    text = to_qasm3(replace(template, initial="zeros"))
    comments = [f"features={json.dumps(list(features))}"] if features else []
    if isinstance(circuit.encode, Formulas) and circuit.load is None:
        comments.append(f"formulas={json.dumps(circuit.encode.formulas)}")
    elif not isinstance(circuit.encode, Features) or circuit.load is not None:
        about: Table = {
            "n_features": circuit.n_features,
            "encode": written_encoding(circuit.encode),
        }
        if circuit.load is not None:
            about["load"] = written_encoding(circuit.load)
        comments.append(f"circuit={json.dumps(about)}")
    if circuit.wires:
        comments.append(f"wires={json.dumps(circuit.wires)}")
    header, _, rest = text.partition("\n")
    return "\n".join((header, *(f"// qstore_ray: {line}" for line in comments), rest))


def read_own(text: str, name: str = "circuit") -> Circuit | None:
    """The circuit of a text that `circuit_text` wrote; None for any other text.

    Raises:
        CircuitError: it is of this form, and describes no circuit.
    """
    if "\n// qstore_ray: rows=" not in text:
        return None
    try:
        return _read(iter(text.splitlines()), name)
    except (_OtherText, StopIteration):
        return None


def with_encoding(circuit: Circuit, text: str) -> Circuit:
    """The circuit of an edited text with the encoding that its comments describe.

    Raises:
        CircuitError: they describe none of this circuit.
    """
    found = re.finditer(rf"^{_COMMENT.pattern}$", text, re.MULTILINE)
    try:
        comments = {comment["key"]: _json(comment["json"]) for comment in found}
    except _OtherText as exc:
        raise encoding_error("not JSON") from exc
    if not {"formulas", "circuit"} & comments.keys():
        return with_wires(circuit, comments)
    return encoded_circuit(circuit.template, comments, circuit.name)


def _read(lines: Iterator[str], name: str) -> Circuit:
    if next(lines) != "OPENQASM 3.0;":
        raise _OtherText
    comments: dict[str, Any] = {}
    line = next(lines)
    while found := _COMMENT.fullmatch(line):
        comments[found["key"]] = _json(found["json"])
        line = next(lines)
    header = _match(_HEADER, line)
    if next(lines) != 'include "stdgates.inc";':
        raise _OtherText
    n_rows, n_params = int(header["rows"]), int(header["params"])
    line = next(lines)
    while line in DEFINITIONS.values():
        line = next(lines)
    for kind, count in (("x", n_rows), ("p", n_params)):
        for slot in range(count):
            found = _match(_INPUT, line)
            if (found["kind"], found["slot"]) != (kind, str(slot)):
                raise _OtherText
            line = next(lines)
    n_qubits = int(_match(_QUBITS, line)["n"])
    template = Template(n_qubits, tuple(map(_op, lines)), n_rows, n_params)
    return encoded_circuit(template, comments, name)


def _op(line: str) -> Op:
    found = _match(_GATE, line)
    qubits = tuple(int(_match(_QUBIT, part)[1]) for part in found["qubits"].split(", "))
    angles = () if found["angles"] is None else tuple(map(_angle, found["angles"].split(", ")))
    return Op("u" if found["name"] == "U" else found["name"], qubits, angles)


def _angle(text: str) -> Angle:
    *terms, offset = text.split(" + ")
    found = [_match(_TERM, term) for term in terms]
    slots = (ScaledSlot(_KINDS[t["kind"]], int(t["slot"]), float(t["scale"])) for t in found)
    return Angle(float(_match(_CONSTANT, offset)[0]), tuple(slots))


def _match(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    found = pattern.fullmatch(text)
    if found is None:
        raise _OtherText
    return found


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        raise _OtherText from exc


# ----------------------------------------------------------------------------------- the encoding
