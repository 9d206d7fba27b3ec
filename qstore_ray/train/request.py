"""The request for one training.

Jobs and searches call `QuantumTrainer.run` with a request of their own. `fit` fills in what a user
can choose and leaves the rest as it is.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qstore_ray.backends.paid import RunIdentity
from qstore_ray.train.beside import AnyBaseline
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.run.run_folder import Existing


@dataclass(frozen=True)
class RunRequest:
    """How a training starts, what it keeps and how it can be stopped.

    Attributes:
        existing, baseline, sample_weight, init_from: see `QuantumTrainer.fit`.
        changed: a resumed run continues with another configuration of the same model.
        config_toml: the whole configuration, which the run folder keeps as it was read.
        stop: if another thread sets it, the run stops at a checkpoint, as by Ctrl-C.
        threads: of a training in this process; without it as many as there are CPUs.
        identity: for whom a paid backend evaluates; by default for the run. Whoever gives one
            closes what the backend has open for it.
        part_of_search: the driver of a search describes the run to its trackers.
    """

    existing: Existing = "error"
    baseline: AnyBaseline = None
    sample_weight: Any = None
    init_from: TrainedModel | str | Path | None = None
    changed: bool = False
    config_toml: str | None = None
    stop: threading.Event | None = None
    threads: int | None = None
    identity: RunIdentity | None = None
    part_of_search: bool = False
