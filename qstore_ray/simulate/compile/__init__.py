"""From a template and its observables to a program, in this order:

    frame            a template as Pauli rotations (`rotations.py`); Clifford gates are removed
    passes           rotations left out, moved and gathered into layers
    parts            qubits apart until they meet
    compiler         a `Program` (`program.py`), plain arrays
    tail             the last gates as an observable of few qubits: a `CutProgram`
    schedule         passes of the C kernels over the states
    signs            errors as changes of signs
    signed_program   a program with a sign for each angle and string: a trajectory a row

Begin with `compiler.py`. Why there are no gates in a program: docs/decisions/0003-simulator.md.
"""
