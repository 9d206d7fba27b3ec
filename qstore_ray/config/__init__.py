"""Configuration: frozen pydantic models, TOML files, `a.b=c` overrides, fingerprints.

config         `Config`, the base of every configuration; begin here
faults         what pydantic reports, as our own errors
toml           TOML files read, and changed field by field
toml_writer    nested dictionaries as TOML text

Each part of the program declares its own model beside the code that reads it (`DatasetConfig` in
`data/`, `TrainerConfig` in `train/`, …); `JobConfig` puts them together.
"""

from __future__ import annotations

from qstore_ray.config.config import Config, fingerprint
from qstore_ray.config.toml import apply_overrides, read_toml, set_field
from qstore_ray.config.toml_writer import dump_toml

__all__ = ["Config", "apply_overrides", "dump_toml", "fingerprint", "read_toml", "set_field"]
