"""Quantum kernels: `kernel.py` embeds rows and compares them; `alignment.py` scores a kernel.

`overlap.py` and `shots.py` compute the same from circuits, without states.
"""
