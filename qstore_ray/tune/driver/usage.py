"""What a search uses of paid hardware: read from its gateways, kept in its study.

The gateways have the numbers while they are open, over all drivers that the study has had. The
study keeps what was read last, so that it can be looked at when nothing is open.

Runs in the driver process.
"""

from __future__ import annotations

from collections.abc import Mapping

from qstore_ray.backends.paid import PaidUsage, usage_by_trial
from qstore_ray.train.config import TrainerConfig
from qstore_ray.tune.study.result import StudyResult
from qstore_ray.tune.study.study import Study


class SearchUsage:
    """Keeps what the trials of a study have used, and the study itself.

    Args:
        trainer: of the job; its backends are asked.
        earlier: what the study had when it was opened.
    """

    def __init__(self, study: Study, trainer: TrainerConfig, earlier: StudyResult) -> None:
        self._study = study
        self._trainer = trainer
        used = {"": earlier.hardware, **{trial.run: trial.hardware for trial in earlier.trials}}
        found = {run: PaidUsage.of_numbers(numbers) for run, numbers in used.items()}
        self._used = {run: usage for run, usage in found.items() if usage}

    def refresh(self, trial: str = "", said: Mapping[str, float] | None = None) -> list[str]:
        """Read the numbers again, and write into the study what has changed.

        Args:
            trial: one that has just ended. said: its metrics, which count if no gateway is open in
                this process: a trial may have its own.

        Returns:
            The run folders with other numbers than before.

        Raises:
            StudyError: the study's storage cannot be written.
        """
        trainer = self._trainer
        found = dict(
            usage_by_trial(trainer.backend, None, self._study.run_id, also=trainer.later_backends)
        )
        if not found and (used := PaidUsage.of_metrics(said or {})):
            runs = {run: each for run, each in self._used.items() if run} | {trial: used}
            found = {trial: used, "": sum(runs.values(), PaidUsage())}
        changed = {run: used for run, used in found.items() if self._used.get(run) != used}
        if changed:
            self._study.record_usage(changed)
            self._used |= changed
        return [run for run in changed if run]

    def metrics_of(self, trial: str = "") -> dict[str, float]:
        """What a trial has used, or the study, as metrics; empty if nothing."""
        return self._used[trial].metrics() if trial in self._used else {}
