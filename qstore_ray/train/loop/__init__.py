"""The training loop: it runs unchanged in this process and in every Ray Train worker.

    loop         epochs and steps
    source       the rows of each step, held or streamed; `feed.py` reads what is streamed,
                 `streamed.py` says what can be trained on it
    stepper      one step: objective, clipping, optimizer
    objective    the loss over rows, computed by all workers
    problem      what an optimizer that searches may ask of a batch
    reducer      sums over workers; `control.py` is what travels with them
    hooks        calls of the callbacks, in worker 0
    validation   scores of val
    member_checks   whether a backend of a chain can train the job
    reporter     reports, and whether to stop

Begin with `loop.py`.
"""
