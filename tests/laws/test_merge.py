"""Val joined to train, for every source and every rule of the split: test stays, no row is lost."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray.cli.app import main
from qstore_ray.data.batches.streaming import StreamingBatches
from qstore_ray.data.config import DatasetConfig, SplitConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.data.quality.report import validate
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import ConfigError, DataError, UsageError
from tests.laws.test_sources import CHAIN, MEMBERS, Member, folder

__all__ = ["folder"]  # the files of the sources

THREE = {"train": 0.6, "val": 0.2, "test": 0.2}
FOLDS = {"folds": 3, "fold": 1, "test": 0.2}
SPLITS: list[dict[str, Any]] = [
    *({**THREE, "method": method} for method in ("seed", "hash", "time", "group")),
    *({**FOLDS, "method": method} for method in ("seed", "hash", "group")),
    {"train": 0.7, "val": 0.3},
    {"folds": 2, "fold": 0},
]
every_split = pytest.mark.parametrize("split", SPLITS, ids=str)
COPIES = {"copies": 2, "steps": [{"name": "gaussian_noise", "std": 0.1}, {"name": "angle_jitter"}]}


def _raw(dataset: Dataset, split: str) -> dict[int, tuple[tuple[float, ...], Any]]:
    """Row number to raw features and label, of the rows of the source."""
    plan = dataset.plan(split)
    x, y = plan.read_raw()
    features = (tuple(row) for row in x.tolist())
    return dict(zip(plan.source_rows.tolist(), zip(features, y.tolist(), strict=True), strict=True))


def _check(apart: Dataset, joined: Dataset) -> None:
    """The laws: train ∪ val is train, test has the same rows, nothing is in two splits."""
    assert set(joined.plans) == set(apart.plans) - {"val"}
    assert joined.config.split.merge_val
    assert joined.fingerprint != apart.fingerprint
    train = _raw(joined, "train")
    assert train == _raw(apart, "train") | _raw(apart, "val")
    assert (np.diff(joined.plan("train").source_rows) > 0).all()
    assert joined.materialize("train").x.shape == (joined.sizes["train"], joined.schema.n_features)
    if "test" in apart.plans:
        assert _raw(joined, "test") == _raw(apart, "test")
        assert not set(train) & set(_raw(joined, "test"))
    if apart.class_counts:
        several = apart.schema.n_targets > 1
        y = joined.materialize("train").y
        counts = y.sum(axis=0) if several else np.bincount(y, minlength=len(joined.classes))
        assert tuple(counts) == joined.class_counts["train"]
        assert "val" not in joined.class_counts


def _same(a: Dataset, b: Dataset) -> None:
    assert a.config.split == b.config.split
    assert a.fingerprint == b.fingerprint
    assert a.sizes == b.sizes
    assert a.class_counts == b.class_counts
    assert a.schema == b.schema
    for split in a.plans:
        for one, other in zip(a.materialize(split), b.materialize(split), strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(a.rows(split), b.rows(split))


def _table(path: Path) -> Path:
    """96 rows of 3 features in 16 groups, as CSV."""
    rng = np.random.default_rng(4)
    x, group = rng.normal(size=(96, 3)), rng.permutation(96) // 6
    rows = zip(x.tolist(), group.tolist(), strict=True)
    lines = [f"{a},{b},{c},g{g},{k % 3}" for k, ((a, b, c), g) in enumerate(rows)]
    path.write_text("\n".join(["a,b,c,patient,label", *lines]) + "\n")
    return path


def _load(path: Path, split: dict[str, Any], **fields: Any) -> Dataset:
    grouped = split.get("method") == "group"
    config = DatasetConfig(
        name="visits",
        source="local",
        params={"path": str(path), "rows_per_task": fields.pop("rows_per_task", 7)},
        columns={"group": "patient"} if grouped else {"features": ["a", "b", "c"]},
        split=split,
        **fields,
    )
    return DatasetLoader.load(config)


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_every_source_gives_train_and_val_as_train(member: Member, folder: Path):
    split = {part: THREE[part] for part in THREE if part not in member.official}
    total = sum(split.values())
    split = {part: share / total for part, share in split.items()}
    apart = member.load(folder, 7, split=split)
    joined = member.load(folder, 7, split={**split, "merge_val": True})
    _check(apart, joined)
    _same(joined, apart.with_val_in_train())
    _same(joined, member.load(folder, 65_536, split={**split, "merge_val": True}))


@every_split
@pytest.mark.parametrize("augmented", [False, True])
def test_every_rule_of_the_split_keeps_test_and_fits_anew(split, augmented, tmp_path: Path):
    fields = {"augmentation": COPIES} if augmented else {}
    path = _table(tmp_path / "visits.csv")
    apart = _load(path, split, preprocessing=CHAIN, **fields)
    joined = _load(path, {**split, "merge_val": True}, preprocessing=CHAIN, **fields)
    _check(apart, joined)
    _same(joined, apart.with_val_in_train())
    _same(joined, pickle.loads(pickle.dumps(apart)).with_val_in_train())
    # What was fitted is what a fit on the raw rows of train and val gives.
    raw = joined.plan("train").read_raw().x
    fitted = Preparation.fit(joined.config.preprocessing, raw)
    for name, array in fitted.to_arrays().items():
        np.testing.assert_array_equal(joined.preparation.to_arrays()[name], array)
    np.testing.assert_array_equal(joined.plan("train").unaugmented().read().x, fitted.apply(raw))
    if "test" in apart.plans:
        assert (joined.materialize("test").x != apart.materialize("test").x).any()
    if augmented:
        assert joined.sizes["train"] == 3 * (len(raw))


@pytest.mark.parametrize("method", ["seed", "hash", "group"])
def test_every_fold_gives_the_same_rows(method: str, tmp_path: Path):
    path = _table(tmp_path / "visits.csv")
    split = {"folds": 4, "test": 0.25, "method": method, "merge_val": True}
    first, *others = (_load(path, {**split, "fold": fold}) for fold in range(4))
    for other in others:
        for part in ("train", "test"):
            np.testing.assert_array_equal(first.rows(part), other.rows(part))


@settings(max_examples=30, deadline=None)
@given(
    n_rows=st.integers(12, 60), per_task=st.integers(1, 20), seed=st.integers(0, 2**32),
    shares=st.tuples(*[st.integers(1, 9)] * 3), method=st.sampled_from(["seed", "hash", "time"]),
    official=st.booleans(),
)  # fmt: skip
def test_no_row_is_lost_or_moved_to_test(n_rows, per_task, seed, shares, method, official):
    x = np.arange(n_rows * 2.0).reshape(n_rows, 2)
    y = np.linspace(0.0, 1.0, n_rows)
    fractions = [share / sum(shares) for share in shares]
    given_val = {"val": (x[:5] + 1000.0, y[:5])} if official else {}
    split = dict(zip(("train", "val", "test"), fractions, strict=True), method=method)
    fields = {"task": "regression", "seed": seed, "rows_per_task": per_task, **given_val}
    try:
        apart = DatasetLoader.from_arrays(x, y, split=split, **fields)
    except DataError:  # by hash, a part may be empty
        return
    joined = DatasetLoader.from_arrays(x, y, split={**split, "merge_val": True}, **fields)
    _check(apart, joined)
    _same(joined, apart.with_val_in_train())


def test_several_labels_are_counted(tmp_path: Path):
    rng = np.random.default_rng(3)
    y = (rng.random((50, 4)) < 0.4).astype(int)
    apart = DatasetLoader.from_arrays(rng.random((50, 3)), y, task="multilabel", split=THREE)
    _check(apart, apart.with_val_in_train())


# ----------------------------------------------------------------------- on disk, in words, refused


def test_it_is_saved_and_loaded_like_any_other(tmp_path: Path):
    split = {**THREE, "merge_val": True}
    joined = _load(_table(tmp_path / "visits.csv"), split, preprocessing=CHAIN, augmentation=COPIES)
    loaded = Dataset.load(joined.save(tmp_path / "saved"))
    _same(joined, loaded)
    assert "val is part of train" in loaded.describe()
    assert "val is part of train" in joined.describe()


def test_a_saved_dataset_is_joined_where_its_files_allow_it(tmp_path: Path):
    path = _table(tmp_path / "visits.csv")
    by_time = _load(path, {**THREE, "method": "time"}, preprocessing=CHAIN)
    loaded = Dataset.load(by_time.save(tmp_path / "time"))
    _same(loaded.with_val_in_train(), by_time.with_val_in_train())
    mixed = Dataset.load(_load(path, THREE).save(tmp_path / "seed"))
    with pytest.raises(UsageError, match="files of their own") as caught:
        mixed.with_val_in_train()
    assert caught.value.field == "split.merge_val"
    assert "that the dataset was saved from" in caught.value.fix


def test_what_reads_datasets_reads_this_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "job.toml"
    path.write_text(
        'name = "wine"\n[dataset]\nname = "wine"\nparams = { dataset = "wine" }\n'
        "split = { train = 0.7, val = 0.1, test = 0.2, merge_val = true }\n"
    )
    folder = str(tmp_path / "prepared")
    assert main(["data", "info", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "splits       train 142, test 36" in shown
    assert main(["data", "prepare", str(path), folder]) == 0
    assert main(["data", "profile", str(path), str(tmp_path / "profile"), "--json"]) == 0
    capsys.readouterr()
    assert main(["data", "info", folder]) == 0
    assert capsys.readouterr().out == shown
    assert main(["data", "verify", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == {"train": 142, "test": 36}
    joined = Dataset.load(folder)
    assert validate(joined).ok
    batches = StreamingBatches(source=joined.plan("train"), batch_size=7, buffer_rows=20)
    rows = np.concatenate([batch.row for batch in batches.iterate()])
    np.testing.assert_array_equal(np.sort(rows), joined.rows("train"))


@pytest.mark.parametrize("split", [{"train": 0.8, "test": 0.2}, {"train": 1.0}])
def test_without_val_there_is_nothing_to_join(split):
    x, y = np.random.default_rng(0).random((20, 2)), np.arange(20) % 2
    with pytest.raises(ConfigError, match="no validation rows to join") as caught:
        DatasetLoader.from_arrays(x, y, split={**split, "merge_val": True})
    assert caught.value.field == "split.merge_val"
    assert "Leave merge_val out" in caught.value.fix
    joined = DatasetLoader.from_arrays(x, y, split=THREE).with_val_in_train()
    with pytest.raises(ConfigError, match="no validation rows to join"):
        joined.with_val_in_train()


def test_the_option_survives_toml_and_json():
    config = DatasetConfig(name="iris", params={"dataset": "iris"}, split={**FOLDS, "merge_val": 1})
    assert DatasetConfig.from_dict(config.to_dict()) == config
    assert "merge_val = true" in config.to_toml()
    assert not SplitConfig(train=1.0).merge_val
