"""IBM's service, behind the calls that the gateway makes.

    account   signing in: who holds the credentials
    session   the client library's HTTP sessions, without retries
    client    submit, find, poll and fetch jobs, by IBM's client library
    isa       circuits in the instructions of a device
    folding   gates of a compiled circuit undone and done again
    options   those of the Sampler, checked before a job
    estimator, estimator_options   IBM's own error mitigation: PUBs, values, what its options cost
    trouble   errors of the client library as ours: what may be tried again, and what may not

Begin with `client.py`.
"""
