"""What every step of a preparation has as its configuration: a name."""

from __future__ import annotations

from qstore_ray.config import Config


class StepConfig(Config):
    """One step of the preparation, by name; each step's own fields are in `data/steps.py`."""

    name: str
