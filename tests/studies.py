"""Studies without a search around them: opened by the options of a `TuneConfig`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qstore_ray.config import Config
from qstore_ray.train.run.run_folder import Existing
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.study.opening import open_study
from qstore_ray.tune.study.study import Study
from tests.unit.tune.test_space import JOB


def opened(
    storage: Path,
    name: str = "s",
    *,
    job: Config = JOB,
    data_fingerprint: str = "",
    existing: Existing = "error",
    **search: Any,
) -> Study:
    """The study of a search with these fields."""
    return open_study(
        storage, name, TuneConfig(**search), job=job, data_fingerprint=data_fingerprint,
        existing=existing,
    )  # fmt: skip
