"""A template as OpenQASM 3 text, exact to the last bit.

Written here rather than by Qiskit, because its exporter replaces angles near a multiple of π by
that multiple, and leaves out slots that no gate uses. Every slot is an `input float`: `x_k` for row
angles, `p_k` for parameters; a comment keeps their numbers. `qasm_reader.py` reads it.
"""

from __future__ import annotations

import re

from qstore_ray.circuits.template import Angle, Template
from qstore_ray.errors import CircuitError

HEADER = re.compile(r"^// qstore_ray: rows=(?P<rows>\d+) params=(?P<params>\d+)$", re.MULTILINE)

DEFINITIONS = {
    "sxdg": "gate sxdg a { s a; h a; s a; }",
    "iswap": "gate iswap a, b { s a; s b; h a; cx a, b; cx b, a; h b; }",
    "rxx": "gate rxx(t) a, b { h a; h b; cx a, b; rz(t) b; cx a, b; h b; h a; }",
    "ryy": "gate ryy(t) a, b { rx(pi/2) a; rx(pi/2) b; cx a, b; rz(t) b; cx a, b; "
    "rx(-pi/2) b; rx(-pi/2) a; }",
    "rzz": "gate rzz(t) a, b { cx a, b; rz(t) b; cx a, b; }",
}
"""The gates of our table that stdgates.inc lacks, in gates that it has."""


def to_qasm3(template: Template) -> str:
    """The template as an OpenQASM 3 program with one `input float` a slot.

    Raises:
        CircuitError: a template that starts from amplitudes, which OpenQASM cannot express.
    """
    if template.initial != "zeros":
        raise CircuitError(
            "a circuit that starts from amplitudes cannot be written as OpenQASM",
            field="initial",
            value=template.initial,
            fix='Write its gates alone: dataclasses.replace(template, initial="zeros").',
        )
    used = {op.gate for op in template.ops}
    lines = ["OPENQASM 3.0;", f"// qstore_ray: rows={template.n_rows} params={template.n_params}"]
    lines.append('include "stdgates.inc";')
    lines += [text for gate, text in DEFINITIONS.items() if gate in used]
    lines += [f"input float[64] x_{k};" for k in range(template.n_rows)]
    lines += [f"input float[64] p_{k};" for k in range(template.n_params)]
    lines.append(f"qubit[{template.n_qubits}] q;")
    for op in template.ops:
        angles = f"({', '.join(map(_angle, op.angles))})" if op.angles else ""
        qubits = ", ".join(f"q[{qubit}]" for qubit in op.qubits)
        lines.append(f"{'U' if op.gate == 'u' else op.gate}{angles} {qubits};")
    return "\n".join(lines) + "\n"


def _angle(angle: Angle) -> str:
    letters = {"row": "x", "param": "p"}
    terms = (f"{scale!r}*{letters[kind]}_{slot}" for kind, slot, scale in angle.terms)
    return " + ".join((*terms, repr(angle.offset)))
