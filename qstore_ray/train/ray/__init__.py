"""Training and prediction on Ray. Begin with `session.py` and `workers.py`.

beside, interrupt, watchdog   blocking calls, Ctrl-C, workers that hang
errors, failures              Ray's errors in one line; why workers failed
feed                          streamed rows, read by Ray Data and split among the workers
side_effects                  what `ray.init` may not do to this process
predict, kernel_matrix        rows predicted, and a kernel's matrix computed, by workers
"""
