"""What opens a gateway: device, account, how jobs are submitted, what they may cost."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import Field

from qstore_ray.backends.ibm.budget import HardwareBudget
from qstore_ray.backends.ibm.forecast import QpuRates
from qstore_ray.backends.ibm.policy import GatewayPolicy
from qstore_ray.backends.ibm.service.account import IbmAccount
from qstore_ray.config import Config
from qstore_ray.types import Table

Where = Literal["auto", "process", "ray"]


class AskedValues(Config):
    """How the values are asked for; see `IbmBackend`.

    Args:
        sampler, estimator: options of IBM's primitives, which check their content.
        where: the process that has the gateway.
    """

    sampler: Table = Field(default_factory=dict)
    estimator: Table | None = None
    where: Where = "auto"


class GatewayConfig(Config):
    """Everything that a gateway is opened with; no credentials.

    Args:
        device: name of the backend, for example ibm_fez.
        sign_in: how to sign in.
        run: whose ledger it is.
        waits: for another process that has the ledger open, as one that makes the same prediction
            at the same time; else it is an error.
        ledger: folder of the ledgers, on the gateway's node.
        rates: of the forecast; its `mode` is how jobs are submitted.
        budget: what may be spent.
        policy: how to wait.
        max_time: seconds after which a batch or session, or in job mode a job, is ended; None for
            the plan's own.
        seed, level: of the transpiler.
    """

    device: str = Field(min_length=1)
    sign_in: IbmAccount = IbmAccount()
    run: str = ""
    waits: bool = False
    ledger: str | None = Field(default=None, min_length=1)
    rates: QpuRates = QpuRates()
    budget: HardwareBudget = HardwareBudget()
    policy: GatewayPolicy = GatewayPolicy()
    max_time: int | None = Field(default=None, gt=0)
    seed: int = Field(default=0, ge=0)
    level: int = Field(default=3, ge=0, le=3)

    @property
    def place(self) -> str:
        """Device and sign-in: the gateways of a place share an actor, and the jobs in flight."""
        digest = hashlib.sha256(self.sign_in.model_dump_json().encode()).hexdigest()[:16]
        return f"{self.device}/{digest}"

    def folder(self, instance: str) -> Path:
        """Where the ledger of the run on this device is."""
        from qstore_ray.backends.ibm.ledger.place import ledger_root

        return ledger_root(self.ledger) / instance / self.device / (self.run or "no-run")
