"""Which requests leave next, and in which jobs.

waiting.py      when a request may leave: it waits for company
fair_queue.py   who is served first, by weight
packing.py      what goes together into a job
shared_cap.py   jobs in flight, over all runs on a device
"""
