"""Files on a path: one file a format, chosen by `adapter.py`.

Begin with `base.py`: a format cuts files into chunks of rows that any process can read. To add a
format, copy `jsonl.py`, name it in `adapter.py` and its parameters in `params.py`.
"""
