"""A study: the trials of one search, in storage that outlives every process.

    study, opening, admission     trials; creating or resuming; what is refused first
    deletion                      a study that is replaced; what killed drivers have left
    recipe, ownership             whether a search may resume a study; whose it is
    storage, address, storage_errors   a journal file or a database
    attributes, repeats, warm_start    notes beside trials; points tried before; earlier studies
    result                        what was found, as one schema

Begin with `study.py`.
"""
