"""Workers that do not exchange every gradient as it is.

    exchange      which of both a training has, and what its checkpoints keep of it
    averaging     steps alone, and the mean of the parameters now and then
    compressing   compressed gradients, and what each worker still has to send

The mathematics is in `learn/distributed`. Begin with `averaging.py`.
"""
