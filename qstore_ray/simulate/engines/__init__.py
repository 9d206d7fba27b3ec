"""Engines that run a program: `engines.py` chooses the fastest one that is installed.

`native.py` calls the C kernels in `native/`, `arrays.py` does the same with numpy, `threads.py`
holds threads and memory of the kernels, and `cut_native.py` runs a circuit in two programs. An
engine has the functions of `Engine` (`engines.py`); those of random errors are in
`signed_native.py` and `signed_arrays.py`.
"""
