"""The gateway: what waits, what is submitted, and what becomes of it.

    gateway      answers calls: packs them into jobs and hands the outcomes out
    compiling    circuits of calls, as the device runs them
    waiter       a call that waits for its outcomes
    flight       one job on its way, step by step
    billing      what ended jobs cost, asked for until the service knows
    sessions     closes sessions that an earlier gateway left open
    recording    counts calls for a forecast, and runs none
    reattach     takes up what a ledger has open, without its run
    failed_job   whether a job that failed may be run again
    polling      when a job is asked for
    opening      opens a gateway: signs in, opens the ledger
    access       finds the gateway of a run, in this process or on Ray
    hosting      the gateways of the open runs on a device
    actor        all of them in a named Ray actor

Begin with `gateway.py`.
"""
