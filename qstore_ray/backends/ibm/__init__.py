"""IBM's quantum computers through one gateway: few jobs, none paid twice, within a budget.

    requests     what a worker wants evaluated, the jobs it becomes, and the caps of a job
    packing      which requests go together into the next jobs
    waiting      when a request may leave
    fair_queue   who is served first
    forecast     QPU seconds and money of jobs, by the published formula
    budget       limits of a run and of each trial, and what was spent
    keys         names of requests and jobs that are the same after a restart
    ledger/      the record of paid jobs on disk, and their results

The files above know no client library: they decide, and the gateway acts. Begin with `requests.py`.
"""
