"""A stand-in of IBM's quantum service on loopback, for the unmodified client library.

    with in_thread(plan="paygo") as ibm:              # or in_process(...), a process of its own
        os.environ.update(ibm.environment(home))
        service = QiskitRuntimeService()              # the real client, over HTTP
        ibm.inject(Fault("status", on="submit", status=502, after_effect=True, times=2))
        ibm.advance(3600)                             # an hour of the service's time
        …
        ibm.requests(), ibm.jobs(), ibm.journal(), ibm.usage()

Begin reading at `server.py` (HTTP), `routes.py` (the endpoints) and `store.py` (jobs). `faults.py`
lists what can go wrong, `billing.py` has the prices, and `launch.py` starts and stops the server.
From a shell: `python -m tests.ibm.server --backend fake_manila --journal FILE`.

It was written from the client's source and IBM's documentation, and was not compared with the real
service. `test_contract.py` pins the private parts of the client that it stands on.
"""
