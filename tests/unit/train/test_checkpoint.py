"""Checkpoints: bit for bit, or refused."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray import DatasetLoader, ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.errors import CheckpointError
from qstore_ray.learn.optimizers import OPTIMIZERS, get_optimizer
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.run.checkpoint import (
    latest_checkpoint,
    prune_checkpoints,
    read_checkpoint,
    write_checkpoint,
)
from qstore_ray.train.run.state import TrainState

ARRAYS = {
    "theta": np.array([0.1, -0.0, 1e-310, np.pi, np.nextafter(1.0, 2.0)]),
    "optimizer.m": np.arange(6.0).reshape(2, 3),
    "epoch": np.array(7, np.int64),
    "empty": np.zeros((0, 4)),
}
MANIFEST = {"model": {"classes": ["cat", "Hündin"]}, "epoch": 7, "generation": 2}


def _write(folder: Path, step: int = 3) -> Path:
    return write_checkpoint(folder, step, ARRAYS, MANIFEST)


def _damage(path: Path, position: int, mask: int = 0x40) -> None:
    data = bytearray(path.read_bytes())
    data[position % len(data)] ^= mask
    path.write_bytes(data)


def test_it_comes_back_bit_for_bit(tmp_path: Path):
    path = _write(tmp_path, step=123)
    assert path.name == "step-00000123"
    assert sorted(file.name for file in path.iterdir()) == ["arrays.npz", "manifest.json"]
    found = read_checkpoint(path)
    assert set(found.arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert found.arrays[name].dtype == array.dtype
        assert found.arrays[name].shape == array.shape
        assert found.arrays[name].tobytes() == array.tobytes()
    assert {key: found.manifest[key] for key in MANIFEST} == MANIFEST
    assert found.manifest["step"] == 123


def test_writing_a_step_again_replaces_it(tmp_path: Path):
    path = _write(tmp_path)
    write_checkpoint(tmp_path, 3, {"theta": np.ones(2)}, MANIFEST)
    np.testing.assert_array_equal(read_checkpoint(path).arrays["theta"], 1.0)


def test_the_metrics_before_a_checkpoint_are_on_the_disk_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    synced: list[tuple[str, int]] = []  # the file, and how long it was
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        fsync(descriptor)
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        synced.append((name, os.fstat(descriptor).st_size))

    monkeypatch.setattr(os, "fsync", recorded)
    rows = np.random.default_rng(0).uniform(0, 3, (40, 2))
    data = DatasetLoader.from_arrays(rows, (rows[:, 0] > 1.5).astype(int), split={"train": 1.0})
    QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1),
        TrainerConfig(epochs=3, checkpoints_kept=3),
        name="run", storage=str(tmp_path), track=TrackConfig(mlflow=False, figures=False),
    ).fit(data)  # fmt: skip
    lines, ends = (tmp_path / "run" / "metrics.jsonl").read_bytes().splitlines(True), [0]
    for line in lines:
        ends.append(ends[-1] + len(line))
    epochs = [end for end, line in zip(ends[1:], lines, strict=True) if b'"epoch","' in line]
    for number, end in enumerate(epochs):
        places = [place for place, (name, _) in enumerate(synced) if name.startswith(".arrays")]
        before = synced[: places[number]]
        assert max(size for name, size in before if name == "metrics.jsonl") >= end


# ------------------------------------------------------------------------ killed while writing


class Killed(BaseException):
    """The process ends here."""


def _killed_at(call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the writer before the system call number `call` that changes the folder."""
    calls = 0

    def counted(original):
        def wrapper(*args, **kwargs):
            nonlocal calls
            if calls == call:
                raise Killed
            calls += 1
            return original(*args, **kwargs)

        return wrapper

    monkeypatch.setattr(os, "fsync", counted(os.fsync))
    monkeypatch.setattr(os, "replace", counted(os.replace))
    monkeypatch.setattr(Path, "replace", counted(Path.replace))
    # A killed process tidies nothing up.
    monkeypatch.setattr(Path, "unlink", lambda *args, **kwargs: None)


@pytest.mark.parametrize("call", range(4))
def test_a_writer_killed_at_any_moment_leaves_the_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
):
    _write(tmp_path, step=1)
    with monkeypatch.context() as patch:
        _killed_at(call, patch)
        with pytest.raises(Killed):
            _write(tmp_path, step=2)
    found, problems = latest_checkpoint(tmp_path)
    assert found is not None
    assert found.manifest["step"] == 1
    assert len(problems) == 1
    assert "incomplete" in str(problems[0])
    assert "step-00000002" in str(problems[0])
    _write(tmp_path, step=2)
    assert read_checkpoint(tmp_path / "step-00000002").manifest["step"] == 2


@pytest.mark.parametrize("call", range(4))
def test_a_writer_killed_over_the_same_step_leaves_no_false_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
):
    _write(tmp_path, step=1)
    path = _write(tmp_path, step=2)
    (path / "manifest.json").unlink()  # what the writer does first
    with monkeypatch.context() as patch:
        _killed_at(call, patch)
        with pytest.raises(Killed):
            write_checkpoint(tmp_path, 2, {"theta": np.ones(2)}, MANIFEST)
    found, _ = latest_checkpoint(tmp_path)
    assert found is not None
    assert found.manifest["step"] == 1


def test_a_first_checkpoint_that_was_never_completed_is_none(tmp_path: Path):
    (_write(tmp_path) / "manifest.json").unlink()
    found, problems = latest_checkpoint(tmp_path)
    assert found is None
    assert len(problems) == 1


def test_without_a_folder_there_is_no_checkpoint(tmp_path: Path):
    assert latest_checkpoint(tmp_path / "checkpoints") == (None, [])


# ------------------------------------------------------------------------------------- damaged


@settings(max_examples=60)
@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_any_flipped_bit_of_the_arrays_is_noticed(tmp_path_factory, position: int, bit: int):
    path = _write(tmp_path_factory.mktemp("checkpoints"))
    _damage(path / "arrays.npz", position, 1 << bit)
    with pytest.raises(CheckpointError):
        read_checkpoint(path)


@settings(max_examples=60)
@given(length=st.integers(0, 10**6))
def test_arrays_cut_short_are_noticed(tmp_path_factory, length: int):
    path = _write(tmp_path_factory.mktemp("checkpoints"))
    data = (path / "arrays.npz").read_bytes()
    (path / "arrays.npz").write_bytes(data[: length % len(data)])
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "manifest",
    [b"", b"{", b"[]", b"null", b'{"format": 99}', b'{"format": 1}', b"\xff\xfe", b"3"],
)
def test_a_manifest_that_is_none_is_noticed(tmp_path: Path, manifest: bytes):
    path = _write(tmp_path)
    (path / "manifest.json").write_bytes(manifest)
    with pytest.raises(CheckpointError):
        read_checkpoint(path)


def test_a_damaged_one_is_passed_over_and_named(tmp_path: Path):
    for step in (1, 2, 3):
        _write(tmp_path, step)
    _damage(tmp_path / "step-00000003" / "arrays.npz", 100)
    (tmp_path / "step-00000002" / "arrays.npz").unlink()
    found, problems = latest_checkpoint(tmp_path)
    assert found is not None
    assert found.manifest["step"] == 1
    assert [problem.value for problem in problems] == [
        "step-00000003",
        "step-00000002",
    ]


def test_where_all_are_damaged_it_does_not_start_again_in_silence(tmp_path: Path):
    for step in (1, 2):
        _damage(_write(tmp_path, step) / "arrays.npz", 50)
    with pytest.raises(CheckpointError, match="existing='replace'"):
        latest_checkpoint(tmp_path)


# ------------------------------------------------------------------------------------ not ours


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_pickled_objects_are_refused_and_never_loaded(tmp_path: Path):
    exploded = tmp_path / "exploded"
    objects = np.array([Bomb(exploded)], dtype=object)
    path = write_checkpoint(tmp_path, 1, {"theta": objects}, MANIFEST)
    with pytest.raises(CheckpointError, match="unreadable"):
        read_checkpoint(path)
    assert not exploded.exists()


def test_arrays_with_the_right_hash_that_are_no_archive_are_refused(tmp_path: Path):
    import hashlib

    path = _write(tmp_path)
    data = b"not a zip file"
    (path / "arrays.npz").write_bytes(data)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["members"] = {"arrays.npz": hashlib.sha256(data).hexdigest()}
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="unreadable"):
        read_checkpoint(path)


def test_arrays_of_the_archive_are_stored_uncompressed(tmp_path: Path):
    with zipfile.ZipFile(_write(tmp_path) / "arrays.npz") as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


# ------------------------------------------------------------------------------------- keeping


def test_the_newest_are_kept(tmp_path: Path):
    for step in (9, 10, 100, 2):
        _write(tmp_path, step)
    prune_checkpoints(tmp_path, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000010", "step-00000100"]


def test_a_folder_that_cannot_be_written_to_is_our_error(tmp_path: Path):
    (tmp_path / "checkpoints").write_text("a file is in the way")
    with pytest.raises(CheckpointError, match="cannot write") as caught:
        _write(tmp_path / "checkpoints")
    assert "existing='resume'" in caught.value.fix


# --------------------------------------------------------------------------------------- state


def _state(optimizer: str, n: int = 4) -> TrainState:
    theta = np.linspace(0.1, 0.9, n)
    state = get_optimizer(optimizer, {}).init(theta)
    state = {name: value + 0.25 for name, value in state.items()}
    schedule = {"step": 5.0, "total": 20.0}
    return TrainState(theta, state, schedule, np.arange(4.0), 0.03, 2, 1, 5, 99)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_state_comes_back_bit_for_bit(tmp_path: Path, optimizer: str):
    state = _state(optimizer)
    path = write_checkpoint(tmp_path, 5, state.to_arrays(), {})
    found = TrainState.from_arrays(read_checkpoint(path).arrays, _state(optimizer))
    assert {name: array.tobytes() for name, array in found.to_arrays().items()} == {
        name: array.tobytes() for name, array in state.to_arrays().items()
    }
    assert (found.epoch, found.step_in_epoch, found.step, found.samples) == (2, 1, 5, 99)
    assert found.schedule == state.schedule


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (_state("adam", 4), _state("adam", 5)),
        (_state("adam"), _state("sgd")),
        (_state("sgd"), _state("adam")),
    ],
    ids=["other parameters", "other optimizer", "the other way round"],
)
def test_the_state_of_another_model_or_optimizer_is_refused(written, read):
    with pytest.raises(CheckpointError, match="another model or optimizer"):
        TrainState.from_arrays(written.to_arrays(), read)


def test_a_copy_of_a_checkpoint_is_the_checkpoint(tmp_path: Path):
    path = _write(tmp_path / "one")
    copy = shutil.copytree(path, tmp_path / "elsewhere")
    np.testing.assert_array_equal(read_checkpoint(copy).arrays["theta"], ARRAYS["theta"])


def test_a_checkpoint_that_describes_no_model_is_not_loaded_as_one(tmp_path: Path):
    with pytest.raises(CheckpointError) as caught:
        TrainedModel.load(_write(tmp_path))
    assert "it lacks config, n_features, preparation" in caught.value.message
    assert caught.value.field == "model"
