"""HDF5 files: `hdf5.py` reads named arrays in ranges of rows; `opening.py` says which may be read.

Text of variable length is read by another process (`text.py`, `text_process.py`), because a damaged
file can end the process that reads it.
"""
