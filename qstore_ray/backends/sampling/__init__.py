"""Shots of states that we hold: the states are prepared once, and measured in each basis.

    circuit.py         a circuit as it is measured: bases, random errors, wrong readout
    probabilities.py   from states to the probabilities of what is read
    draws.py           shots of probabilities, keyed by row and basis
    tally.py           from counts of outcomes to values of observables
    run.py             one evaluation of N rows

Begin at `run.py`, which says the law of the values and of their variances.
"""
