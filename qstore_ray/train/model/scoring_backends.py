"""The backends that score rows with a trained model, in its run and after it."""

from __future__ import annotations

from qstore_ray.backends import open_backend
from qstore_ray.backends.base import Backend, takes_no_shots
from qstore_ray.backends.keys import DrawKey, for_scoring
from qstore_ray.backends.paid import RunIdentity, of_run
from qstore_ray.train.config import TrainerConfig


def scoring_backend(config: TrainerConfig) -> Backend:
    """The backend that scores val and test: without noise and shots, if it has exact values."""
    exact = open_backend(config.backend, config.exact_options())
    return exact if takes_no_shots(exact) else config.open_backend()


def noisy_backends(
    config: TrainerConfig, identity: RunIdentity | None = None
) -> dict[str, Backend]:
    """The backends that score test rows with noise or shots, each with draws of its own.

    A backend that always takes shots has scored them already.
    """
    opened: dict[str, Backend] = {}
    differs = config.options_of_backend() != config.exact_options()
    if differs and takes_no_shots(open_backend(config.backend, config.exact_options())):
        opened["noisy"] = open_backend(config.backend, config.options_of_backend())
    if config.mitigation is not None:
        opened["mitigated"] = config.open_mitigated()
    return {
        kind: for_scoring(
            backend if identity is None else of_run(backend, identity),
            DrawKey((config.seed, purpose)),
        )
        for purpose, (kind, backend) in enumerate(opened.items(), start=2)
    }
