"""Groups of workers: how often they may fail, when one makes place, and how many come next.

Nothing here knows Ray; `train/ray/policies.py` has what Ray Train asks for.

limits    failures counted by their cause, and the pause before a restart
notice    in a worker: the request to make place, also by SIGTERM
room      how many workers fit on the nodes, and when a group has to make place
"""
