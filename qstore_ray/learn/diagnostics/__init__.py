"""Diagnostics of a training, from its losses and gradients alone.

stopping      when to stop early
convergence   what a curve of losses says (curve: its levels, noise, slope)
barren        how gradients vanish with more qubits
"""
