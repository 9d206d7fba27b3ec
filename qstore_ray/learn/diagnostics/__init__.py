"""Diagnostics of a training, from its losses and gradients alone.

stopping      when to stop early
convergence   what a curve of losses says
barren        how gradients vanish with more qubits
"""
