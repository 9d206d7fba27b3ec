"""Training and prediction on Ray. Begin with `session.py` and `workers.py`.

beside, interrupt, watchdog   blocking calls, Ctrl-C, workers that hang
errors                        Ray's errors in one line
predict, kernel_matrix        rows predicted, and a kernel's matrix computed, by workers
"""
