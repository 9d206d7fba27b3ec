"""More rounds of a run that has finished: what stands in the way of them."""

from __future__ import annotations

from pathlib import Path

from qstore_ray.errors import RunExistsError
from qstore_ray.federated.config import FederationConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.model.beginning import check_longer
from qstore_ray.train.run.same_run import epochs_of
from qstore_ray.train.run.writing import read_run_record

_FIELD = "federation.rounds"


def check_longer_federation(
    trainer: TrainerConfig, federation: FederationConfig, path: Path
) -> None:
    """Refuse more rounds where the first ones would have been others with so many from the start.

    Args:
        path: the run folder.

    Raises:
        RunExistsError: the schedule or the noise of the clients was laid out for the rounds.
    """
    rounds = epochs_of(read_run_record(path))
    if rounds is None or rounds >= federation.rounds:
        return
    epochs = federation.local_epochs
    longer = trainer.model_copy(update={"epochs": federation.rounds * epochs})
    try:
        check_longer(longer, rounds * epochs, 1, path, field=_FIELD)
    except RunExistsError as exc:
        raise RunExistsError(
            f"{exc.message}, which are {rounds} rounds",
            field=_FIELD,
            value=federation.rounds,
            fix="Begin a new run. A schedule such as constant, step or plateau can be made longer.",
        ) from exc
    if trainer.privacy is not None and trainer.privacy.noise_multiplier is None:
        raise RunExistsError(
            f"the noise of the clients was chosen for {rounds} rounds",
            field=_FIELD,
            value=federation.rounds,
            fix="A run with trainer.privacy.noise_multiplier can be made longer; begin a new one.",
        )
