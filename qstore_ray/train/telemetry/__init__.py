"""What monitors see of a training, through `qstore_ray.telemetry`.

metrics   of steps and epochs, as worker 0 records them
spans     of the epochs and steps of a run
"""
