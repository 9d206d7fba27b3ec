"""Which rows come together in a batch, as pure functions of (seed, epoch, step).

Begin with `batches.py`; `order.py` has the permutations, `streaming.py` batches of rows that do not
fit into memory, `windows.py` the rows that a training streams, and which worker needs which.
"""
