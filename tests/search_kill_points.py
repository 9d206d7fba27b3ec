"""Kills the driver of a search at its effects on the disk, goes on, and compares the ends.

    python tests/search_kill_points.py FOLDER

Trials run in the driver's own process here, so that both die at once, and there is no Ray to start.
An unkilled search gives the list of effects (`tests/effects.py`). Of those that differ in nothing
but a number (of the trial, of the checkpoint, of the write) the first and the last are taken; a
training alone is killed everywhere by `tests/kill_points.py`. Then a child is killed there, another
one goes on with `--resume`, and what the search found is compared. The last line of output is a
summary.
"""

from __future__ import annotations

import gc
import json
import re
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import RunExistsError
from qstore_ray.files import sweep_parts
from qstore_ray.track import follow
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.run.checkpoint import latest_checkpoint
from qstore_ray.train.run.run_folder import Existing
from qstore_ray.tune.driver.finalize import leave_files, summary_of
from qstore_ray.tune.driver.tracking import SearchTracking
from qstore_ray.tune.driver.watch import Watch as SearchWatch
from qstore_ray.tune.driver.watch import artifacts_of
from qstore_ray.tune.study import storage
from qstore_ray.tune.study.result import StudyResult, read_result
from qstore_ray.tune.study.study import Study, Trial
from qstore_ray.tune.trial import checkpoint_transfer
from qstore_ray.tune.trial.attempt import Message
from qstore_ray.tune.trial.trial import TrialRunner
from tests.effects import Effect, Watch
from tests.kill_points import child
from tests.small_search import RATE, Listener, config_of, job_of, plan_of, study_of

EPOCHS = 2
POINTS = [{RATE: rate} for rate in (0.05, 0.2)]
TRAINER = {"epochs": EPOCHS, "checkpoint_every_epochs": 1}
CONFIG = config_of(trials=len(POINTS), points=POINTS)
DATA: Dataset = DatasetLoader.load(job_of(Path("runs")).dataset)


class Reports(Listener):
    """Puts what a trial reports straight into the study, as Ray Tune's loop does."""

    def __init__(self, study: Study, trial: Trial, watch: SearchWatch) -> None:
        super().__init__()
        self._study, self._trial, self._watch = study, trial, watch

    def report(self, message: Message) -> None:
        for epoch, value in message["progress"]:
            self._study.report(self._trial.number, epoch, value)
        self._watch.trial_reported(self._trial, message["progress"])


def search(folder: Path, *, existing: Existing = "error") -> None:
    """The command: a search of two trials."""
    job = job_of(folder, **TRAINER)
    with study_of(job, CONFIG, DATA, existing=existing) as study:
        plan = plan_of(job, CONFIG, DATA)
        tracking = SearchTracking(
            study.folder, job.track, name="s", job_config=job.to_dict(), fingerprints={}
        )
        tracking.start(existing == "resume")
        watch = SearchWatch(plan, tracking, None, read_result(folder, "s"))
        trials = TrialRunner(plan)
        while trial := study.ask():
            watch.trial_started(trial)
            reports = Reports(study, trial, watch)
            ending = trials.run(trial.name, trial.values, reports)
            reports.report(ending)
            study.tell(trial.number, ending["values"])
            watch.trial_ended(trial, ending["values"], ending)
        result = read_result(folder, "s")
        leave_files(result, study.folder, figures=False)
        tracking.close("finished", summary_of(result), artifacts_of(study.folder))


def once_more(folder: Path) -> None:
    """What a user does after a crash: the same command with `--resume`, or the same if told so."""
    try:
        search(folder, existing="resume")
    except RunExistsError as exc:
        if "Leave out existing='resume'" not in exc.fix:
            raise
        search(folder)


def completed(result: StudyResult) -> dict[int, Any]:
    """Number → parameters, values and run folder of the trials that were completed."""
    return {
        t.number: [t.parameters, t.objectives, t.run]
        for t in result.trials
        if t.status == "completed"
    }


def end(folder: Path) -> dict[str, Any]:
    """All that a search ends with, whichever numbers its trials have; nobody counts twice."""
    result = read_result(folder, "s")
    found = completed(result)
    statuses = {trial.status for trial in result.trials}
    assert statuses <= {"completed", "interrupted"}, statuses
    records = epoch_records(read_records(folder / "s" / "metrics.jsonl"))
    told = [record["trial"] for record in records]
    assert sorted(told) == sorted(found), "a record for every trial that counts, and one"
    assert [record["epoch"] for record in records] == list(range(len(records)))
    assert json.loads((folder / "s" / "result.json").read_text())["best"] == result.best
    runs = {trial.run: folder / "s" / trial.run for trial in result.trials}
    return {
        "trials": sorted(found.values(), key=str),
        "best": result.best_trials()[0].run,
        "best_value": records[-1]["best_value"],
        "epochs": {name: _epochs(run) for name, run in runs.items()},
        "bits": {name: _bits(run) for name, run in runs.items()},
        "files": sorted(str(path.relative_to(folder)) for path in folder.rglob("*")),
    }


def _epochs(run: Path) -> list[Any]:
    records = epoch_records(read_records(run / "metrics.jsonl"))
    return [[record["epoch"], record["val_loss"]] for record in records]


def _bits(run: Path) -> bytes:
    found, problems = latest_checkpoint(run / "checkpoints")
    assert found is not None
    assert not problems
    return b"".join(found.arrays[name].tobytes() for name in sorted(found.arrays))


def _chosen(effects: list[Effect]) -> list[Effect]:
    """The first and the last of those that differ in numbers only."""
    kinds: dict[tuple[str, str], list[Effect]] = {}
    for effect in effects:
        if ".lock" in effect.path:
            continue  # its name is drawn at random; while it is held, the journal is opened
        kinds.setdefault((effect.kind, re.sub(r"\d+", "#", effect.path)), []).append(effect)
    return [each for same in kinds.values() for each in dict.fromkeys((same[0], same[-1]))]


class Enumeration:
    """A command that is killed at its effects; `check` says what is wrong with what is left."""

    def __init__(self, folder: Path, start: Path | None, command: Callable[[Path], None]) -> None:
        self.folder, self.log, self.storage = folder, folder / "log.txt", folder / "s"
        self._start, self._command = start, command
        self.effects: Counter[str] = Counter()
        self.failures: list[str] = []

    def run(self, check: Callable[[Path], str | None]) -> None:
        """Kill it everywhere."""
        for effect in _chosen(self._seen()):
            self.effects[f"{effect.kind} {Path(effect.path).name}"] += 1
            self._begin()
            assert child(lambda at=effect: self._watched(at), self.log) == -signal.SIGKILL, effect
            try:
                problem = check(self.storage)
            except Exception as exc:  # gate: QS104 because one of many; all are reported
                problem = f"{type(exc).__name__}: {str(exc)[-600:]}"
            if problem:
                self.failures.append(f"{' '.join(map(str, effect))}: {problem}")

    def _seen(self) -> list[Effect]:
        listed = self.folder / "effects.json"
        self._begin()
        assert child(lambda: self._watched(None, listed), self.log) == 0, self.log.read_text()
        return [Effect(*fields) for fields in json.loads(listed.read_text())]

    def _watched(self, at: Effect | None, listed: Path | None = None) -> None:
        watch = Watch(self.storage, at)
        self._command(self.storage)
        if listed:
            listed.write_text(json.dumps(watch.seen))

    def _begin(self) -> None:
        shutil.rmtree(self.storage, ignore_errors=True)
        if self._start:
            shutil.copytree(self._start, self.storage)
        else:
            self.storage.mkdir()


def killed_searches(folder: Path) -> Enumeration:
    """A search that is killed, and gone on with."""
    whole = folder / "whole"
    assert child(lambda: search(whole), folder / "log.txt") == 0, (folder / "log.txt").read_text()
    expected = end(whole)
    found = Enumeration(folder, None, search)

    def check(storage: Path) -> str | None:
        try:
            before = completed(read_result(storage, "s"))
        except Exception:  # gate: QS104 because there was no study yet
            before = {}
        assert child(lambda: once_more(storage), found.log) == 0, found.log.read_text()
        after = completed(read_result(storage, "s"))
        lost = [number for number, trial in before.items() if after.get(number) != trial]
        assert not lost, f"trials {lost} were completed, and are other ones now"
        ended = end(storage)
        differ = [name for name in expected if ended[name] != expected[name]]
        return "; ".join(f"{name}: {ended[name]!r}"[:600] for name in differ)

    found.run(check)
    return found


def killed_handovers(folder: Path) -> Enumeration:
    """A checkpoint that is handed over: whoever is killed, there is the one or the other."""
    made = folder / "made"
    plan = plan_of(job_of(made, **TRAINER), CONFIG, DATA)

    def train() -> None:
        for number, point in enumerate(POINTS):
            TrialRunner(plan).run(f"trial-{number}", point, Listener())
        checkpoint_transfer.pack(plan.folder / "trial-1", made / "packed")

    assert child(train, folder / "log.txt") == 0, (folder / "log.txt").read_text()
    mine, theirs = (_bits(plan.folder / f"trial-{number}") for number in range(2))
    assert mine != theirs
    expected = sorted(path.name for path in (plan.folder / "trial-0").iterdir())

    def command(storage: Path) -> None:
        checkpoint_transfer.unpack(storage / "packed", storage / "s" / "trial-0")
        checkpoint_transfer.adopt(storage / "s" / "trial-0")

    found = Enumeration(folder, made, command)

    def check(storage: Path) -> None:
        run = storage / "s" / "trial-0"
        checkpoint_transfer.adopt(run)
        sweep_parts(run)  # as the training does next
        assert _bits(run) in (mine, theirs)
        command(storage)
        assert _bits(run) == theirs
        names = sorted(path.name for path in run.iterdir())
        assert names == expected, f"left over: {names}"

    found.run(check)
    return found


def main(folder: Path) -> None:
    """Enumerate, and print what was found."""
    follow._POLL_SECONDS = 0.001
    storage._GRACE = 1  # seconds that a lock which a killed writer has left is waited for
    for name in ("first", "search", "handover"):
        (folder / name).mkdir()
    search(folder / "first")  # imports and compiles all that the children will need
    threads = {task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")}
    own = Path("/proc/self/comm").read_text().strip()
    # Arrow's allocator has a thread for its own use, and takes care of forks.
    assert threads <= {own, "jemalloc_bg_thd"}, f"a process with threads cannot be forked {threads}"
    gc.freeze()
    summary = {}
    for name, enumerate_ in (("search", killed_searches), ("handover", killed_handovers)):
        began = time.monotonic()
        found = enumerate_(folder / name)
        seconds = round(time.monotonic() - began, 1)
        summary[name] = {
            "effects": found.effects, "failures": found.failures, "seconds": seconds,
        }  # fmt: skip
    sys.stdout.write(json.dumps(summary) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
