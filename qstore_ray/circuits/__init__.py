"""Circuits as data, and every way in which a user can bring one.

Begin with `template.py` (gates, angles, slots) and `circuit.py` (a template plus the encoding that
fills its row angles from raw features). No Qiskit below `qiskit/` and `qasm/`.

    template gates observable expressions slots   the data itself
    library/     circuits by name: encodings and ansätze
    qiskit/      from and to Qiskit objects
    qasm/        reading OpenQASM 2 and 3; writing OpenQASM 3
    lower        a template in the few gates that engine and parameter shift understand
    functions    calling the user's function that builds a circuit
    load         one function for all of it: object, file, text, `module:function`

To add a gate: a row in `gates.py`, its matrix in `simulate/reference.py`, its rewriting in
`lower.py`; the laws of `tests/laws/test_backends.py` then cover it.
"""
