"""The run folder. Begin with `run_folder.py`.

state, checkpoint, manifest   what a step depends on, and its files
chain                         on which backend of a chain a run is
recorder                      what worker 0 writes during the loop
same_run, provenance          whether a run may be resumed; where a model comes from
lock, summary, find           one writer; readers without a lock; runs in a storage folder
"""
