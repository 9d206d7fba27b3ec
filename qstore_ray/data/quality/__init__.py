"""Checks of a dataset (`report.validate`) and its numbers (`profile.profile`).

Each check is a function that yields findings (`finding.py`); thresholds are in `config.py`. To add
one, write it beside its siblings and call it in `report.py`.
"""
