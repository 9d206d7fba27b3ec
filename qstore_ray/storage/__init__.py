"""Folders of runs in an object store: s3, gs, az. A plain folder needs nothing of this room.

The objects are the truth. Each process works on a copy in a folder of its own machine, the stage,
and uploads it at the commit points: a checkpoint, the end of an epoch, the end of the run.

    address.py   an address, checked; the stage that belongs to it
    objects.py   what an object store must be able to do: read, list, create, replace, delete
    cloud.py     the same with `obstore`, with its errors in our words
    lease.py     who may write: an object that its holder renews
    parts.py     a file that only grows, as numbered objects
    mirror.py    a folder and its objects, brought to the same state, in an order that is safe
"""
