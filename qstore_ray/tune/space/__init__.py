"""The space of a search: `space.py`. `fields.py` has the fields of a job by dotted name.

`parameters/` has the types of parameters by name; `mutation.py` changes values during a trial.
"""
