"""A second process for what a training does not wait for: trackers, the baseline, figures.

MLflow, scikit-learn and matplotlib take seconds to import and hundreds of megabytes. They are
imported in the sidecar, while the driver process trains, and stay there for the next training.
Begin with `process.py`; `server.py` is what runs in the sidecar.
"""
