"""The declared chain of backends: what takes over if a backend fails, and after which failures.

    [trainer]
    backend = "ibm"

    [[trainer.fallback]]
    backend = "aer"
    noise = { device = "fez.json" }
    backend_options = { shots = 512 }
    when = ["service", "budget"]

A failure of the service passes, so the run may continue elsewhere. A wrong key, a request that the
service refuses and a circuit that is too wide are faults of the job: they end the run.
"""

from __future__ import annotations

from pydantic import Field

from qstore_ray.backends.failover import Failure
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.config import Config
from qstore_ray.types import Table


class BackendFallback(Config):
    """A backend that takes over if the one before it fails.

    Args:
        backend, backend_options, noise: as those of the trainer; nothing of the one before is kept.
        when: after which failures: `service`, `budget` or both.

    Examples:
        chain = (BackendFallback(backend="aer", backend_options={"shots": 512}),)
        trainer = TrainerConfig(backend_options={"shots": 512}, fallback=chain)
        assert [member.backend for member in trainer.members()] == ["statevector", "aer"]
    """

    backend: str
    backend_options: Table = Field(default_factory=dict)
    noise: NoiseConfig | None = None
    when: tuple[Failure, ...] = Field(default=("service",), min_length=1)
