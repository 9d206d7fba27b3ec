"""The gateway: what waits, what is submitted, and what becomes of it.

    gateway      answers calls: packs them into jobs and hands the outcomes out
    packing      which requests go together into the next jobs
    waiting      when a request may leave
    fair_queue   who is served first
    waiter       a call that waits for its outcomes
    flight       one job on its way, step by step
    billing      what ended jobs cost, asked for until the service knows
    sessions     closes sessions that an earlier gateway left open
    recording    counts calls for a forecast, and runs none
    reattach     takes up what a ledger has open, without its run
    opening      opens a gateway: signs in, opens the ledger
    access       finds the gateway of a run, in this process or on Ray
    actor        the gateway as a named Ray actor

Begin with `gateway.py`.
"""
