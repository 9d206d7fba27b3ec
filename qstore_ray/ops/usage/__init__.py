"""What was used here and what it cost, for whoever asks on this machine.

    report.py     read from the run folders, which have it anyway
    commands.py   how often each command was typed: counted only if that was switched on

Both read and write files of this machine alone; no connection is opened.
"""
