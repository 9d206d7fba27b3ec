"""The laws of a tracker, on every tracker: what a run recorded is there, once, and the run ends.

A member is a tracker together with a place to record in, a way to look into that place, and one to
break it. MLflow is here twice: a database and a server are two programs behind its one client.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.testing import TrackerLaws
from qstore_ray.testing.trackers import RecordingPlace, Seen
from qstore_ray.track.base import TRACKERS, Tracker
from qstore_ray.track.config import TrackConfig, sqlite_uri
from qstore_ray.track.event_files import read_events
from qstore_ray.track.follow import open_trackers
from qstore_ray.track.mlflow.tracker import MLflowTracker
from qstore_ray.track.tensorboard import TensorBoardTracker
from qstore_ray.track.wandb import WandBTracker
from tests.mlflow_server import mlflow_server
from tests.wandb_log import look_at_wandb_log

# ----------------------------------------------------------------------------------------- members


@contextmanager
def _mlflow_on_sqlite(folder: Path) -> Iterator[RecordingPlace]:
    config = TrackConfig(mlflow_uri=sqlite_uri(folder / "named.db"))
    yield _mlflow_place(folder, config)


def _mlflow_place(folder: Path, config: TrackConfig) -> RecordingPlace:
    return RecordingPlace(
        folder,
        lambda: MLflowTracker(config),
        lambda run: _look(config, run),
        lambda run: (run / "mlflow_run_id").write_text("0" * 32),
    )


@contextmanager
def _mlflow_on_a_server(folder: Path) -> Iterator[RecordingPlace]:
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
def _tensorboard(folder: Path) -> Iterator[RecordingPlace]:
    yield RecordingPlace(
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
def _wandb_offline(folder: Path) -> Iterator[RecordingPlace]:
    config = TrackConfig(wandb="offline")
    yield RecordingPlace(
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
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RecordingPlace]:
    with MEMBERS[request.param](tmp_path_factory.mktemp("storage")) as opened:
        yield opened


class TestEveryTracker(TrackerLaws):
    @pytest.fixture
    def place(self, opened: RecordingPlace) -> RecordingPlace:
        return opened


def test_every_built_in_tracker_is_a_member():
    opened = open_trackers(TrackConfig(tensorboard=True, wandb="offline"))
    assert [type(t) for t in opened] == [MLflowTracker, TensorBoardTracker, WandBTracker]
    assert all(isinstance(tracker, Tracker) for tracker in opened)
    recording = set(TRACKERS) - {"alerts"}  # watches the run folder, and records nothing
    assert recording == {"mlflow", "tensorboard", "wandb"} == {n.split()[0] for n in MEMBERS}
