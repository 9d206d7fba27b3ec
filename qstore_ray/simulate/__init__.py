"""The exact simulator: a circuit is compiled once, then run for many rows.

    reference   the slow, obvious simulator that the others are compared with
    compile/    from a template to a program of Pauli rotations
    engines/    what runs a program: C kernels or numpy
    cones/      wide circuits: a small program for each group of observables
    states      whole states from a program
    cost        operations, bytes and seconds of a program

Begin with `reference.py`, then `compile/compiler.py`.
"""
