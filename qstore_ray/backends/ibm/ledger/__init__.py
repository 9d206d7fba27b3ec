"""The record of paid jobs on disk: which were submitted, what became of them, what they cost.

    ledger    opens a ledger, and records the steps of a job
    record    the state of one job, and the steps that are allowed from it
    replay    reads a ledger: the state of every job
    entries   the lines: JSON, numbered, with checksums
    file      appends lines, each on disk before the next step
    results   results of jobs, as npz and JSON
    layout    the calibration that the circuits of a run are laid out by
    lock      one gateway a ledger

Begin with `ledger.py`. To add a kind of line, write its entry in `entries.py` and its step in
`record.py`.
"""
