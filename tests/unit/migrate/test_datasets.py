"""DatasetConfig of every source becomes a `[dataset]` that can be read, and no key is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qstore_ray.job import JobConfig
from qstore_ray.migrate.migrate import MigratedJob, migrate_file

SECRET = "k7Qp2ZtR9vLx4WmN"


def migrated(tmp_path: Path, source: str, params: dict, **more) -> MigratedJob:
    file = tmp_path / "old.json"
    file.write_text(json.dumps({"name": "rows", "source": source, "source_params": params} | more))
    (job,) = migrate_file(file).jobs
    return job


CASES = [
    ("keras", {"dataset_module": "tensorflow.keras.datasets.cifar10"},
     {"source": "keras", "params": {"dataset": "cifar10"}}),
    ("DatasetSource.KERAS", {"dataset_module": "keras.datasets.mnist"},
     {"source": "keras", "params": {"dataset": "mnist"}}),
    ("huggingface", {"dataset_name": "zalando/fashion_mnist", "config_name": "x", "revision": "abc",
                     "feature_column": "image", "label_column": "label",
                     "split_mapping": {"train": "train", "val": "validation"}},
     {"source": "huggingface", "revision": "abc", "columns": {"label": "label"},
      "params": {"path": "zalando/fashion_mnist", "config": "x", "feature_column": "image",
                 "split_mapping": {"train": "train", "validation": "val"}}}),
    ("backend_api", {"dataset_id": "0123456789abcdef", "base_url": "https://api.example.org",
                     "api_key": SECRET},
     {"source": "backend_api",
      "params": {"dataset_id": "0123456789abcdef", "base_url": "https://api.example.org"}}),
    ("local_files", {"format": "numpy", "data_file": "rows.npz"},
     {"source": "local", "params": {"path": "rows.npz"}}),
    ("local_files", {"format": "numpy", "train_data": "x.npy", "train_labels": "y.npy"},
     {"source": "local", "params": {"path": "x.npy", "y_path": "y.npy"}}),
    ("local_files", {"format": "csv", "train_file": "a.csv", "test_file": "b.csv", "sep": ";",
                     "header": 0, "label_column": "y", "feature_columns": ["a", "b"]},
     {"source": "local", "columns": {"label": "y", "features": ("a", "b")},
      "params": {"train": "a.csv", "test": "b.csv", "delimiter": ";", "header": True}}),
    ("local_files", {"format": "csv", "file_path": "a.csv", "test_split": 0.2},
     {"source": "local", "params": {"path": "a.csv"}}),
    ("local_files", {"format": "parquet", "train_file": "a.parquet", "label_column": "y"},
     {"source": "local", "columns": {"label": "y"}, "params": {"train": "a.parquet"}}),
    ("local_files", {"format": "images", "image_dir": "pictures", "labels_file": "l.csv",
                     "image_size": [28, 20], "color_mode": "grayscale"},
     {"source": "local",
      "params": {"path": "pictures", "y_path": "l.csv", "size": [28, 20], "mode": "L"}}),
    ("local_files", {"format": "hdf5", "hdf5_file": "a.h5", "train_data_key": "images",
                     "train_labels_key": "classes"},
     {"source": "local", "params": {"path": "a.h5", "x": "images", "y": "classes"}}),
]  # fmt: skip


@pytest.mark.parametrize(("source", "params", "wanted"), CASES)
def test_a_source_becomes_one_that_can_be_read(source, params, wanted, tmp_path):
    job = migrated(tmp_path, source, params)
    assert job.missing == ""
    (tmp_path / "new.toml").write_text(job.toml)
    dataset = JobConfig.load(tmp_path / "new.toml").dataset
    assert dataset.source == wanted["source"]
    assert wanted["params"].items() <= dataset.params.items()
    assert dataset.revision == wanted.get("revision")
    for field, value in wanted.get("columns", {}).items():
        assert getattr(dataset.columns, field) == value
    listed = {key.old.rpartition(".")[2] for key in job.keys}
    assert set(params) <= listed
    assert SECRET not in job.toml + repr(job.keys)


@pytest.mark.parametrize(
    ("source", "params", "key", "state", "words"),
    [
        ("keras", {"dataset_module": "keras.datasets.imdb"}, "dataset_module", "dropped", "npz"),
        ("huggingface", {"dataset_name": "a/b", "trust_remote_code": True}, "trust_remote_code",
         "dropped", "never run"),
        ("huggingface", {"dataset_name": "a/b", "split_mapping": {"train": "train[:80%]"}},
         "split_mapping", "dropped", "slices"),
        ("huggingface", {"dataset_name": "a/b"}, "label_column", "changed", "guessed"),
        ("backend_api", {"dataset_id": "mine"}, "dataset_id", "unknown", "hexadecimal"),
        ("backend_api", {"dataset_id": "mine", "api_url": "https://a.example.org"}, "api_url",
         "changed", "localhost"),
        ("local_files", {"format": "numpy", "train_data": "x", "train_labels": "y",
                         "test_data": "x"}, "train_data", "dropped", "savez"),
        ("local_files", {"format": "tfrecord"}, "format", "dropped", "numpy, csv"),
        ("local_files", {"format": "csv", "train_file": "a.csv", "colour": 1}, "colour", "dropped",
         "unknown"),
        ("label_studio", {}, "source", "dropped", "unknown"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_over_is_listed(source, params, key, state, words, tmp_path):
    job = migrated(tmp_path, source, params) if source != "label_studio" else None
    if job is None:  # a file with such a source alone is none of Q-Store's
        file = tmp_path / "old.json"
        file.write_text(
            json.dumps({"training": {"n_qubits": 2}, "dataset": {"source": source, "name": "a"}})
        )
        (job,) = migrate_file(file).jobs
    (found,) = [each for each in job.keys if each.old.rpartition(".")[2] == key]
    assert (found.state, words in found.text) == (state, True), found


def test_a_split_without_a_part_has_none(tmp_path):
    job = migrated(
        tmp_path, "keras", {"dataset_module": "keras.datasets.mnist"},
        split_config={"train": 0.8, "val": 0.2, "test": 0.0}, preprocessing={"normalize": True},
        cache_dir="cache",
    )  # fmt: skip
    (tmp_path / "new.toml").write_text(job.toml)
    dataset = JobConfig.load(tmp_path / "new.toml").dataset
    assert (dataset.split.train, dataset.split.val, dataset.split.test) == (0.8, 0.2, None)
    assert dataset.preprocessing == ()
    assert dataset.cache_dir == "cache"
    states = {key.old: key.state for key in job.keys}
    assert states["DatasetConfig.preprocessing"] == "dropped"
