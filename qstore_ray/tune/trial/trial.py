"""What a trial does: one training, or several of which the mean counts.

A trial of one training reports its epochs. One of several (seeds × folds) reports after each of
them the mean so far; up to `parts_at_once` of them run at the same time, the first in this process
and the others as Ray tasks beside it, in the room that Ray Tune has reserved for the trial.

Runs in the process of the trial.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING

from qstore_ray.backends.paid import RunIdentity, usage_metrics
from qstore_ray.track.base import Record
from qstore_ray.train.config import TrainingJob
from qstore_ray.tune.objective import Objective
from qstore_ray.tune.space.fields import Values
from qstore_ray.tune.trial.attempt import Link
from qstore_ray.tune.trial.epoch_reports import (
    EpochReporter,
    FollowEpochs,
    ReportEpochs,
    score,
    value_of,
)
from qstore_ray.tune.trial.messages import Costs, FinalReport
from qstore_ray.tune.trial.parts import Part, combine, part_job, parts_of
from qstore_ray.tune.trial.plan import Plan
from qstore_ray.tune.trial.training import PartTrainer

if TYPE_CHECKING:
    import ray


class TrialRunner:
    """Runs trials one after another in this process."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._trainer = PartTrainer(plan)
        self._elsewhere: ray.ObjectRef[Plan] | None = None

    def run(self, name: str, values: Values, link: Link) -> FinalReport:
        """Run a trial to its end; its last message.

        Raises:
            QStoreError: any that its training raises.
            InterruptedRunError: `link` asked it to stop.
        """
        job = self._plan.trial_job(name, values)
        parts = parts_of(self._plan.config, job)
        if len(parts) == 1:
            return self._one(job, link)
        ending = self._several([self._part_job(job, part) for part in parts], parts, link)
        payer, later = RunIdentity(self._plan.run_id, name), job.trainer.later_backends
        ending["metrics"] |= usage_metrics(job.trainer.backend, None, payer, also=later)
        return ending

    def _one(self, job: TrainingJob, link: Link) -> FinalReport:
        decides, epochs = self._plan.scheduler.decides, job.trainer.epochs
        reporter = EpochReporter(link, self._first, lambda epoch: decides(epoch, epochs))
        report = FollowEpochs if job.trainer.max_workers else ReportEpochs
        metrics = self._trainer.train(job, link.stopping, [report(reporter)])
        return self._ending(metrics, int(metrics["epochs"]), reporter.left())

    def _several(self, jobs: list[TrainingJob], parts: Sequence[Part], link: Link) -> FinalReport:
        found: list[dict[str, float]] = []
        for metrics in self._trained(jobs, link.stopping):
            found.append(_numbers(metrics))
            so_far = combine(parts[: len(found)], found)
            value = value_of(self._first, so_far.values)
            progress = [(len(found) - 1, value)]
            if len(found) < len(parts):
                link.report(
                    {
                        **self._costs(so_far.values),
                        "done": False,
                        "epoch": len(found),
                        "score": score(self._first, value),
                        "progress": progress,
                    }
                )
        ending = self._ending(so_far.values, len(found), progress)
        first = so_far.metrics[self._first.metric]
        ending["spread"] = {"std": first.std, "low": first.low, "high": first.high, "n": first.n}
        return ending

    def _trained(self, jobs: list[TrainingJob], stop: threading.Event) -> Iterator[Record]:
        """The metrics of every job, in their order, each as soon as all before it exist."""
        at_once = min(self._plan.config.parts_at_once, len(jobs))
        if at_once == 1:
            for job in jobs:
                yield self._trainer.train(job, stop)
            return
        places: SimpleQueue[bool] = SimpleQueue()  # True: in this process, of which there is one
        for number in range(at_once):
            places.put(number == 0)

        def train(job: TrainingJob) -> Record:
            here = places.get()  # gate: QS103 because each thread puts back what it gets
            try:
                return self._trainer.train(job, stop) if here else self._train_beside(job, stop)
            finally:
                places.put(here)

        with ThreadPoolExecutor(at_once, thread_name_prefix="qstore_ray-part") as pool:
            try:
                yield from pool.map(train, jobs)
            finally:
                pool.shutdown(cancel_futures=True)

    def _train_beside(self, job: TrainingJob, stop: threading.Event) -> Record:
        """Train in a Ray task, in one of the trial's further places."""
        from qstore_ray.tune.trial.part_task import train_in_task

        if self._elsewhere is None:
            import ray

            self._elsewhere = ray.put(self._plan)
        return train_in_task(self._plan.config, self._elsewhere, job, stop)

    def _part_job(self, job: TrainingJob, part: Part) -> TrainingJob:
        """The job of a part, its run folder inside the trial's."""
        place = {"name": part.name, "storage": f"{job.storage}/{job.name}"}
        return part_job(job, part, self._plan.config.folds).model_copy(update=place)

    @property
    def _first(self) -> Objective:
        return self._plan.config.objectives[0]

    def _ending(
        self, metrics: Record, epoch: int, progress: list[tuple[int, float]]
    ) -> FinalReport:
        found = [value_of(objective, metrics) for objective in self._plan.config.objectives]
        return {
            **self._costs(metrics),
            "done": True,
            "epoch": epoch,
            "score": score(self._first, found[0]),
            "progress": progress,
            "values": found,
            "metrics": _numbers(metrics),
            "spread": None,
        }

    def _costs(self, metrics: Record) -> Costs:
        return {
            "circuit_evaluations": int(metrics["circuit_evaluations"]),
            "seconds": float(metrics["train_seconds"]),
        }


def _numbers(metrics: Record) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if isinstance(value, int | float)}
