"""IBM's quantum computers through one gateway: few jobs, none paid twice, within a budget.

    backend    the backend of the name "ibm"
    call       rows of one circuit, as a worker sends them to the gateway
    gateway/   takes each job through its steps, and hands the outcomes out
    queue/     which calls go together into the next jobs
    service/   IBM's client library behind the calls that the gateway makes
    ledger/    the record of paid jobs on disk, and their results
    requests   what a worker wants evaluated, the jobs it becomes, and the caps of a job
    forecast   QPU seconds and money of jobs, by the published formula
    budget     limits of a run and of each trial, and what was spent
    keys       names of requests and jobs that are the same after a restart
    config, policy   what opens a gateway, and how it waits

`service/` alone knows the client library. A call goes backend → gateway → service; begin with
`backend.py`.
"""
