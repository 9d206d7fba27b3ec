"""The laws of a tracker, on every tracker: what a run recorded is there, once, and the run ends.

A member is a tracker together with a place to record in, a way to look into that place, and one to
break it. MLflow is here twice: a database and a server are two programs behind its one client.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qstore_ray.errors import RunError
from qstore_ray.track.base import Record, RunInfo, Tracker
from qstore_ray.track.config import TrackConfig, default_uri
from qstore_ray.track.follow import Follower, open_trackers
from qstore_ray.track.jsonl import MetricsFile
from qstore_ray.track.mlflow.tracker import MLflowTracker
from qstore_ray.track.tensorboard import TensorBoardTracker, read_events
from qstore_ray.track.wandb import WandBTracker
from tests.mlflow_server import mlflow_server
from tests.wandb_log import look_at_wandb_log

PLANTED = "hunter2-planted"
NUMBERS = {"samples", "train_loss", "val_accuracy", "seconds"}
_number = itertools.count()


@dataclass(frozen=True)
class Seen:
    """What is recorded of a run: every point of every metric, texts, files, the way it ended."""

    points: dict[str, list[tuple[int, float]]]
    texts: dict[str, str]
    files: list[str]
    ended: str | None


@dataclass(frozen=True)
class Place:
    """Where a tracker records."""

    storage: Path
    open: Callable[[], Tracker]
    look: Callable[[Path], Seen]
    lose: Callable[[Path], object]
    kept: Callable[[float], float] = float
    seen_at_once: bool = True


# ----------------------------------------------------------------------------------------- members


@contextmanager
def _mlflow_on_sqlite(folder: Path) -> Iterator[Place]:
    config = TrackConfig(mlflow_uri=default_uri(folder))
    yield _mlflow_place(folder, config)


def _mlflow_place(folder: Path, config: TrackConfig) -> Place:
    return Place(
        folder,
        lambda: MLflowTracker(config),
        lambda run: _look(config, run),
        lambda run: (run / "mlflow_run_id").write_text("0" * 32),
    )


@contextmanager
def _mlflow_on_a_server(folder: Path) -> Iterator[Place]:
    with mlflow_server(folder) as uri:
        yield _mlflow_place(folder, TrackConfig(mlflow_uri=uri))


def _look(config: TrackConfig, run_dir: Path) -> Seen:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=config.mlflow_uri)
    run = client.get_run((run_dir / "mlflow_run_id").read_text().strip())
    endings = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "interrupted"}

    def files(folder: str | None) -> Iterator[str]:
        for item in client.list_artifacts(run.info.run_id, folder):
            yield from files(item.path) if item.is_dir else [item.path]

    return Seen(
        points={
            key: sorted((p.step, p.value) for p in client.get_metric_history(run.info.run_id, key))
            for key in run.data.metrics
        },
        texts=run.data.params | run.data.tags,
        files=sorted(files(None)),
        ended=endings.get(run.info.status),
    )


@contextmanager
def _tensorboard(folder: Path) -> Iterator[Place]:
    yield Place(
        folder,
        lambda: TensorBoardTracker(TrackConfig()),
        _look_at_events,
        lambda run: (run / "tensorboard").write_text("no folder"),
        lambda value: float(np.float32(value)),
    )


def _look_at_events(run_dir: Path) -> Seen:
    points: dict[str, list[tuple[int, float]]] = {}
    said: dict[str, str] = {}
    files = []
    for path in sorted((run_dir / "tensorboard").iterdir()):
        for event in read_events(path):
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    points.setdefault(value.tag, []).append((event.step, value.simple_value))
                elif value.HasField("image"):
                    files.append(value.tag)
                elif value.metadata.plugin_data.plugin_name == "text":
                    said[value.tag] = value.tensor.string_val[0].decode()
    texts = dict(re.findall(r"^\| (\S+) \| (.*) \|$", "\n".join(said.values()), re.MULTILINE))
    files += [tag.removesuffix("/text_summary") for tag in said if ".toml" in tag]
    ended = texts["status"] if texts["status"] != "running" else None
    return Seen({k: sorted(v) for k, v in points.items()}, texts, sorted(files), ended)


@contextmanager
def _wandb_offline(folder: Path) -> Iterator[Place]:
    config = TrackConfig(wandb="offline")
    yield Place(
        folder,
        lambda: WandBTracker(config),
        _look_at_wandb,
        lambda run: (run / "wandb").write_text("no folder"),
        seen_at_once=False,  # W&B keeps its log in memory for a while
    )


def _look_at_wandb(run_dir: Path) -> Seen:
    seen = look_at_wandb_log(run_dir)
    endings = {0: "finished", 1: "failed", 130: "interrupted", None: None}
    return Seen(seen.points, seen.texts, seen.files, endings[seen.exit_code])


MEMBERS = {
    "mlflow on sqlite": _mlflow_on_sqlite,
    "mlflow on a server": _mlflow_on_a_server,
    "tensorboard": _tensorboard,
    "wandb offline": _wandb_offline,
}


@pytest.fixture(scope="module", params=MEMBERS)
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    with MEMBERS[request.param](tmp_path_factory.mktemp("storage")) as opened:
        yield opened


@pytest.fixture
def run(place: Place) -> RunInfo:
    run_dir = place.storage / f"run-{next(_number)}"
    run_dir.mkdir()
    return RunInfo(name=run_dir.name, run_dir=run_dir, config={"trainer": {"epochs": 4}})


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


def _expected(place: Place, epochs: int) -> dict[str, list[tuple[int, float]]]:
    return {key: [(e, place.kept(_epoch(e)[key])) for e in range(epochs)] for key in NUMBERS}


# -------------------------------------------------------------------------------------------- laws


def test_every_configured_tracker_is_a_member():
    opened = open_trackers(TrackConfig(tensorboard=True, wandb="offline"))
    assert [type(t) for t in opened] == [MLflowTracker, TensorBoardTracker, WandBTracker]
    assert all(isinstance(tracker, Tracker) for tracker in opened)


def test_what_was_logged_epoch_by_epoch_is_there_once(place: Place, run: RunInfo):
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


def test_finish_makes_up_for_every_epoch_that_was_missed(place: Place, run: RunInfo):
    _write(run, _start(), *map(_epoch, range(4)))
    tracker = place.open()
    tracker.start(run)
    tracker.epoch(_epoch(1))
    tracker.finish("finished", {}, [])
    assert place.look(run.run_dir).points == _expected(place, 4)


@pytest.mark.parametrize("status", ["finished", "failed", "interrupted"])
def test_a_run_ends_as_it_did_with_summary_and_files(place: Place, run: RunInfo, status):
    _write(run, _start())
    (run.run_dir / "figures").mkdir()
    Image.new("RGB", (3, 2), "red").save(run.run_dir / "figures" / "loss.png")
    (run.run_dir / "config.toml").write_text("name = 'r'\n")
    tracker = place.open()
    tracker.start(run)
    summary = {"test_accuracy": 0.75, "verdict": "better than the baseline"}
    tracker.finish(status, summary, [run.run_dir / "figures", run.run_dir / "config.toml"])
    seen = place.look(run.run_dir)
    assert seen.ended == status
    assert seen.points == {"summary.test_accuracy": [(0, 0.75)]}
    assert seen.texts["summary.verdict"] == "better than the baseline"
    assert seen.files == ["config.toml", "figures/loss.png"]


def test_a_resumed_run_is_the_same_run_and_counts_nothing_twice(place: Place, run: RunInfo):
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


def test_settings_fingerprints_and_tags_are_recorded(place: Place, run: RunInfo):
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


def test_no_secret_is_recorded(place: Place, run: RunInfo):
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


def test_a_place_that_went_away_is_a_run_error(place: Place, run: RunInfo):
    """The run is not where it was, or the place is no place: nothing is made up."""
    place.lose(run.run_dir)
    with pytest.raises(RunError) as caught:
        place.open().start(run)
    assert caught.value.fix
