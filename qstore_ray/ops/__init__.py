"""Operations: what is wrong with the runs of a folder, what goes wrong, and what they have used.

Begin with `alerts.py`, the log that everything else writes or reads.

    rules/       what a fault looks like in the metrics of a run: pure functions
    watch/       runs that are followed, from outside or from within a training
    notify/      where alerts are sent
    health/      checks of what runs now, each with a time limit
    usage/       what was used, and what it cost
    compliance/  what a run is, its risks, and what is not known, as a document
    dashboard/   one page, on this machine alone, that shows what runs and what has run

Nothing here changes a run: run folders are read, and the log of alerts lies beside them.
"""
