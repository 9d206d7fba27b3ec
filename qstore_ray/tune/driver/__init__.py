"""The process that runs a search; it alone writes to the study. Begin with `experiment.py`.

checks               what is refused first
capacity, demand     how many trials fit at a time
search               Ray Tune's questions, answered by the study
watch, tracking (gate), display   events of a search: records, trackers, something to see
finalize, refit      files, the final training, the registered model
"""
