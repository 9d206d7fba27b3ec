"""A search in the trackers: the study as one run, each trial as a run that is part of it.

The study's folder is a run folder to the trackers. Its metrics.jsonl has one record a trial that
ended, in the order of ending, so that `best_value` over the records is the course of the search. A
trial is followed from its own run folder, as any run is. Trials write there and nowhere else; the
driver alone writes to the trackers, in threads, and the search waits for none of them. `close`
sends a tracker everything that it missed, if it can be reached by then; `sync_run` on the study's
folder does so later.

MLflow shows a trial under its study, whose run must exist by then. So a trial's thread waits at a
gate, one for each tracker, that opens when the study's run exists. It closes for a while if a
tracker cannot be reached: then all trials together make one attempt, instead of one each that waits
for the server's timeout.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qstore_ray.config import dump_toml, fingerprint
from qstore_ray.errors import RunError
from qstore_ray.track.base import (
    KEPT,
    RUN_INFO_FILE,
    Outcome,
    Record,
    RunInfo,
    Status,
    write_atomically,
)
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.follow import Follower, TrackerFailure, open_trackers
from qstore_ray.track.jsonl import MetricsFile, epoch_records, read_records
from qstore_ray.track.logs.text import metrics_of
from qstore_ray.track.sync import sync_run
from qstore_ray.train.run.origin import refresh_trial
from qstore_ray.tune.driver.gate import Gate, StudyTracker, TrialTracker
from qstore_ray.tune.space.fields import Values
from qstore_ray.types import ReadOnlyTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qstore_ray.track.mlflow.registry import RegisteredModel

_METRICS: Final = "metrics.jsonl"
_NOT_OF_A_TRIAL: Final = frozenset({"name", "storage", "track", "tune"})
"""Tables of a job that say nothing about one training."""


class SearchTracking:
    """Feeds the trackers of a study and of its trials. Used by the driver, in one thread.

    Args:
        folder: the study's; run folders of trials are in it.
        config: which trackers.
        name: the study's.
        job_config: the job of the search, nested, `[tune]` included.
        fingerprints: what the search is made of, as hex digests.
    """

    def __init__(
        self,
        folder: Path,
        config: TrackConfig,
        *,
        name: str,
        job_config: ReadOnlyTable,
        fingerprints: Mapping[str, str],
    ) -> None:
        self._folder = folder.resolve()
        self._config = config
        self._name = name
        self._job = dict(job_config)
        self._fingerprints = dict(fingerprints)
        self._metrics = MetricsFile(self._folder / _METRICS)
        self._gates: defaultdict[str, Gate] = defaultdict(Gate)
        self._said: set[str] = set()
        self._trials: dict[int, tuple[Path, Follower]] = {}
        self._stopper = ThreadPoolExecutor(1, thread_name_prefix="qstore_ray-trials-end")
        self._stopping: list[Future[list[TrackerFailure]]] = []
        self._behind: list[Path] = []
        self._after_a_kill = False
        self.recorded: set[int] = set()
        """Numbers of the trials that have a record in the study's metrics.jsonl."""
        self.incomplete: list[str] = []
        """After `close`: run folders that a tracker does not have all of; `sync_run` them later."""

    def start(self, resumed: bool) -> None:
        """Begin or resume the study's run; without `resumed`, an earlier run is overwritten.

        Raises:
            RunError: the study's folder cannot be written to, or its metrics file is damaged.
        """
        if not resumed:
            self._forget()
        write_atomically(self._folder / "config.toml", dump_toml(self._job))
        last = read_records(self._folder / _METRICS)[-1:]
        self._after_a_kill = any(record["event"] != "end" for record in last)
        self._metrics.trim(0)  # an unfinished line goes
        records = self._metrics.read()
        self.recorded = {int(r["trial"]) for r in records if r.get("event") == "epoch"}
        attempts = sum(record.get("event") == "start" for record in records)
        self._metrics.append({"event": "start", "generation": attempts + 1})
        self._places = len(self.recorded)
        run = RunInfo(
            name=self._name,
            run_dir=self._folder,
            config={k: v for k, v in self._job.items() if k not in _NOT_OF_A_TRIAL - {"tune"}},
            fingerprints=self._fingerprints,
            resumed=resumed,
            tags={"study": self._name},
        )
        trackers = [StudyTracker(t, self._gates[t.name]) for t in open_trackers(self._config)]
        self._study = Follower(run, trackers, said=self._said)
        self._study.start()

    def begin(self, number: int, run_dir: Path, values: Values, job_config: ReadOnlyTable) -> None:
        """Follow a trial that is about to begin, or to resume in the run folder it had before.

        Args:
            run_dir: its run folder, which need not exist.
            values: what it tries, dotted field → value; recorded as `trial.<field>`.
            job_config: its job, nested.

        Raises:
            RunError: the run folder cannot be written to.
        """
        run_dir = run_dir.resolve()
        run_dir.mkdir(parents=True, exist_ok=True)
        job = {key: value for key, value in job_config.items() if key not in _NOT_OF_A_TRIAL}
        run = RunInfo(
            name=run_dir.name,
            run_dir=run_dir,
            config={"trial": dict(values), **job},
            fingerprints={**self._fingerprints, "configuration": fingerprint(job)},
            resumed=any((run_dir / name).exists() for name in KEPT),
            tags={"trial": str(number), "study": self._name},
            parent=self._folder,
        )
        trackers = [TrialTracker(t, self._gates[t.name]) for t in open_trackers(self._config)]
        follower = Follower(run, trackers, said=self._said)
        follower.start()
        self._trials[number] = (run_dir, follower)

    def end(
        self,
        number: int,
        status: Status,
        summary: ReadOnlyTable | None = None,
        record: Mapping[str, float] | None = None,
    ) -> None:
        """Record in its run folder that a trial ended; a thread finishes its trackers.

        Also for a trial that an earlier driver had run and not recorded: it has a record then.

        Args:
            status: an interrupted trial is repeated, and has no record.
            summary: its results, recorded under `summary.`.
            record: what the study's record of it says: `value`, `best_value`, one number an
                objective, …; a number that is not known is left out.

        Raises:
            RunError: a number is NaN or infinite, or the study's folder cannot be written to.
        """
        if status != "interrupted" and number not in self.recorded:
            place = {"event": "epoch", "epoch": self._places, "trial": number, "status": status}
            self._metrics.append({**(record or {}), **place})
            self.recorded.add(number)
            self._places += 1
        if number in self._trials:
            run_dir, follower = self._trials.pop(number)
            if status != "interrupted":
                _write_means(run_dir)
            follower.conclude(status, summary)
            work = (run_dir, follower, status, dict(summary or {}))
            self._stopping.append(self._stopper.submit(self._finish, *work))

    def make_up(self, run_dir: Path, status: Status, summary: ReadOnlyTable) -> None:
        """Have `close` complete the trackers of a trial that an earlier driver had run.

        Only where that driver was killed: else it has waited for them.

        Raises:
            RunError: the run folder cannot be read, or written to.
        """
        run_dir = run_dir.resolve()
        if not self._after_a_kill or not (run_dir / RUN_INFO_FILE).exists():
            return
        refresh_trial(run_dir)
        _write_means(run_dir)
        run, outcome = RunInfo.load(run_dir)
        if outcome is None:
            run.save(Outcome(status=status, summary=summary))
        self._behind.append(run_dir)

    def revise(self, run_dir: Path, summary: ReadOnlyTable) -> None:
        """Correct results of a trial that has ended; `close` sends them to its trackers."""
        self._stopping.append(self._stopper.submit(self._revise, run_dir, summary))

    def revise_study(self, summary: ReadOnlyTable) -> list[TrackerFailure]:
        """Correct results of the study after `close`, also in its trackers."""
        return self._revise(self._folder, summary) + self._make_up()

    def close(
        self,
        status: Status,
        summary: ReadOnlyTable | None = None,
        artifacts: Sequence[Path] = (),
    ) -> list[TrackerFailure]:
        """End the study's run, and mark those of unfinished trials as interrupted. How they
        ended is written first, then all trackers are waited for. Every error there was;
        `incomplete` says what is still missing.

        Raises:
            RunError: the study's folder cannot be written to.
        """
        for number in list(self._trials):
            self.end(number, "interrupted")
        self._study.conclude(status, summary, artifacts)
        self._stopper.shutdown()
        failures = [failure for stopped in self._stopping for failure in stopped.result()]
        self._metrics.append({"event": "end", "status": status})
        self._metrics.close()
        failures += self._study.stop(status, summary, artifacts)
        if self._study.incomplete:
            self.incomplete = [str(self._folder)]
        else:
            failures += self._make_up()
        return failures

    def _forget(self) -> None:
        """Delete what trackers and metrics of an earlier study of this name have left."""
        for path in (self._folder / name for name in (*KEPT, _METRICS)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _finish(
        self, run_dir: Path, follower: Follower, status: Status, summary: ReadOnlyTable
    ) -> list[TrackerFailure]:
        """End a trial's run. In the thread that does nothing else."""
        failures = follower.stop(status, summary)
        if follower.incomplete:
            self._behind.append(run_dir)
        return failures

    def _revise(self, run_dir: Path, summary: ReadOnlyTable) -> list[TrackerFailure]:
        """Correct results in a run folder, for `_make_up`; of a run that has ended."""
        try:
            run, outcome = RunInfo.load(run_dir)
            if outcome is not None:
                run.save(replace(outcome, summary={**outcome.summary, **summary}))
                self._behind.append(run_dir)
        except RunError as exc:
            return [(RUN_INFO_FILE, exc)]
        return []

    def _make_up(self) -> list[TrackerFailure]:
        """Try once more the run folders that trackers are behind with, up to the first failure."""
        while self._behind:
            try:
                sync_run(self._behind[0], self._config, trials=False)
            except RunError as exc:
                self.incomplete = [str(path) for path in self._behind]
                return [(self._behind[0].name, exc)]
            del self._behind[0]
        return []


def register_best(
    folder: Path, trial_name: str, name: str, config: TrackConfig | None = None
) -> RegisteredModel:
    """Register a trial's model in MLflow as the next version of `name`, and as its champion.

    Args:
        folder: the study's.
        trial_name: of the run folder of the model: `trial-0007`, or `trial-0007/fold-0-seed-3` of a
            trial of several trainings, or `refit`.
        config: where MLflow is, as the search had it.

    Raises:
        CheckpointError: the trial has no readable checkpoint.
        ConfigError: a name that MLflow does not take.
        RunError: MLflow does not have the trial's run, or does not answer.
    """
    from qstore_ray.track.mlflow.registry import register_model
    from qstore_ray.train.model.trained import TrainedModel

    refresh_trial(folder / trial_name)
    model = TrainedModel.load(folder / trial_name)
    run_dir = folder / Path(trial_name).parts[0]  # a trial is one run, of however many trainings
    return register_model(run_dir, name, model=model, config=config)


def _write_means(run_dir: Path) -> None:
    """Give a trial of several trainings a metrics file of its own: the means of theirs, of every
    epoch that all of them have done.

    Raises:
        RunError: a metrics file is damaged, or cannot be written.
    """
    parts = [epoch_records(read_records(path)) for path in sorted(run_dir.glob(f"*/{_METRICS}"))]
    if not parts:
        return
    there = len(epoch_records(read_records(run_dir / _METRICS)))  # of an interrupted attempt
    with MetricsFile(run_dir / _METRICS) as metrics:
        for same in list(zip(*parts, strict=False))[there:]:
            metrics.append(_mean(same))


def _mean(records: Sequence[Record]) -> Record:
    each = [dict(metrics_of(record)) for record in records]
    names = [name for name in each[0] if all(name in one for one in each)]
    means = {name: sum(one[name] for one in each) / len(each) for name in names}
    return {"event": "epoch", "epoch": records[0]["epoch"], **means}
