"""OpenQASM 2 and 3: our own reader, and a writer that is exact to the last bit.

    tokens → program (with values, arithmetic, declarations, calls, gates, state) → a circuit
    source    a file with everything it includes, as one text
    reader    the public functions; text (with encoding_text) and qasm write what
              `read_own` reads without Qiskit

Begin with `reader.py`. Why we read OpenQASM ourselves: docs/decisions/0007-openqasm.md.
"""
