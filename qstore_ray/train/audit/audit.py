"""The audit of a run that has ended: its mechanism with canaries, and its model by losses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.config import read_toml
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import ConfigError, RunError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.privacy.statement import PrivacyStatement
from qstore_ray.train.audit.mechanism import MechanismAudit, audit_mechanism
from qstore_ray.train.audit.membership import MembershipTest, membership_test
from qstore_ray.train.checks import Checked, checked
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.privacy.claim import read_statement
from qstore_ray.train.run.checkpoint import Checkpoint, latest_checkpoint

if TYPE_CHECKING:
    from qstore_ray.backends.base import Backend
    from qstore_ray.types import AnyArray, FloatArray


class PrivacyAudit(NamedTuple):
    """What an audit found.

    Attributes:
        claim: of the run. mechanism: its steps, with canaries. membership: its model, by losses;
            None if the data have no rows besides those of train.
    """

    claim: PrivacyStatement
    mechanism: MechanismAudit
    membership: MembershipTest | None

    @property
    def faults(self) -> list[str]:
        """What refutes the claim, as sentences; empty if nothing does."""
        by_losses = [] if self.membership is None else self.membership.faults
        return [*self.mechanism.faults, *by_losses]


def audit_run(run_dir: Path, dataset: Dataset, *, canaries: int = 500) -> PrivacyAudit:
    """Audit the run in this folder, whose data are given. Runs in the driver process.

    Its settings are trained again with canaries, as often as that many canaries need.

    Raises:
        ConfigError: the run is not private, or its circuits run on paid hardware.
        RunError: it has not ended, or its record is damaged.
    """
    claim = read_statement(run_dir)
    tables = read_toml(run_dir / "config.toml")
    config = TrainerConfig.from_dict(tables.get("trainer", {}))
    if config.privacy is None:
        raise ConfigError(
            "the run was trained without privacy, so there is no claim to audit",
            field="run",
            value=run_dir.name,
            fix="Train with a table [trainer.privacy].",
        )
    checkpoint, _ = latest_checkpoint(run_dir / "checkpoints")
    if claim is None or checkpoint is None:
        raise RunError(
            "the run has not ended, and claims nothing yet",
            field="run",
            value=run_dir.name,
            fix="Continue it to its end with existing='resume'.",
        )
    if config.backend == "ibm":
        raise ConfigError(
            "an audit trains again and again, which is not done on paid hardware",
            field="trainer.backend",
            value=config.backend,
            fix="Audit the same settings on a simulator.",
        )
    found = checked(ModelConfig.from_dict(tables.get("model", {})), config, dataset)
    mechanism = audit_mechanism(
        found.model, config, found.held, steps=int(checkpoint.arrays["step"]), canaries=canaries
    )
    return PrivacyAudit(claim, mechanism, _membership(config, found, dataset, checkpoint, claim))


def _membership(
    config: TrainerConfig,
    found: Checked,
    dataset: Dataset,
    checkpoint: Checkpoint,
    claim: PrivacyStatement,
) -> MembershipTest | None:
    others = _others(dataset, found)
    if not len(others[0]):
        return None
    backend: Backend = config.open_backend()
    epsilon = np.inf if claim.epsilon is None else claim.epsilon
    return membership_test(
        found.model, checkpoint.arrays["theta"], (found.held.x, found.held.y), others, backend,
        epsilon=epsilon, delta=claim.delta,
    )  # fmt: skip


def _others(dataset: Dataset, found: Checked) -> tuple[FloatArray, AnyArray]:
    """The rows of val and test, with targets as training sees them."""
    rows = found.held
    parts = [(rows.x_val, rows.y_val)]
    if "test" in dataset.plans:
        x, y = dataset.materialize("test")
        parts.append((x, y if found.targets is None else found.targets.apply(y)))
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])
