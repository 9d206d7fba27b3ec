"""Where a run is in its chain of backends. Each checkpoint says it, with every step so far.

So a run that is resumed, by a user or by Ray, has the backend that it had, and a run that was
killed between a failure and the checkpoint meets the failure again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qstore_ray.backends.failover import (
    FallbackStep,
    backend_in_words,
    failure_of,
    fallback_text,
    fallbacks_in,
)
from qstore_ray.config import fingerprint
from qstore_ray.errors import BudgetError, QStoreError, RunExistsError, TransientError
from qstore_ray.track.jsonl import MetricsFile
from qstore_ray.track.logs.text import redact_message
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.run.checkpoint import latest_checkpoint, write_checkpoint

if TYPE_CHECKING:
    from qstore_ray.backends.base import Backend
    from qstore_ray.train.run.manifest import StoredManifest


@dataclass(frozen=True)
class ChainPlace:
    """The backend that a run is on, and how it came there.

    Attributes:
        trainer: the whole chain. member: which of its backends.
        steps: from one backend to another, in order.
    """

    trainer: TrainerConfig
    member: int = 0
    steps: tuple[FallbackStep, ...] = ()

    @property
    def config(self) -> TrainerConfig:
        """The training on this backend alone."""
        return self.trainer.members()[self.member]

    def after(
        self, error: QStoreError, *, epoch: int, step: int, backend: Backend | None = None
    ) -> ChainPlace | None:
        """The place after this failure; None if no later backend of the chain takes over.

        Args:
            backend: that failed, if it was given as an object.
        """
        kind = failure_of(error)
        later = list(enumerate(self.trainer.fallback, start=1))[self.member :]
        takes_over = (member for member, each in later if kind in each.when)
        member = next(takes_over, None)
        if kind is None or member is None:
            return None
        place = self._at(member, kind, redact_message(error.message), epoch=epoch, step=step)
        if backend is not None:
            place.steps[-1]["from"] = backend.name
        return place

    def tolerated(self, *, is_resumed: bool) -> tuple[type[QStoreError], ...]:
        """Errors of the checks before the first job that do not refuse a run, since the chain has
        a backend for them.

        A new run whose service is out of reach is refused: nothing of it is lost.
        """
        kinds = {kind for each in self.trainer.fallback[self.member :] for kind in each.when}
        service = (TransientError,) if is_resumed and "service" in kinds else ()
        return (*service, BudgetError) if "budget" in kinds else service

    def _at(self, member: int, kind: str, why: str, *, epoch: int, step: int) -> ChainPlace:
        before, now = self.config, self.trainer.members()[member]
        taken: FallbackStep = {
            "epoch": epoch,
            "step": step,
            "from": backend_in_words(before.to_dict()),
            "to": backend_in_words(now.to_dict()),
            "member": member,
            "kind": kind,
            "why": why,
            "recipe": fingerprint(now.recipe_of_backend()),
        }
        return ChainPlace(self.trainer, member, (*self.steps, taken))

    def begun_again(self, epoch: int, step: int) -> ChainPlace:
        """The place of a run that is resumed with the first backend."""
        why = 'it is resumed with trainer.resume_backend = "first"'
        return self._at(0, "resume", why, epoch=epoch, step=step)


def place_in_chain(
    trainer: TrainerConfig, manifest: StoredManifest | None, generation: int | None = None
) -> ChainPlace:
    """The place of the run with this newest checkpoint; the first backend without one.

    Args:
        generation: of the attempt that continues it; None if none does.

    Raises:
        RunExistsError: the chain does not have the backend that the run is on.
    """
    steps = tuple(manifest.get("fallbacks", ())) if manifest else ()
    if manifest is None or not steps:
        return ChainPlace(trainer)
    member = steps[-1]["member"]
    is_resumed = generation is not None and generation > manifest.get("generation", 0)
    if is_resumed and member and trainer.resume_backend == "first":
        known = member if member <= len(trainer.fallback) else 0
        epoch = manifest.get("epoch", 0)
        return ChainPlace(trainer, known, steps).begun_again(epoch, manifest["step"])
    _check_same_backend(trainer, steps[-1])
    return ChainPlace(trainer, member, steps)


def _check_same_backend(trainer: TrainerConfig, last: FallbackStep) -> None:
    members = trainer.members()
    if last["member"] == 0:  # `trainer.backend` is part of the run's recipe
        return
    known = members[last["member"]] if last["member"] < len(members) else None
    if known is None or fingerprint(known.recipe_of_backend()) != last["recipe"]:
        raise RunExistsError(
            f"the run has fallen back to {last['to']}, which is not at its place in the chain",
            field="trainer.fallback",
            value=[each.backend for each in trainer.fallback],
            fix='Resume it with the chain of its config.toml, or set trainer.resume_backend = "'
            'first" to return to trainer.backend.',
        )


def place_of_run(trainer: TrainerConfig, run_dir: Path, generation: int | None) -> ChainPlace:
    """The place of the run in this folder; see `place_in_chain`.

    Raises:
        CheckpointError: no checkpoint is readable. RunExistsError: see `place_in_chain`.
    """
    found, _ = latest_checkpoint(run_dir / "checkpoints")
    return place_in_chain(trainer, None if found is None else found.manifest, generation)


def record_place(run_dir: Path, place: ChainPlace, generation: int) -> None:
    """Record a step that was taken after the last epoch: in the last checkpoint and the metrics.

    Runs in the driver process, when no worker writes any more. What is recorded is left as it is.
    """
    found, _ = latest_checkpoint(run_dir / "checkpoints")
    assert found is not None, "the loop writes a checkpoint after the last epoch"
    manifest = found.manifest
    if manifest.get("fallbacks", []) == list(place.steps):
        return
    write_checkpoint(
        run_dir / "checkpoints",
        manifest["step"],
        found.arrays,
        {
            "model": manifest["model"],
            "fingerprints": manifest["fingerprints"],
            "epoch": manifest["epoch"],
            "generation": generation,
            "fallbacks": list(place.steps),
        },
    )
    with MetricsFile(run_dir / "metrics.jsonl") as metrics:
        record_missing(metrics, place.steps)


def record_missing(metrics: MetricsFile, steps: Sequence[FallbackStep]) -> None:
    """Append the steps that the metrics do not have yet, each as a warning."""
    known = len(fallbacks_in(metrics.read())) if steps else 0
    for taken in steps[known:]:
        metrics.append({"event": "warning", "message": fallback_text(taken), **taken})
