"""A trial: one training, or several (seeds × folds), in an actor of Ray Tune.

    actor, attempt        the actor; one attempt in a thread of it
    epoch_reports         its epochs, reported when a decision is due
    trial, training, parts, part_task   what it trains
    plan                  what all trials have in common
    messages              between trial and driver
    checkpoint_transfer, start_barrier  population based training; a common start

Begin with `actor.py`.
"""
