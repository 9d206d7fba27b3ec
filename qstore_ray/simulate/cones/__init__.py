"""Wide circuits by their light cones: each observable sees a small part of the circuit.

    cone     which rotations and qubits an observable sees
    groups   which observables share a part
    plan     the parts as small compiled programs, and where their slots are in the whole circuit
    sweep    values and gradients of the whole circuit from an engine that runs the parts
    size     of the parts together, and what running them costs
    reach    which slots no observable depends on
    growth   where in the circuit a cone became as wide as it is

Begin with `plan.py`.
"""
