"""TensorBoard's event files: read back record by record, also where a crash cut them short."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest
from PIL import Image
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData
from tensorboardX.record_writer import masked_crc32c

from qstore_ray.errors import MissingDependencyError, RunError
from qstore_ray.track.base import RunInfo
from qstore_ray.track.event_files import read_events
from qstore_ray.track.jsonl import MetricsFile
from qstore_ray.track.tensorboard import TensorBoardTracker

START = {"event": "start", "generation": 1, "workers": 2}


def _epoch(epoch: int) -> dict[str, object]:
    return {"event": "epoch", "epoch": epoch, "step": 5 * (epoch + 1), "train_loss": 0.5**epoch}


@pytest.fixture
def run(tmp_path: Path) -> RunInfo:
    with MetricsFile(tmp_path / "metrics.jsonl") as metrics:
        for record in (START, _epoch(0), _epoch(1), _epoch(2)):
            metrics.append(record)
    return RunInfo(name="r", run_dir=tmp_path, config={"model": {"qubits": 8, "flag": True}})


def _files(run: RunInfo) -> list[Path]:
    return sorted((run.run_dir / "tensorboard").iterdir())


def _losses(run: RunInfo) -> list[tuple[int, float]]:
    return [
        (event.step, value.simple_value)
        for path in _files(run)
        for event in read_events(path)
        for value in event.summary.value
        if value.tag == "train_loss"
    ]


def test_every_record_has_its_length_and_both_checksums(run: RunInfo):
    tracker = TensorBoardTracker()
    tracker.start(run)
    tracker.finish("finished", {"accuracy": 0.5}, [])
    (path,) = _files(run)
    data, place, records = path.read_bytes(), 0, 0
    while place < len(data):
        (length,) = struct.unpack_from("<Q", data, place)
        header, body = data[place : place + 8], data[place + 12 : place + 12 + length]
        assert struct.unpack_from("<I", data, place + 8)[0] == masked_crc32c(header)
        assert struct.unpack_from("<I", data, place + 12 + length)[0] == masked_crc32c(body)
        place += 16 + length
        records += 1
    assert place == len(data)
    assert records == len(list(read_events(path)))
    assert next(read_events(path)).file_version == "brain.Event:2"
    assert _losses(run) == [(0, 1.0), (1, 0.5), (2, 0.25)]


def test_an_epoch_is_on_the_disk_when_it_was_logged(run: RunInfo):
    tracker = TensorBoardTracker()
    tracker.start(run)
    tracker.epoch(_epoch(0))
    assert _losses(run) == [(0, 1.0)]
    tracker.close()


@pytest.mark.parametrize("lost", [1, 5, 30, 60])
def test_what_a_crash_cut_off_is_written_again_and_the_rest_is_not(run: RunInfo, lost: int):
    first = TensorBoardTracker()
    first.start(run)
    for epoch in range(3):
        first.epoch(_epoch(epoch))
    first.close()
    (path,) = _files(run)
    path.write_bytes(path.read_bytes()[:-lost])
    assert len(_losses(run)) < 3
    again = TensorBoardTracker()
    again.start(run)
    again.finish("finished", {}, [])
    assert sorted(_losses(run)) == [(0, 1.0), (1, 0.5), (2, 0.25)]


def test_a_damaged_record_ends_its_file(run: RunInfo):
    tracker = TensorBoardTracker()
    tracker.start(run)
    tracker.close()
    (path,) = _files(run)
    whole = list(read_events(path))
    data = bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)
    assert list(read_events(path)) == whole[:-1]


def test_attempts_of_one_second_have_files_of_their_own(run: RunInfo):
    for _ in range(3):
        tracker = TensorBoardTracker()
        tracker.start(run)
        tracker.finish("interrupted", {}, [])
    assert len(_files(run)) == 3
    assert sorted(_losses(run)) == [(0, 1.0), (1, 0.5), (2, 0.25)]


def test_a_changed_configuration_is_another_line_of_the_text(run: RunInfo):
    for qubits in (8, 8, 10):
        tracker = TensorBoardTracker()
        tracker.start(RunInfo(name="r", run_dir=run.run_dir, config={"qubits": qubits}))
        tracker.close()
    said = [
        (event.step, value.tensor.string_val[0].decode().splitlines()[-1])
        for path in _files(run)
        for event in read_events(path)
        for value in event.summary.value
        if value.tag == "config/text_summary"
    ]
    assert said == [(0, "| qubits | 8 |"), (1, "| qubits | 10 |")]


@pytest.mark.parametrize(("status", "code"), [("finished", 1), ("failed", 2), ("interrupted", 0)])
def test_the_comparison_page_has_settings_and_the_ending(run: RunInfo, status, code: int):
    tracker = TensorBoardTracker()
    tracker.start(run)
    tracker.finish(status, {"accuracy": 0.5}, [])
    found = {}
    for event in read_events(_files(run)[0]):
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "hparams":
                found[value.tag] = HParamsPluginData.FromString(value.metadata.plugin_data.content)
    settings = found["_hparams_/session_start_info"].session_start_info.hparams
    assert settings["model.qubits"].number_value == 8
    assert settings["model.flag"].bool_value is True
    (metric,) = found["_hparams_/experiment"].experiment.metric_infos
    assert metric.name.tag == "summary.accuracy"
    assert found["_hparams_/session_end_info"].session_end_info.status == code


def test_a_figure_is_the_picture_itself(run: RunInfo):
    path = run.run_dir / "figures" / "loss.png"
    path.parent.mkdir()
    Image.new("RGB", (7, 5), "red").save(path)
    tracker = TensorBoardTracker()
    tracker.start(run)
    tracker.finish("finished", {}, [path, run.run_dir / "metrics.jsonl"])
    (image,) = [
        value.image
        for event in read_events(_files(run)[0])
        for value in event.summary.value
        if value.HasField("image")
    ]
    assert (image.width, image.height, image.colorspace) == (7, 5, 3)
    assert image.encoded_image_string == path.read_bytes()


@pytest.mark.parametrize("name", ["gone.png", "text.png"])
def test_a_figure_that_is_none_is_an_error_and_the_curves_are_there(run: RunInfo, name: str):
    (run.run_dir / "text.png").write_text("no picture")
    tracker = TensorBoardTracker()
    tracker.start(run)
    with pytest.raises(RunError, match="could not finish the run") as caught:
        tracker.finish("finished", {}, [run.run_dir / name])
    assert caught.value.field == "track.tensorboard"
    assert caught.value.value == str(run.run_dir / "tensorboard")
    assert "sync_run" in caught.value.fix
    assert len(_losses(run)) == 3


def test_without_tensorboardx_the_error_says_what_to_do(run: RunInfo, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingDependencyError, match=r"qstore-ray\[tensorboard\]"):
        TensorBoardTracker().start(run)
