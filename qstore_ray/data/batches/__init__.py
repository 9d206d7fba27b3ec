"""Which rows come together in a batch, as pure functions of (seed, epoch, step).

Begin with `batches.py`; `order.py` has the permutations, `streaming.py` batches of rows that do not
fit into memory.
"""
