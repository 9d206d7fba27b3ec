"""Datasets of the hub, from a stand-in on loopback that can do everything wrong that a hub can."""

from __future__ import annotations

import errno
import io
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled
from huggingface_hub.utils import close_session, get_session
from PIL import Image

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.data.sources.huggingface.layout import parts_of, shards_by_split
from qstore_ray.data.sources.huggingface.stream import ATTEMPTS, Deadline, connection_broke
from qstore_ray.deadline import CALL
from qstore_ray.errors import ConfigError, DataError
from tests.hub_stand_in import HubStandIn, parquet, png
from tests.real_digits import digits

NAME = "me/digits"
CLASSES = tuple(f"digit {k}" for k in range(10))


def shard(rows: slice, **columns: Any) -> bytes:
    x, y = digits()
    images = [png(image) for image in x[rows]]
    return parquet({"image": images, "label": y[rows], **columns}, names=CLASSES)


def files(folder: str = "data") -> dict[str, bytes]:
    return {
        "README.md": b"# Digits",
        f"{folder}/train-00000-of-00002.parquet": shard(slice(40)),
        f"{folder}/train-00001-of-00002.parquet": shard(slice(40, 60)),
        f"{folder}/test-00000-of-00001.parquet": shard(slice(60, 80)),
    }


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # the hub is on this machine
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    hub = HubStandIn()
    yield hub
    # A call that was given up would try again for half a minute, closing the client that all
    # threads share each time, under the tests that follow. Offline, it ends with its next question.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.close()
    for thread in threading.enumerate():
        if thread.name.startswith(CALL):
            thread.join(30.0)
            assert not thread.is_alive()
    close_session()


def load(hub: HubStandIn, cache: Path, path: str = NAME, **fields: Any) -> Dataset:
    own = ("columns", "preprocessing", "revision", "split", "task")
    top = {"split": {"train": 0.5, "val": 0.5}} | {
        name: fields.pop(name) for name in own if name in fields
    }
    params = {"path": path, "endpoint": hub.url, "timeout": 20.0, **fields}
    return DatasetLoader.load(
        DatasetConfig(
            name="set",
            source="huggingface",
            params=params,
            cache_dir=str(cache),
            **top,
        )
    )


def check_digits(dataset: Dataset) -> None:
    x, y = digits()
    assert dataset.sizes == {"train": 30, "val": 30, "test": 20}
    for split in dataset.sizes:
        rows = dataset.rows(split)
        np.testing.assert_array_equal(dataset.materialize(split).x, x[rows].reshape(len(rows), -1))
        np.testing.assert_array_equal(dataset.materialize(split).y, y[rows])
    np.testing.assert_array_equal(dataset.rows("test"), np.arange(60, 80))
    assert dataset.schema.image_shape == (28, 28)
    assert dataset.schema.class_names == CLASSES


# --------------------------------------------------------------------------------- what is there


@pytest.mark.parametrize("streaming", [False, True])
def test_images_labels_names_and_the_official_test_split(
    hub: HubStandIn, tmp_path: Path, streaming: bool
):
    commit = hub.add(NAME, files())
    dataset = load(hub, tmp_path, streaming=streaming)
    check_digits(dataset)
    assert dataset.provenance["commit"] == commit
    assert dataset.provenance["revision"] == "main"
    assert any(asked.bytes_range for asked in hub.asked) == streaming
    cached = list(tmp_path.rglob("*.parquet"))
    assert len(cached) == (0 if streaming else 3)


def test_the_same_rows_however_they_are_cut_and_carried(hub: HubStandIn, tmp_path: Path):
    hub.add(NAME, files())
    whole = load(hub, tmp_path)
    for settings in ({"rows_per_task": 3}, {"rows_per_task": 11, "streaming": True}):
        pieces = load(hub, tmp_path, **settings)
        assert pieces.fingerprint == whole.fingerprint
        for task in pickle.loads(pickle.dumps(pieces.plan("test").tasks)):
            block = task()
            np.testing.assert_array_equal(block["y"], digits()[1][block["row"]])


def test_files_are_downloaded_once(hub: HubStandIn, tmp_path: Path):
    hub.add(NAME, files())
    load(hub, tmp_path)
    downloads = [a.path for a in hub.asked if a.method == "GET" and "/resolve/" in a.path]
    assert len(downloads) == 3
    load(hub, tmp_path)
    assert len([a for a in hub.asked if "/resolve/" in a.path and a.method == "GET"]) == 3


def test_tasks_go_on_reading_their_commit_when_the_branch_moves(hub: HubStandIn, tmp_path: Path):
    old = hub.add(NAME, files())
    dataset = load(hub, tmp_path, streaming=True)
    new = hub.add(NAME, {"data/train-00000-of-00001.parquet": shard(slice(5, 30))})
    check_digits(dataset)
    assert load(hub, tmp_path).provenance["commit"] == new
    again = load(hub, tmp_path, revision=old)
    assert again.fingerprint == dataset.fingerprint
    assert again.provenance["commit"] == old


def test_a_config_is_chosen_by_name(hub: HubStandIn, tmp_path: Path):
    few = {"few/train-00000-of-00001.parquet": shard(slice(30))}
    hub.add(NAME, files("all") | few)
    check_digits(load(hub, tmp_path, config="all"))
    assert sum(load(hub, tmp_path, config="few").sizes.values()) == 30
    for config in (None, "other"):
        with pytest.raises(ConfigError, match="config") as caught:
            load(hub, tmp_path, config=config)
        assert caught.value.field == "params.config"
        assert "all, few" in caught.value.fix


def test_what_the_hub_has_converted_is_read_where_there_is_a_script(
    hub: HubStandIn, tmp_path: Path
):
    hub.add(NAME, {"digits.py": b"raise SystemExit"})
    converted = {
        "default/train/0000.parquet": shard(slice(40)),
        "default/train/0001.parquet": shard(slice(40, 60)),
        "default/test/0000.parquet": shard(slice(60, 80)),
    }
    commit = hub.add(NAME, converted, revision="refs/convert/parquet")
    dataset = load(hub, tmp_path)
    check_digits(dataset)
    assert dataset.provenance["revision"] == "refs/convert/parquet"
    assert dataset.provenance["commit"] == commit
    assert not [asked for asked in hub.asked if asked.path.endswith(".py")]


def test_splits_are_mapped_and_never_merged(hub: HubStandIn, tmp_path: Path):
    few = {f"{name}.parquet": shard(slice(30)) for name in ("train", "dev", "extra")}
    hub.add(NAME, few)
    with pytest.raises(DataError, match="dev, extra, train") as caught:
        load(hub, tmp_path)
    assert caught.value.field == "params.split_mapping"
    dataset = load(hub, tmp_path, split_mapping={"dev": "val", "train": "train"})
    assert dataset.sizes == {"train": 30, "val": 30}
    for wrong in ({"train": "train", "dev": "train"}, {"dev": "test"}, {"all": "train"}):
        with pytest.raises(ConfigError) as caught:
            load(hub, tmp_path, split_mapping=wrong)
        assert caught.value.field == "params.split_mapping"


def test_columns_of_numbers_and_text_labels(hub: HubStandIn, tmp_path: Path):
    a, b = np.linspace(0, 1, 40), np.arange(40)
    kind = ["even", "odd"] * 20
    table = parquet({"a": a, "b": b, "vector": [[k, 2.0] for k in b], "kind": kind})
    hub.add(NAME, {"data/train.parquet": table})
    dataset = load(hub, tmp_path, columns={"features": ["b", "a"], "label": "kind"})
    assert dataset.schema.feature_names == ("b", "a")
    x, y = dataset.materialize("train")
    np.testing.assert_array_equal(x, np.stack([b, a], axis=1)[dataset.rows("train")])
    np.testing.assert_array_equal(y, dataset.rows("train") % 2)
    dataset = load(hub, tmp_path, feature_column="vector", columns={"label": "kind"})
    np.testing.assert_array_equal(dataset.materialize("train").x[:, 1], 2.0)
    dataset = load(
        hub, tmp_path, feature_column="vector", columns={"label": "a"}, task="regression"
    )
    np.testing.assert_array_equal(dataset.materialize("val").y, a[dataset.rows("val")])


def test_columns_are_not_guessed(hub: HubStandIn, tmp_path: Path):
    x, y = digits()
    pictures = [png(image) for image in x[:40]]
    table = parquet({"picture": pictures, "other": y[:40] / 2, "kind": y[:40]})
    hub.add(NAME, {"data/train.parquet": table})
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "columns.label"),
        ({"columns": {"label": "kind"}}, "params.feature_column"),
        ({"columns": {"label": "kind"}, "feature_column": "x"}, "params.feature_column"),
    ]
    for fields, field in wrong:
        with pytest.raises(DataError, match="picture, other, kind") as caught:
            load(hub, tmp_path, **fields)
        assert caught.value.field == field
        assert "feature_column" in caught.value.fix
    with pytest.raises(ConfigError, match="several features") as refused:
        load(hub, tmp_path, columns={"label": "kind", "features": ["picture", "other"]})
    assert refused.value.fix == (
        'A column of images or vectors stands alone: features = ["picture"].'
    )
    as_parameter = load(hub, tmp_path, columns={"label": "kind"}, feature_column="picture")
    as_features = load(hub, tmp_path, columns={"label": "kind", "features": ["picture"]})
    assert as_features.schema == as_parameter.schema
    assert as_features.schema.image_shape == (28, 28)
    assert as_features.fingerprint == as_parameter.fingerprint
    both = {"label": "kind", "features": ["picture"]}
    with pytest.raises(ConfigError, match="name the features once"):
        load(hub, tmp_path, columns=both, feature_column="picture")


@pytest.mark.parametrize("kind", ["text", "number"])
def test_groups_of_rows_stay_together(hub: HubStandIn, tmp_path: Path, kind: str):
    number = np.random.default_rng(4).integers(0, 9, 40)
    group = number if kind == "number" else np.array([f"writer {k}" for k in number])
    columns = {"a": np.arange(40.0), "writer": group.tolist(), "label": [0, 1] * 20}
    hub.add(NAME, {"data/train.parquet": parquet({**columns, "vague": [0.5] * 40})})
    asked = {"features": ["a"], "group": "writer"}
    fields = {"columns": asked, "split": {"train": 0.5, "val": 0.5, "method": "group"}}
    dataset = load(hub, tmp_path, rows_per_task=7, **fields)
    assert dataset.schema.n_features == 1
    assert not set(number[dataset.rows("train")]) & set(number[dataset.rows("val")])
    with pytest.raises(DataError, match="these are double") as odd:
        load(hub, tmp_path, **{**fields, "columns": {**asked, "group": "vague"}})
    assert odd.value.field.endswith("column 'vague'")
    with pytest.raises(ConfigError, match="unknown column") as caught:
        load(hub, tmp_path, **{**fields, "columns": {**asked, "group": "writers"}})
    assert "'writer'" in caught.value.fix


@pytest.mark.parametrize("features", [["a"], ["a", "b"], None])
def test_a_column_has_the_weights(hub: HubStandIn, tmp_path: Path, features: list[str] | None):
    columns = {"a": np.arange(40.0), "b": np.arange(40.0), "w": np.arange(40.0) + 1.0}
    hub.add(NAME, {"data/train.parquet": parquet({**columns, "label": [0, 1] * 20})})
    asked = {"weight": "w", **({} if features is None else {"features": features})}
    dataset = load(hub, tmp_path, rows_per_task=7, columns=asked)
    assert dataset.schema.n_features == len(features or ["a", "b"])
    assert dataset.weights("train").tolist() == (dataset.rows("train") + 1.0).tolist()
    with pytest.raises(ConfigError, match="unknown column"):
        load(hub, tmp_path, columns={**asked, "weight": "weights"})


def test_a_column_of_images_has_weights_beside_it(hub: HubStandIn, tmp_path: Path):
    columns = {"picture": [[1.0, 2.0]] * 20 + [[2.0, 1.0]] * 20, "w": np.arange(40.0) + 1.0}
    hub.add(NAME, {"data/train.parquet": parquet({**columns, "label": [0, 1] * 20})})
    asked = {"weight": "w", "label": "label"}
    dataset = load(hub, tmp_path, columns=asked, feature_column="picture")
    assert dataset.weights("train").tolist() == (dataset.rows("train") + 1.0).tolist()
    with pytest.raises(ConfigError, match="unknown column"):
        load(hub, tmp_path, columns={**asked, "weight": "v"}, feature_column="picture")


def test_the_endpoint_of_the_environment_and_the_token_of_the_environment(
    hub: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    hub.add(NAME, files())
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    dataset = load(hub, tmp_path, endpoint=None)
    check_digits(dataset)
    assert {asked.token for asked in hub.asked} == {"Bearer hf_secret"}
    assert b"hf_secret" not in pickle.dumps(dataset)
    assert "hf_secret" not in str(dataset.provenance) + dataset.config.to_toml()
    monkeypatch.delenv("HF_TOKEN")
    hub.asked.clear()
    load(hub, tmp_path / "other")
    assert {asked.token for asked in hub.asked} == {None}


def test_a_token_is_not_sent_unencrypted(
    hub: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with pytest.raises(ConfigError, match="unencrypted") as caught:
        load(hub, tmp_path, endpoint="http://hub.example")
    assert caught.value.field == "params.endpoint"
    assert "hf_secret" not in str(caught.value)


def test_offline_reads_the_cache_and_asks_nobody(
    hub: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    hub.add(NAME, files())
    with pytest.raises(DataError, match="offline") as caught:
        load(hub, tmp_path, offline=True)
    assert str(tmp_path) in caught.value.fix
    fingerprint = load(hub, tmp_path).fingerprint
    hub.asked.clear()
    assert load(hub, tmp_path, offline=True).fingerprint == fingerprint
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load(hub, tmp_path).fingerprint == fingerprint
    assert hub.asked == []
    with pytest.raises(ConfigError, match="streaming needs the network"):
        load(hub, tmp_path, streaming=True)
    next(tmp_path.rglob("test-*.parquet")).unlink()
    with pytest.raises(DataError, match="not in the cache"):
        load(hub, tmp_path)


# ---------------------------------------------------------------------------- what can go wrong


def fails(hub: HubStandIn, cache: Path, **fields: Any) -> DataError:
    """The error of loading."""
    with pytest.raises(DataError) as caught:
        load(hub, cache, **fields)
    assert caught.value.fix
    return caught.value


def test_no_such_dataset(hub: HubStandIn, tmp_path: Path):
    error = fails(hub, tmp_path)
    assert "no such dataset" in error.message
    assert (error.field, error.value) == ("params.path", NAME)


def test_no_such_revision(hub: HubStandIn, tmp_path: Path):
    hub.add(NAME, files())
    error = fails(hub, tmp_path, revision="v9")
    assert (error.field, error.value) == ("revision", "v9")


@pytest.mark.parametrize("streaming", [False, True])
def test_a_gated_dataset(hub: HubStandIn, tmp_path: Path, streaming: bool):
    hub.add(NAME, files())
    hub.repositories[NAME].gated = True
    error = fails(hub, tmp_path, streaming=streaming)
    assert "gated" in error.message
    assert "HF_TOKEN" in error.fix


def test_a_dataset_that_has_moved_says_where(hub: HubStandIn, tmp_path: Path):
    hub.add("you/digits", files())
    hub.add(NAME, {})
    hub.repositories[NAME].moved_to = "you/digits"
    error = fails(hub, tmp_path)
    assert "now called you/digits" in error.message
    assert error.fix == 'Write path = "you/digits".'


@pytest.mark.parametrize("revision", [None, "main"])
def test_only_a_script(hub: HubStandIn, tmp_path: Path, revision: str | None):
    hub.add(NAME, {"digits.py": b"raise SystemExit"})
    error = fails(hub, tmp_path, revision=revision)
    assert "only a script (digits.py), which is never run" in error.message


def test_no_parquet_at_all(hub: HubStandIn, tmp_path: Path):
    hub.add(NAME, {"README.md": b"# Nothing"})
    assert "no Parquet files" in fails(hub, tmp_path).message


def test_a_hub_that_hangs_meets_the_deadline(hub: HubStandIn, tmp_path: Path):
    hub.add(NAME, files())
    hub.hang = 30.0
    error = fails(hub, tmp_path, timeout=0.5)
    assert error.field in {"params.timeout", "params.path"}


@pytest.mark.parametrize("streaming", [False, True])
def test_files_that_hang_meet_the_deadline(hub: HubStandIn, tmp_path: Path, streaming: bool):
    hub.add(NAME, files())
    hub.hang_files = 30.0
    error = fails(hub, tmp_path, timeout=1.0, streaming=streaming)
    assert error.field in {"params.timeout", "params.path"}


def test_a_process_that_gave_up_on_a_hub_ends_well(hub: HubStandIn, tmp_path: Path):
    hub.add(NAME, {"data/train.parquet": shard(slice(30))})
    hub.hang_files = 30.0
    script = f"""
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.config import DatasetConfig
from qstore_ray.errors import DataError
params = {{"path": {NAME!r}, "endpoint": {hub.url!r}, "timeout": 1.0, "streaming": True}}
config = DatasetConfig(name="s", source="huggingface", params=params, cache_dir={str(tmp_path)!r})
try:
    DatasetLoader.load(config)
except DataError as exc:
    print("field", exc.field)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "HF_HUB_OFFLINE": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "field params.timeout\n"), ended.stderr


def test_a_hub_that_drips_meets_the_deadline(hub: HubStandIn, tmp_path: Path):
    hub.add(NAME, files())
    hub.drip = True
    assert fails(hub, tmp_path, timeout=0.5).field == "params.timeout"


def test_a_page_instead_of_an_answer(hub: HubStandIn, tmp_path: Path):
    hub.add(NAME, files())
    hub.html = True
    error = fails(hub, tmp_path)
    assert "does not answer like a hub" in error.message
    assert "params.endpoint" in error.fix


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_in_trouble(hub: HubStandIn, tmp_path: Path, status: int):
    hub.status = status
    assert str(status) in fails(hub, tmp_path).message


def test_nobody_at_the_endpoint(hub: HubStandIn, tmp_path: Path):
    hub.close()
    error = fails(hub, tmp_path)
    assert hub.url in error.message


@pytest.mark.parametrize("streaming", [False, True])
def test_a_connection_that_breaks_is_made_anew(hub: HubStandIn, tmp_path: Path, streaming: bool):
    hub.add(NAME, files())
    hub.broken = 2
    client = get_session()
    check_digits(load(hub, tmp_path, streaming=streaming))
    assert get_session() is not client
    asked = [a.path for a in hub.asked[:3]]
    assert asked == [f"/api/datasets/{NAME}/revision/main"] * 3


def test_a_connection_that_always_breaks_is_given_up(hub: HubStandIn, tmp_path: Path):
    hub.broken = 100
    error = fails(hub, tmp_path)
    assert "does not answer as it should" in error.message
    assert (error.field, error.value, len(hub.asked)) == ("params.path", NAME, ATTEMPTS)


def test_an_answer_is_not_asked_for_again(hub: HubStandIn, tmp_path: Path):
    hub.status = 500
    assert fails(hub, tmp_path).field == "params.path"
    assert len(hub.asked) == 1


def test_a_bad_file_descriptor_and_a_closed_client_are_broken_connections():
    seen: list[int] = []

    def read() -> str:
        seen.append(len(seen))
        if len(seen) == 1:
            raise OSError(errno.EBADF, "Bad file descriptor")
        if len(seen) == 2:
            raise RuntimeError("Cannot send a request, as the client has been closed.")
        return "read"

    assert Deadline(5.0).read(read, "reading") == "read"
    located = LocalEntryNotFoundError("not in the cache")
    assert not connection_broke(located)
    located.__cause__ = ConnectionResetError()
    assert connection_broke(located)
    assert not connection_broke(OfflineModeIsEnabled("offline"))
    assert not connection_broke(OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(RuntimeError, match="another"):
        Deadline(5.0).read(_another_fault, "reading")


def _another_fault() -> None:
    raise RuntimeError("another fault")


def test_all_attempts_share_one_deadline():
    asked = []

    def slow() -> None:
        asked.append(None)
        time.sleep(0.3)
        raise ConnectionResetError

    with pytest.raises(DataError, match=r"longer than 0\.4 s") as caught:
        Deadline(0.4).read(slow, "reading it")
    assert len(asked) <= 2, "a deadline for each attempt would allow more"
    assert (caught.value.field, caught.value.value) == ("params.timeout", 0.4)


def test_a_missing_shard(hub: HubStandIn, tmp_path: Path):
    there = files()
    del there["data/train-00001-of-00002.parquet"]
    hub.add(NAME, there)
    assert "'train' has 1 of its Parquet files" in fails(hub, tmp_path).message


@pytest.mark.parametrize("streaming", [False, True])
def test_a_damaged_parquet_file(hub: HubStandIn, tmp_path: Path, streaming: bool):
    hub.add(NAME, {"data/train.parquet": shard(slice(30))[:-30]})
    error = fails(hub, tmp_path, streaming=streaming)
    assert "damaged Parquet" in error.message
    assert error.field == "data/train.parquet"


def test_shards_with_other_columns(hub: HubStandIn, tmp_path: Path):
    there = files()
    there["data/test-00000-of-00001.parquet"] = parquet({"image": [1, 2], "label": [0, 1]})
    hub.add(NAME, there)
    assert fails(hub, tmp_path).field == "data/test-00000-of-00001.parquet"


def test_a_row_group_that_is_too_large(hub: HubStandIn, tmp_path: Path):
    hub.add(NAME, files())
    assert "params.max_bytes" in fails(hub, tmp_path, max_bytes=1000).fix


# ------------------------------------------------------------------------------------- the images


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


GREY = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
BAD = {
    "not an image": (b"GIF89a not really", "cannot be decoded"),
    "truncated": (encoded(GREY)[:40], "cannot be decoded"),
    "another format": (encoded(GREY, "GIF"), "cannot be decoded"),
    "another size": (encoded(GREY.resize((4, 8))), "different shapes: row 3"),
    "another mode": (encoded(GREY.convert("RGB")), "different shapes: row 3"),
    "palette": (encoded(GREY.convert("P")), "row 3 is of mode P"),
    "transparent": (encoded(GREY.convert("RGBA")), "row 3 is of mode RGBA"),
    "16 bit": (encoded(Image.fromarray(np.zeros((8, 8), np.uint16))), "row 3 is of mode I;16"),
    "too large": (encoded(Image.new("L", (100, 100))), "100 × 100 pixels"),
    "animated": (
        encoded(GREY, save_all=True, append_images=[GREY.rotate(90)]),
        "row 3 is animated",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_an_image_that_cannot_be_used_names_its_row(hub: HubStandIn, tmp_path: Path, case: str):
    content, message = BAD[case]
    images = [encoded(GREY)] * 3 + [content] + [encoded(GREY)] * 8
    hub.add(NAME, {"data/train.parquet": parquet({"image": images, "label": [0, 1] * 6})})
    error = fails(hub, tmp_path, max_pixels=5000)
    assert message in error.message
    assert "row 3" in error.message


def test_modes_are_converted_where_it_is_asked(hub: HubStandIn, tmp_path: Path):
    images = [encoded(GREY), encoded(GREY.convert("RGB")), encoded(GREY.convert("RGBA"))] * 4
    hub.add(NAME, {"data/train.parquet": parquet({"image": images, "label": [0, 1] * 6})})
    assert load(hub, tmp_path, mode="L").schema.image_shape == (8, 8)
    dataset = load(hub, tmp_path, mode="RGB")
    assert dataset.schema.image_shape == (8, 8, 3)
    np.testing.assert_array_equal(dataset.materialize("train").x[0], np.repeat(np.arange(64.0), 3))


def test_a_gap_names_its_column_and_row(hub: HubStandIn, tmp_path: Path):
    table = parquet({"a": [0.5] * 11 + [None], "label": [0, 1] * 6})
    hub.add(NAME, {"data/train.parquet": table})
    error = fails(hub, tmp_path, columns={"features": ["a"]})
    assert "column 0 ('a'), first in row 11" in error.message


def test_a_table_of_the_hub_has_categories_by_name(hub: HubStandIn, tmp_path: Path):
    rows = {"sex": ["m", "f"] * 20, "age": [0.5 * i for i in range(40)], "label": [0, 0, 1, 1] * 10}
    hub.add(NAME, {"data/train.parquet": parquet(rows)})
    dataset = load(hub, tmp_path, rows_per_task=7)
    assert dataset.schema.prepared_names == ("sex=f", "sex=m", "age")
    assert dataset.schema.table is not None
    assert dataset.schema.table.line() == "label label; 2 features: sex (category), age"
    excluded = load(hub, tmp_path, columns={"exclude": ["sex"]})
    assert excluded.schema.feature_names == ("age",)


@pytest.mark.parametrize("encoding", ["one_hot", "ordinal"])
def test_a_table_of_the_hub_is_the_table_of_the_file(
    hub: HubStandIn, tmp_path: Path, encoding: str
):
    rows = {
        "town": [("Ulm", "Köln", None)[k % 3] for k in range(42)],
        "smoker": [(True, False, None)[k % 7 % 3] for k in range(42)],
        "age": [None if k % 5 == 2 else 0.5 * k for k in range(42)],
        "code": [k % 4 for k in range(42)],
        "label": ["yes" if k % 3 else "no" for k in range(42)],
    }
    hub.add(NAME, {"data/train.parquet": parquet(rows)})
    (tmp_path / "rows.parquet").write_bytes(parquet(rows))
    fields = {
        "columns": {"label": "label", "categories": ["code"], "encoding": encoding},
        "preprocessing": [{"name": "impute", "strategy": "most_frequent"}],
    }
    ours = load(hub, tmp_path / "hub", rows_per_task=11, **fields)
    theirs = DatasetLoader.load(
        DatasetConfig(
            name="rows",
            source="local",
            params={"path": str(tmp_path / "rows.parquet")},
            split={"train": 0.5, "val": 0.5},
            **fields,
        )
    )
    assert ours.classes == theirs.classes
    assert ours.schema.prepared_names == theirs.schema.prepared_names
    assert ours.schema.table is not None
    assert ours.schema.table.features == theirs.schema.table.features
    for split in ("train", "val"):
        np.testing.assert_array_equal(ours.materialize(split).x, theirs.materialize(split).x)
        np.testing.assert_array_equal(ours.materialize(split).y, theirs.materialize(split).y)


# ---------------------------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"path": "../../x"}, "params.path"),
        ({"path": "a/b/c"}, "params.path"),
        ({"path": "a/b..c"}, "params.path"),
        ({"path": ""}, "params.path"),
        ({"path": NAME, "endpoint": "ftp://x"}, "params.endpoint"),
        ({"path": NAME, "endpoint": "https://user:password@x"}, "params.endpoint"),
        ({"path": NAME, "token": "hf_x"}, "params.token"),
        ({"path": NAME, "trust_remote_code": True}, "params.trust_remote_code"),
        ({"path": NAME, "timeout": 0}, "params.timeout"),
        ({"path": NAME, "split_mapping": {"train": "all"}}, "params.split_mapping.train"),
    ],
)
def test_wrong_parameters_are_named(params: dict[str, Any], field: str):
    with pytest.raises(ConfigError) as caught:
        DatasetConfig(name="set", source="huggingface", params=params)
    assert caught.value.field == field


def test_file_names_of_all_layouts():
    names = [
        "data/train-00000-of-00001-a1b2c3.parquet",
        "data/test-00000-of-00001.parquet",
        "data/readme.txt",
    ]
    assert list(shards_by_split(names, None, repository="r")) == ["test", "train"]
    nested = shards_by_split(["a/b/train/0000.parquet"], "a/b", repository="r")
    assert nested == {"train": ("a/b/train/0000.parquet",)}
    assert parts_of(("test", "validation", "train"), None) == {
        "train": "train",
        "val": "validation",
        "test": "test",
    }
