"""What workers exchange in place of every gradient: means now and then, or compressed gradients.

    config        how often workers meet, and what they send
    period        how often they have to meet, from measured seconds
    compression   fewer numbers, or shorter ones; what is left out is sent later

Numpy only; everything runs in any process. What a training does with it is in
`train/distributed`. Begin with `compression.py`.
"""
