"""Mitigation: what is done after, and around, a noisy evaluation so that its values are less wrong.

    config.py            MitigationConfig: which techniques, and what they cost
    backend.py           MitigatedBackend: a backend with the techniques around it
    placed_circuit.py    the circuit that is rewritten: gates, each with its channels
    runner.py            what a technique wraps; the innermost is the backend itself
    zne.py               zero-noise extrapolation
    folding.py           circuits with more noise
    extrapolation.py     from several noise scales to none
    twirling.py          random Pauli gates around gates of two qubits
    cliffords.py         what gates of two qubits make of Pauli strings
    inverse_readout.py   readout inverted in the observables, qubit by qubit
    corrected_outcomes.py   the same in counts, for a device
    matrix_free.py       readout inverted over the bit strings that were read
    calibration.py       confusion matrices, known or measured
    calibration_errors.py   what errors of measured matrices make of values
    unused.py            techniques that change nothing for a circuit and its noise

Begin at `backend.py`. To add a technique, write a runner (`Runner`: run, vjp, cost) around another,
a field in `MitigationConfig`, and its place in `backend.py`; the laws in
`tests/laws/test_mitigation.py` say what it has to keep. It needs numpy alone: mthree and mitiq work
on Qiskit circuits without parameters, one at a time, while rows here share one circuit.
"""
