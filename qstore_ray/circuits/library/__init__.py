"""Circuits by name: `build_circuit(encoding=…, ansatz=…, …)`.

Begin with `library.py`. To add an encoding, write a function in `encodings.py` and name it in
`ENCODINGS`; to add an ansatz, one in `ansatze.py` and `ANSATZE`.
"""
