"""Watching runs: their metrics files are followed as they grow, and the rules judge them.

Begin with `watcher.py`, which follows all runs of a folder; `tracker.py` is the same from within a
training. Watching only reads: no training depends on it.

    samples.py   records of a metrics file as samples
    memory.py    what the process of a run takes of this machine
    monitor.py   one run and all rules
    followed.py  one run folder: its records, its process, its end
    reporter.py  what was found, into the log and to the notifiers
    standing.py  which open alerts still hold
"""
