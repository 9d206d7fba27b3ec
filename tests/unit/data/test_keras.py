"""Keras's image sets from a cache in Keras's layout, which may be missing, damaged or hostile."""

from __future__ import annotations

import functools
import gzip
import http.server
import os
import pickle
import pickletools
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.files.cifarfile import load_plain, read_batch
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.data.sources.cachefile import CachedFile, obtain
from qstore_ray.data.sources.keras_layout import SETS
from qstore_ray.errors import ConfigError, DataError, UnknownNameError
from tests.keras_cache import (
    N_TEST,
    N_TRAIN,
    WRITERS,
    cifar10_files,
    colour,
    python2,
    sha256,
    write_cifar10,
    write_cifar100,
    write_fashion,
    write_mnist,
)
from tests.real_digits import digits

every_set = pytest.mark.parametrize("name", WRITERS)


def load(folder: Path, name: str, **params: Any) -> Dataset:
    return DatasetLoader.load(
        DatasetConfig(
            name="set",
            source="keras",
            params={"dataset": name, **params},
            split={"train": 1.0},
            cache_dir=str(folder),
        )
    )


@every_set
def test_rows_and_labels_are_those_of_the_cache(name: str, tmp_path: Path):
    dataset = load(tmp_path, name, sha256=WRITERS[name](tmp_path))
    x, y = digits()
    assert dataset.sizes == {"train": N_TRAIN, "test": N_TEST}
    expected = x.reshape(len(x), -1)
    if name.startswith("cifar"):  # Keras gives (32, 32, 3), the files hold (3, 32, 32)
        expected = colour(0, 80).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).reshape(80, -1)
    for split, rows in {"train": slice(N_TRAIN), "test": slice(N_TRAIN, None)}.items():
        np.testing.assert_array_equal(dataset.materialize(split).x, expected[rows])
        np.testing.assert_array_equal(dataset.materialize(split).y, y[rows])
    assert dataset.schema.image_shape == ((32, 32, 3) if "cifar" in name else (28, 28))
    assert len(dataset.schema.class_names) == 10
    assert dataset.provenance["sha256"] == "verified"


def test_class_names_are_the_published_ones(tmp_path: Path):
    dataset = load(tmp_path, "fashion_mnist", sha256=write_fashion(tmp_path))
    assert dataset.schema.class_names[0] == "T-shirt/top"
    assert dataset.schema.class_names[9] == "Ankle boot"


def test_coarse_labels_have_their_own_names(tmp_path: Path):
    hashes = write_cifar100(tmp_path)
    dataset = load(tmp_path, "cifar100", sha256=hashes, label_mode="coarse")
    np.testing.assert_array_equal(dataset.materialize("train").y, digits()[1][:N_TRAIN] // 5)
    assert dataset.schema.class_names == ("low", "high")
    assert load(tmp_path, "cifar100", sha256=hashes).schema.class_names[3] == "fine 3"


@pytest.mark.parametrize("write", [python2, functools.partial(pickle.dumps, protocol=3)])
@pytest.mark.parametrize("outer", ["", "cifar-10-batches-py-target", "cifar-10-batches-py"])
def test_an_extracted_folder_is_read_and_said_to_be_unverified(tmp_path: Path, outer: str, write):
    home = tmp_path / outer / "cifar-10-batches-py"
    home.mkdir(parents=True)
    for name, content in cifar10_files(write).items():
        (home / name).write_bytes(content)
    (tmp_path / "archive").mkdir()
    archive = load(tmp_path / "archive", "cifar10", sha256=write_cifar10(tmp_path / "archive"))
    dataset = load(tmp_path, "cifar10")
    assert dataset.fingerprint == archive.fingerprint
    assert dataset.provenance["sha256"].startswith("not verified")
    hashes = {path.name: sha256(path) for path in home.iterdir()}
    assert load(tmp_path, "cifar10", sha256=hashes).provenance["sha256"] == "verified"
    with pytest.raises(DataError, match="SHA-256") as caught:
        load(tmp_path, "cifar10", sha256={"data_batch_2": "0" * 64})
    assert caught.value.field == str(home / "data_batch_2")


def test_a_folder_that_lacks_a_batch_counts_as_missing(tmp_path: Path):
    home = tmp_path / "cifar-10-batches-py"
    home.mkdir()
    for name, content in cifar10_files().items():
        (home / name).write_bytes(content)
    (home / "data_batch_4").unlink()
    with pytest.raises(DataError, match="not in Keras's cache"):
        load(tmp_path, "cifar10")


def test_the_cache_is_found_through_keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "datasets").mkdir()
    hashes = write_mnist(tmp_path / "datasets")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    config = DatasetConfig(name="m", source="keras", params={"dataset": "mnist", "sha256": hashes})
    assert DatasetLoader.load(config).sizes["test"] == N_TEST


# ------------------------------------------------------------------------------ what can be wrong


@every_set
def test_a_missing_file_says_the_two_lines_to_run(name: str, tmp_path: Path):
    with pytest.raises(DataError, match="not in Keras's cache") as caught:
        load(tmp_path, name)
    assert f"keras.datasets.{name}.load_data()" in caught.value.fix
    assert "params.download = true" in caught.value.fix
    assert caught.value.value == str(tmp_path)


@every_set
def test_a_file_without_the_published_hash_is_refused_and_stays(name: str, tmp_path: Path):
    WRITERS[name](tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(DataError, match="SHA-256") as caught:
        load(tmp_path, name)
    assert "params.download = true" in caught.value.fix
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


@every_set
def test_a_truncated_file_whose_hash_is_given_anew_is_still_an_error(name: str, tmp_path: Path):
    WRITERS[name](tmp_path)
    hashes = {}
    for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
        path.write_bytes(path.read_bytes()[:-200])
        published = path.name if name.endswith("mnist") else next(iter(SETS[name].published))
        hashes[published] = sha256(path)
    with pytest.raises(DataError, match="damaged"):
        load(tmp_path, name, sha256=hashes)


def test_a_file_that_changes_after_loading_is_noticed(tmp_path: Path):
    dataset = load(tmp_path, "mnist", sha256=write_mnist(tmp_path))
    with (tmp_path / "mnist.npz").open("ab") as file:
        file.write(b"!")
    with pytest.raises(DataError, match="SHA-256"):
        dataset.materialize("train")


def test_an_idx_file_that_would_unpack_to_too_much_is_refused_unread(tmp_path: Path):
    write_fashion(tmp_path)
    path = tmp_path / "fashion-mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(
        gzip.compress(bytes([0, 0, 8, 3]) + np.asarray([2**31, 28, 28], ">u4").tobytes())
    )
    hashes = {p.name: sha256(p) for p in path.parent.iterdir()}
    with pytest.raises(DataError, match="unpack to more than") as caught:
        load(tmp_path, "fashion_mnist", sha256=hashes)
    assert "params.max_bytes" in caught.value.fix


def test_an_archive_that_would_unpack_to_too_much_is_refused(tmp_path: Path):
    hashes = write_cifar10(tmp_path)
    with pytest.raises(DataError, match="unpack to more than"):
        load(tmp_path, "cifar10", sha256=hashes, max_bytes=100_000)


@pytest.mark.parametrize(
    ("params", "error", "field"),
    [
        ({"dataset": "imdb"}, ConfigError, "params.dataset"),
        ({"dataset": "mnist", "label_mode": "fine"}, ConfigError, "params.label_mode"),
        ({"dataset": "mnist", "sha256": {"mnist.npz": "abc"}}, ConfigError, "params.sha256"),
        ({"dataset": "mnist", "sha256": {"m": "0" * 64}}, UnknownNameError, "params.sha256"),
        ({"dataset": "mnist", "mirror": "http://x"}, ConfigError, "params.mirror"),
    ],
)
def test_wrong_parameters_are_named(params, error, field: str):
    with pytest.raises(error) as caught:
        DatasetConfig(name="set", source="keras", params=params)
    assert caught.value.field.startswith(field)


def test_a_hash_for_a_file_that_is_not_used_is_an_error(tmp_path: Path):
    write_cifar10(tmp_path)
    with pytest.raises(DataError, match="not there or not used"):
        load(tmp_path, "cifar10", sha256={"test_batch": "0" * 64})


# --------------------------------------------------------------------------------- hostile pickles


class Runs:
    def __init__(self, function, *arguments) -> None:
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_pickle_that_runs_a_command_is_refused(protocol: int, tmp_path: Path):
    there = tmp_path / "it-ran"
    data = pickle.dumps({b"data": Runs(os.system, f"touch {there}")}, protocol=protocol)
    with pytest.raises(DataError, match="refused"):
        load_plain(data, "data_batch_1")
    assert not there.exists()


def _many(*parts: bytes) -> bytes:
    return b"\x80\x02" + b"".join(parts) + b"."


HOSTILE = {
    "ndarray is not called": _many(b"cnumpy\nndarray\n", b"(J\xff\xff\xff\x7ftR"),
    "a huge shape takes no memory": _many(
        b"cnumpy.core.multiarray\n_reconstruct\n",
        b"(cnumpy\nndarray\n(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ftU\x01btR",
        b"(K\x01(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ftcnumpy\ndtype\n(U\x02u1K\x00K\x01tR",
        b"\x89U\x01xtb",
    ),
    "a huge memo": _many(b"]r\xff\xff\xff\x7f"),
    "bytes that are not there": _many(b"T\xff\xff\xff\x7fx"),
    "an object array": _many(b"cnumpy\ndtype\n(U\x02O8K\x00K\x01tR"),
    "a state for a function": _many(b"cnumpy\ndtype\n}U\x08__code__Nsb"),
    "builtins": _many(b"cbuiltins\neval\n(U\x031+1tR"),
    "a dotted name": _many(b"cnumpy\nf2py.os.system\n(U\x04truetR"),
    "an instance": _many(b"(ios\nsystem\n"),
    "a persistent id": _many(b"Pid\n"),
    "nothing": b"",
    "text": b"<html>not found</html>",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_pickles_are_refused_before_they_take_memory(case: str):
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            read_batch(HOSTILE[case], "labels", "data_batch_1")
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()
    assert caught.value.field == "data_batch_1"
    assert "Delete the file" in caught.value.fix


@given(position=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_a_flipped_byte_is_data_or_an_error_of_ours(position: int, byte: int):
    data = bytearray(_small_batch())
    data[position % len(data)] = byte
    try:
        batch = read_batch(bytes(data), "labels", "data_batch_1")
    except DataError:
        return
    assert batch.x.shape == (2, 32, 32, 3)
    assert batch.y.shape == (2,)


@functools.cache
def _small_batch() -> bytes:
    data = python2({b"labels": [3, 4], b"data": colour(0, 2)})
    assert "BINSTRING" in {opcode.name for opcode, _, _ in pickletools.genops(data)}
    return data


# ----------------------------------------------------------------------------------- the download


class Server:
    """A real HTTP server on loopback that sends the files of `content`; counts the requests."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.stop_after: int | None = None
        self.drip = False
        self.ended = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.lstrip("/")
                outer.asked.append(name)
                if name not in outer.content:
                    self.send_error(404)
                    return
                body = outer.content[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if outer.drip:
                    for byte in body:
                        if outer.ended.wait(0.1):
                            break
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                    return
                self.wfile.write(body[: outer.stop_after])

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        serve = {"poll_interval": 0.01}
        threading.Thread(target=self.server.serve_forever, kwargs=serve, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.ended.set()
    server.server.shutdown()
    server.server.server_close()


@every_set
def test_a_download_fills_the_cache_once(name: str, tmp_path: Path, server: Server):
    (tmp_path / "there").mkdir()
    hashes = WRITERS[name](tmp_path / "there")
    for path in [path for path in (tmp_path / "there").rglob("*") if path.is_file()]:
        archive = next(iter(SETS[name].published)) if name.startswith("cifar") else path.name
        server.content[archive] = path.read_bytes()
    params = {"sha256": hashes, "download": True, "mirror": server.url}
    dataset = load(tmp_path / "cache", name, **params)
    assert sorted(server.asked) == sorted(hashes)
    assert load(tmp_path / "cache", name, **params).fingerprint == dataset.fingerprint
    assert len(server.asked) == len(hashes)
    assert load(tmp_path / "cache", name, sha256=hashes).fingerprint == dataset.fingerprint
    assert not list((tmp_path / "cache").rglob(".*"))


def test_a_damaged_file_is_deleted_and_replaced(tmp_path: Path, server: Server):
    hashes = write_mnist(tmp_path)
    path = tmp_path / "mnist.npz"
    server.content["mnist.npz"] = path.read_bytes()
    path.write_bytes(path.read_bytes()[:1000])
    load(tmp_path, "mnist", sha256=hashes, download=True, mirror=server.url)
    assert path.read_bytes() == server.content["mnist.npz"]


def test_a_download_with_the_wrong_hash_is_tried_twice_and_leaves_nothing(
    tmp_path: Path, server: Server
):
    server.content["mnist.npz"] = b"something else"
    (tmp_path / "mnist.npz").write_bytes(b"damaged")
    with pytest.raises(DataError, match="wrong SHA-256, twice") as caught:
        load(tmp_path, "mnist", download=True, mirror=server.url)
    assert caught.value.field == "params.sha256"
    assert SETS["mnist"].published["mnist.npz"] in caught.value.message
    assert server.asked == ["mnist.npz"] * 2
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_breaks_off_or_has_no_such_file_is_an_error(tmp_path: Path, server: Server):
    with pytest.raises(DataError, match="404") as caught:
        load(tmp_path, "mnist", download=True, mirror=server.url)
    assert caught.value.field == "params.download"
    server.content["mnist.npz"], server.stop_after = bytes(5000), 100
    with pytest.raises(DataError, match="cannot download"):
        load(tmp_path, "mnist", download=True, mirror=server.url)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_drips_meets_the_deadline(tmp_path: Path, server: Server):
    """It would take minutes for all of it."""
    server.content["mnist.npz"], server.drip = bytes(5000), True
    with pytest.raises(DataError, match="took longer than") as caught:
        load(tmp_path, "mnist", download=True, mirror=server.url, timeout=0.5)
    assert caught.value.field == "params.timeout"


def test_a_download_larger_than_allowed_is_cut_off(tmp_path: Path, server: Server):
    server.content["f"] = bytes(300_000)
    file = CachedFile(str(tmp_path / "f"), "0" * 64)
    with pytest.raises(DataError, match="more than 100,000 bytes"):
        obtain(file, f"{server.url}/f", max_bytes=100_000, timeout=5.0)


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path, server: Server):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot write") as caught:
        load(tmp_path / "file", "mnist", download=True, mirror=server.url)
    assert caught.value.field == str(tmp_path / "file" / "mnist.npz")
