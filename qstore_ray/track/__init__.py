"""Tracking: metrics.jsonl is the record of a run; trackers copy from it in the driver.

Begin with `base.py`: what a tracker and a display are, and the registry `TRACKERS`.

    jsonl, records, tail     the metrics file: written, described, read while it grows
    follow (lane), sync      from that file to the trackers: during a run, and later
    config                   the `track` part of a job
    mlflow/, tensorboard (event_files), wandb   the trackers
    logs/                    log lines, and secrets that are hidden
    reading/                 metrics of runs, compared

To add a tracker, copy `tensorboard.py`, name it in `TRACKERS`, and add a switch in `config.py`;
another package declares it in the entry-point group `qstore_ray.trackers` and needs no switch.
"""
