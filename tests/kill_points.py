"""Kills a training at every one of its effects on the disk, goes on, and compares the ends.

    python tests/kill_points.py FOLDER kill|full

An unkilled run gives the list of its effects (`tests/effects.py`). Then, for each, a child process
trains until just before that effect (for a write: also until half of its bytes are written) and is
killed by SIGKILL, and another child runs the same command again, with `--resume` where there is a
run. (The moment after an effect is the moment before the next.) With `full`, the disk is full from
that effect on: the child has to say so by an error of ours, and the next one finds room again.

Effects are told apart by kind, path and number, not by their place in a list, because the writer of
checkpoints and the follower of the metrics have threads of their own. Everything is imported once;
this process itself has one thread, so that it may fork. The last line of output is a summary.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import QStoreError, RunExistsError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.scoring import Scoring
from qstore_ray.track import follow
from qstore_ray.track.base import Record, RunInfo, write_atomically
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.jsonl import encode, epoch_records, read_records
from qstore_ray.train import finish, trainer
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.report.page import DrawnRun
from qstore_ray.train.run import recorder
from qstore_ray.train.run.checkpoint import latest_checkpoint, read_checkpoint
from qstore_ray.train.run.run_folder import Existing
from qstore_ray.train.run.writing import read_run_record
from qstore_ray.train.trainer import QuantumTrainer
from tests.effects import Effect, Watch

EPOCHS = 3
FAILED = 100  # and the exit code of an error of ours
CALLBACKS = [
    {"name": "model_checkpoint", "best": 1, "every": 2, "monitor": "val_loss"},
    {"name": "metrics_logger"},
    {"name": "gradient_stats"},
    {"name": "early_stopping", "patience": 10, "restore_best": True, "monitor": "val_loss"},
]


class LinesTracker:
    """A tracker like any other, as its contract says: `told.jsonl` gets each epoch once."""

    name = "lines"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._run: RunInfo | None = None

    def start(self, run: RunInfo) -> None:
        self._run = run
        whole = self._path.read_bytes().rpartition(b"\n")[0] if self._path.exists() else b""
        self._told = {json.loads(line)["epoch"] for line in whole.splitlines()}
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.truncate(self._file, len(whole) + 1 if whole else 0)

    def epoch(self, record: Record) -> None:
        if record["epoch"] not in self._told:
            os.write(self._file, encode(record))
            self._told.add(record["epoch"])

    def finish(self, status: str, summary: Mapping[str, Any], artifacts: Sequence[Path]) -> None:
        assert self._run is not None
        for record in epoch_records(read_records(self._run.metrics_path)):
            self.epoch(record)


def train(storage: Path, existing: Existing = "error", kept: int = 2) -> None:
    """The command: a small training with callbacks and a tracker."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 2))
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    data = DatasetLoader.from_arrays(x, y, split={"train": 0.6, "val": 0.4})
    config = TrainerConfig(
        epochs=EPOCHS, batch_size=18, learning_rate=0.2, seed=1, callbacks=CALLBACKS,
        checkpoints_kept=kept, backend_options={"threads": 1},
    )  # fmt: skip
    QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1), config, name="run", storage=storage,
        track=TrackConfig(mlflow=False), callbacks=[LinesTracker(storage / "told.jsonl")],
    ).fit(data, existing=existing)  # fmt: skip


def child(work: Callable[[], None], log: Path) -> int:
    """Do something in a process of its own; how it ended, as `subprocess` has it."""
    process = os.fork()
    if not process:
        status = 1
        try:
            work()
            status = 0
        except BaseException:  # gate: QS104 because the process ends here, and this says why
            log.write_text(traceback.format_exc())
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def once_more(storage: Path) -> None:
    """What a user does after a crash: the same command, with `--resume` if there is a run."""
    run = storage / "run"
    found = (run / "run.json").exists()
    if found and read_run_record(run)["status"] == "finished":
        try:
            train(storage, existing="resume")
        except RunExistsError:
            return
    train(storage, existing="resume" if found else "error")


def end(storage: Path) -> dict[str, Any]:
    """All that a run ends with, without its seconds and the number of its attempts."""
    run = storage / "run"
    found, problems = latest_checkpoint(run / "checkpoints")
    assert found is not None
    assert not problems
    metrics = read_records(run / "metrics.jsonl")
    told = [json.loads(line) for line in (storage / "told.jsonl").read_text().splitlines()]
    steps = [r["step"] for r in metrics if r["event"] in ("step", "epoch")]
    assert steps == sorted(steps), "the steps go back"
    return {
        "status": read_run_record(run)["status"],
        "arrays": {name: array.tobytes() for name, array in found.arrays.items()},
        "epochs": [_untimed(r) for r in metrics if r["event"] == "epoch"],
        "steps": [_untimed(r) for r in metrics if r["event"] == "step"],
        "ended": metrics[-1]["event"],
        "told": sorted((_untimed(r) for r in told), key=lambda r: r["epoch"]),
        "table": (run / "metrics.csv").read_bytes(),
        "index": (run / "models" / "index.json").read_bytes(),
        "models": {path.name: _arrays(path) for path in (run / "models").glob("step-*")},
        "files": sorted(str(path.relative_to(storage)) for path in storage.rglob("*")),
    }


def _untimed(record: Record) -> Record:
    return {name: value for name, value in record.items() if name != "seconds"}


def _arrays(checkpoint: Path) -> dict[str, bytes]:
    found = read_checkpoint(checkpoint).arrays
    return {name: array.tobytes() for name, array in found.items()}


def check_checkpoints(storage: Path, all_steps: dict[str, dict[str, bytes]]) -> None:
    """What looks like a whole checkpoint is the one of its step."""
    for manifest in (storage / "run" / "checkpoints").glob("step-*/manifest.json"):
        if (manifest.parent / "arrays.npz").exists():  # else it is being deleted
            assert _arrays(manifest.parent) == all_steps[manifest.parent.name]


class Family(NamedTuple):
    """Runs that are killed: from which storage they begin, by which command, up to which effect."""

    name: str
    start: Path | None
    command: Callable[[Path], None]
    again: Callable[[Path], None] = once_more
    until: str = ""


class Enumeration:
    """Every effect of every family."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "log.txt"
        self.storage = folder / "s"
        self.effects: Counter[str] = Counter()
        self.failures: list[str] = []
        self._do(lambda: train(self.storage))
        self.expected = end(self.storage)
        self.storage.rename(folder / "whole")
        self._do(lambda: train(self.storage, kept=99))
        folders = (self.storage / "run" / "checkpoints").iterdir()
        self.all_steps = {path.name: _arrays(path) for path in folders}
        shutil.rmtree(self.storage)

    def _do(self, work: Callable[[], None]) -> None:
        assert child(work, self.log) == 0, self.log.read_text()

    def kill(self, family: Family) -> None:
        """Kill it everywhere."""
        for effect in self._effects(family):
            for how in ("kill", "half") if effect.kind == "write" else ("kill",):
                self._try(family, effect, how)

    def fill(self, family: Family) -> None:
        """Let the disk be full from every effect on that a full disk hinders."""
        for effect in self._effects(family):
            # What a tracker cannot write is no fault of the run.
            if effect.kind in ("open", "write", "mkdir") and "told" not in effect.path:
                self._try(family, effect, "full")

    def stopped(self, at: Effect) -> Path:
        """The storage of a new run that was killed there."""

        def killed() -> None:
            Watch(self.storage, at)
            train(self.storage)

        shutil.rmtree(self.storage, ignore_errors=True)
        self.storage.mkdir()
        assert child(killed, self.log) == -signal.SIGKILL
        return self.storage.rename(self.folder / "stopped")

    def _try(self, family: Family, effect: Effect, how: str) -> None:
        self.effects[f"{effect.kind} {Path(effect.path).name}"] += 1
        problem = self._survives(family, effect, how)
        if problem:
            label = f"{family.name}, {how}, {' '.join(map(str, effect))}"
            self.failures.append(f"{label}: {problem}")

    def _effects(self, family: Family) -> list[Effect]:
        listed = self.folder / "effects.json"

        def watched() -> None:
            watch = Watch(self.storage)
            family.command(self.storage)
            listed.write_text(json.dumps(watch.seen))

        self._begin(family)
        self._do(watched)
        found = [Effect(*fields) for fields in json.loads(listed.read_text())]
        ends = [k for k, effect in enumerate(found) if effect.path == family.until]
        return found[: ends[0]] if ends else found

    def _begin(self, family: Family) -> None:
        shutil.rmtree(self.storage, ignore_errors=True)
        if family.start:
            shutil.copytree(family.start, self.storage)
        else:
            self.storage.mkdir()

    def _survives(self, family: Family, effect: Effect, how: str) -> str:
        """Kill it there and go on; what went wrong."""

        def hindered() -> None:
            watch = Watch(self.storage, effect, how)
            try:
                family.command(self.storage)
            except QStoreError as error:
                said = any(text in str(error) for text in ("No space left", "disk is full"))
                os._exit(error.exit_code + FAILED if watch.full and said else 1)

        self._begin(family)
        code = child(hindered, self.log)
        if code != (FAILED + 1 if how == "full" else -signal.SIGKILL):
            return f"ended with {code} {self.log.read_text()[-2000:] if code == 1 else ''}"
        try:
            check_checkpoints(self.storage, self.all_steps)
            self._do(lambda: family.again(self.storage))
            found = end(self.storage)
        except Exception as exc:  # gate: QS104 because one of hundreds; all are reported
            return f"{type(exc).__name__}: {str(exc)[-600:]}"
        differ = [name for name in self.expected if found[name] != self.expected[name]]
        return "; ".join(f"{name}: {found[name]!r}"[:600] for name in differ)


def _figures(run_dir: Path, _: Any) -> list[Path]:
    write_atomically(run_dir / "figure", "drawn")
    return []


def _wait_until_alone() -> None:
    """A process with threads cannot be forked; one that was joined is gone in some microseconds."""
    stop = time.monotonic() + 60.0
    while len(list(Path("/proc/self/task").iterdir())) > 1:
        assert time.monotonic() < stop, "a thread goes on after the training"
        time.sleep(0.01)


def main(folder: Path, how: str) -> None:
    """Enumerate, and print what was found."""
    recorder._SECONDS_BETWEEN_STEP_RECORDS = 0.0  # a line for every step, however fast it is
    follow._POLL_SECONDS = 0.001
    # Drawing takes longer than training here; a file stands for the figures, one for the report.
    finish.write_pictures = _figures  # type: ignore[assignment]
    finish.drawn_beside = lambda *_: DrawnRun({}, "written")
    finish.Pictures.prepare = lambda *_: None  # type: ignore[method-assign]
    finish.Pictures.trained = lambda *_: None  # type: ignore[method-assign]
    trainer.scores_of = lambda *_: Scoring.scores
    (folder / "first").mkdir()
    train(folder / "first")  # imports and compiles all that the children will need
    _wait_until_alone()
    gc.freeze()  # the children share what is there, and need not look through it
    began = time.monotonic()
    found = Enumeration(folder)
    new = Family("new", None, train)
    if how == "full":
        found.fill(new)
    else:
        found.kill(new)
        stopped = found.stopped(Effect("rename", "run/checkpoints/step-00000004/manifest.json", 1))
        found.kill(Family("resumed", stopped, lambda storage: train(storage, existing="resume")))
        fresh = lambda storage: train(storage, existing="replace")  # noqa: E731
        begun = "run/.tracking.json.PID.part"  # from here on it is like a new one
        found.kill(Family("fresh", stopped, fresh, fresh, until=begun))
    seconds = round(time.monotonic() - began, 1)
    summary = {"effects": found.effects, "failures": found.failures, "seconds": seconds}
    sys.stdout.write(json.dumps(summary) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2])
