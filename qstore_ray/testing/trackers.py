"""The laws of a tracker: what a run recorded is there, once, and the run ends as it did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from qstore_ray.errors import RunError
from qstore_ray.track.base import Record, RunInfo, Status, Tracker
from qstore_ray.track.follow import Follower
from qstore_ray.track.jsonl import MetricsFile

PLANTED = "hunter2-planted"
NUMBERS = {"samples", "train_loss", "val_accuracy", "seconds"}
_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c63f80f0001010100b138f6140000000049454e44ae426082"
)
"""A picture of one white pixel."""


@dataclass(frozen=True)
class Seen:
    """What is recorded of a run: every point of every metric, texts, files, the way it ended."""

    points: dict[str, list[tuple[int, float]]]
    texts: dict[str, str]
    files: list[str]
    ended: str | None


@dataclass(frozen=True)
class RecordingPlace:
    """Where a tracker records.

    Args:
        storage: an empty folder; run folders are made in it.
        open: opens the tracker.
        look: what is recorded of the run with this folder.
        lose: makes the place unreachable for the run with this folder.
        kept: what becomes of a number, if the place keeps fewer digits.
        seen_at_once: whether epochs can be seen before the run ends.
        takes_files: whether it keeps files.
    """

    storage: Path
    open: Callable[[], Tracker]
    look: Callable[[Path], Seen]
    lose: Callable[[Path], object]
    kept: Callable[[float], float] = float
    seen_at_once: bool = True
    takes_files: bool = True


class TrackerLaws:
    """Every epoch is recorded once, also of a run that was resumed, and those that were missed when
    the run ends; settings, summary, files and the way it ended are there; no secret is; a place
    that went away is a `RunError`.

    Fixtures: `place`.
    """

    @pytest.fixture
    def place(self, tmp_path: Path) -> RecordingPlace:
        """The tracker under test and where it records; override it."""
        raise NotImplementedError

    @pytest.fixture
    def run(self, place: RecordingPlace, request: pytest.FixtureRequest) -> RunInfo:
        """A run of 4 epochs, with a folder of its own."""
        run_dir = place.storage / f"run-{len(list(place.storage.iterdir()))}"
        run_dir.mkdir()
        return RunInfo(name=run_dir.name, run_dir=run_dir, config={"trainer": {"epochs": 4}})

    def test_what_was_logged_epoch_by_epoch_is_there_once(
        self, place: RecordingPlace, run: RunInfo
    ) -> None:
        _write(run, _start(), *map(_epoch, range(4)))
        tracker = place.open()
        tracker.start(run)
        for epoch in range(4):
            tracker.epoch(_epoch(epoch))
            tracker.epoch(_epoch(epoch))
        before = place.look(run.run_dir)
        for name, points in before.points.items():  # maybe not all: fast epochs go together
            assert points == _expected(place, 4)[name][: len(points)]
        assert bool(before.points) == place.seen_at_once
        assert before.ended is None
        tracker.finish("finished", {}, [])
        after = place.look(run.run_dir)
        assert after.points == _expected(place, 4)
        assert after.ended == "finished"

    def test_finish_makes_up_for_every_epoch_that_was_missed(
        self, place: RecordingPlace, run: RunInfo
    ) -> None:
        _write(run, _start(), *map(_epoch, range(4)))
        tracker = place.open()
        tracker.start(run)
        tracker.epoch(_epoch(1))
        tracker.finish("finished", {}, [])
        assert place.look(run.run_dir).points == _expected(place, 4)

    @pytest.mark.parametrize("status", ["finished", "failed", "interrupted"])
    def test_a_run_ends_as_it_did_with_summary_and_files(
        self, place: RecordingPlace, run: RunInfo, status: Status
    ) -> None:
        _write(run, _start())
        (run.run_dir / "figures").mkdir()
        (run.run_dir / "figures" / "loss.png").write_bytes(_PIXEL)
        (run.run_dir / "config.toml").write_text("name = 'r'\n")
        tracker = place.open()
        tracker.start(run)
        summary = {"test_accuracy": 0.75, "verdict": "better than the baseline"}
        tracker.finish(status, summary, [run.run_dir / "figures", run.run_dir / "config.toml"])
        seen = place.look(run.run_dir)
        assert seen.ended == status
        assert seen.points == {"summary.test_accuracy": [(0, 0.75)]}
        assert seen.texts["summary.verdict"] == "better than the baseline"
        if place.takes_files:
            assert seen.files == ["config.toml", "figures/loss.png"]

    def test_a_resumed_run_is_the_same_run_and_counts_nothing_twice(
        self, place: RecordingPlace, run: RunInfo
    ) -> None:
        """Killed in epoch 3 with a checkpoint after epoch 1: epochs 2 and 3 are done again."""
        first = place.open()
        first.start(run)
        _write(run, _start(), *map(_epoch, range(3)))
        for epoch in range(3):
            first.epoch(_epoch(epoch))

        again = RunInfo(name=run.name, run_dir=run.run_dir, config=run.config, resumed=True)
        follower = Follower(again, [place.open()])
        follower.start()
        with MetricsFile(run.metrics_path) as metrics:
            metrics.trim(10)
            for record in (_start(generation=2, step=10), _epoch(2), _epoch(3)):
                metrics.append(record)
        assert follower.stop("finished") == []
        assert follower.incomplete == []
        seen = place.look(run.run_dir)
        assert seen.points == _expected(place, 4)
        assert seen.ended == "finished"
        assert seen.texts["generation"] == "2"

    def test_settings_fingerprints_and_tags_are_recorded(
        self, place: RecordingPlace, run: RunInfo
    ) -> None:
        _write(run, _start(), _epoch(0))
        tracker = place.open()
        tracker.start(
            RunInfo(
                name=run.name,
                run_dir=run.run_dir,
                config={"model": {"qubits": 8, "layers": [1, 2]}},
                fingerprints={"data": "abc"},
                tags={"sweep": "s1"},
            )
        )
        tracker.finish("finished", {}, [])
        texts = place.look(run.run_dir).texts
        wanted = {
            "model.qubits": "8", "model.layers": "[1, 2]", "fingerprint.data": "abc", "sweep": "s1",
            "workers": "2",
        }  # fmt: skip
        assert wanted.items() <= texts.items()

    def test_no_secret_is_recorded(self, place: RecordingPlace, run: RunInfo) -> None:
        secretive = RunInfo(
            name=run.name,
            run_dir=run.run_dir,
            config={"ibm": {"token": PLANTED}, "list": [{"password": PLANTED}]},
            tags={"api_key": PLANTED},
        )
        tracker = place.open()
        tracker.start(secretive)
        tracker.finish("failed", {"secret": PLANTED, "url": f"https://me:{PLANTED}@host"}, [])
        assert PLANTED not in str(place.look(run.run_dir))
        kept = [path for path in place.storage.rglob("*") if path.is_file()]
        assert [path for path in kept if PLANTED.encode() in path.read_bytes()] == []

    def test_a_place_that_went_away_is_a_run_error(
        self, place: RecordingPlace, run: RunInfo
    ) -> None:
        """The run is not where it was, or the place is no place: nothing is made up."""
        place.lose(run.run_dir)
        with pytest.raises(RunError) as caught:
            place.open().start(run)
        assert caught.value.fix


def _start(generation: int = 1, step: int = 0) -> Record:
    return {
        "event": "start", "generation": generation, "epochs": 4, "steps_per_epoch": 5, "rows": 1168,
        "workers": 2, "parameters": 500, "resumed_from_epoch": step // 5, "resumed_from_step": step,
    }  # fmt: skip


def _epoch(epoch: int) -> Record:
    return {
        "event": "epoch", "epoch": epoch, "step": 5 * (epoch + 1), "samples": 1168 * (epoch + 1),
        "train_loss": 2.0 / (epoch + 1), "val_accuracy": 0.2 * epoch, "seconds": 0.3 * epoch,
    }  # fmt: skip


def _write(run: RunInfo, *records: Record) -> None:
    with MetricsFile(run.metrics_path) as metrics:
        for record in records:
            metrics.append(record)


def _expected(place: RecordingPlace, epochs: int) -> dict[str, list[tuple[int, float]]]:
    return {key: [(e, place.kept(_epoch(e)[key])) for e in range(epochs)] for key in NUMBERS}
