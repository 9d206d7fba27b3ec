"""A study: the trials of one search, in storage that outlives every process.

    study, opening, admission     trials; creating or resuming; what is refused first
    deletion                      a study that is replaced; what killed drivers have left
    recipe, ownership             whether a search may resume a study; whose it is
    storage, address              a journal file or a database
    trouble, storage_errors       what went wrong in it, and what that means
    attributes, repeats, warm_start    notes beside trials; points tried before; earlier studies
    result, trial_result          what was found, as one schema

Begin with `study.py`.
"""
