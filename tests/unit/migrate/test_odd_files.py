"""Configurations as people have them: duplicate keys, anchors, wrong types, secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qstore_ray.cli.app import main
from qstore_ray.errors import DataError
from qstore_ray.migrate.migrate import migrate_file, migrate_paths
from qstore_ray.migrate.parsing import parsed
from qstore_ray.migrate.reading import TRAINING_FIELDS

TRAINING = {"circuit_depth": 2, "learning_rate": 0.1}
ODD: list[Any] = [None, [], {}, "x", "", -1, True, float("nan"), {"a": 1}, [[1]], [None], 1e300]


def _file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"circuit_depth": 2, "epochs": 5, "epochs": 50}'),
        ("a.json", '{"TrainingConfig": {"circuit_depth": 2, "circuit_depth": 2}}'),
        ("a.yaml", "circuit_depth: 2\nepochs: 5\nepochs: 50\n"),
        ("a.yml", "training: {circuit_depth: 2, epochs: 5, epochs: 5}\n"),
    ],
)
def test_a_key_that_is_there_twice_is_refused(tmp_path, name, text):
    with pytest.raises(DataError, match="is there twice"):
        migrate_file(_file(tmp_path, name, text))


@pytest.mark.parametrize(
    ("suffix", "text", "said"),
    [
        (".json", "", "Expecting value"),
        (".json", '{"epochs": 5 // more\n}', "Expecting"),
        (".json", "[" * 100_000, "recursion"),
        (".yaml", "a: 1\n---\nb: 2\n", "another document"),
        (".yaml", "a: !!python/object/apply:os.getcwd []\n", "tag"),
        (".yaml", "a: &a [*a]\n", "levels deep"),
        (".yaml", "a: !!binary aGVsbG8=\n", "bytes"),
        (".toml", "a = 1\na = 2\n", "overwrite"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(tmp_path, suffix, text, said):
    with pytest.raises(DataError, match=said):
        migrate_file(_file(tmp_path, f"a{suffix}", text))


def test_anchors_defaults_and_numbers_of_yaml_are_read():
    text = "base: &b {x: 1e-3, y: 2}\nouter: {inner: &i {<<: *b, y: 3}}\nlast: {<<: *i, x: 5E+2}\n"
    found = parsed(".yaml", text)
    assert found["last"] == {"x": 500.0, "y": 3}
    assert found["outer"]["inner"] == {"x": 0.001, "y": 3}
    assert parsed(".yaml", "on: 1\n2: 3\n") == {"true": 1, "2": 3}
    assert parsed(".yaml", "") is None


@pytest.mark.parametrize("key", ["training", "dataset", "source", "schedule"])
def test_no_value_of_a_wrong_type_ends_with_a_trace(tmp_path, key):
    """Each is migrated, or listed as what to write."""
    fields = {
        "training": sorted(TRAINING_FIELDS),
        "dataset": [
            "name",
            "source",
            "source_params",
            "split_config",
            "preprocessing",
            "cache_dir",
        ],
        "source": ["format", "train_file", "feature_columns", "header", "test_split", "sep"],
        "schedule": ["step_size", "gamma", "T_max", "eta_min", "max_lr", "warmup_steps", "mode"],
    }[key]
    path = tmp_path / "old.json"
    outcomes = set()
    for name in fields:
        for value in ODD:
            path.write_text(json.dumps(_with(key, name, value)))
            outcomes.add(_outcome(path))
    assert outcomes == {"job", "incomplete"}


def _outcome(path: Path) -> str:
    (job,) = migrate_file(path).jobs
    return "incomplete" if job.missing else "job"


def _with(key: str, name: str, value: Any) -> dict[str, Any]:
    """A whole configuration with this value of one field."""
    params = {"format": "csv", "train_file": "a.csv"}
    dataset = {"name": "a", "source": "local_files", "source_params": params}
    training = dict(TRAINING)
    match key:
        case "training":
            training[name] = value
        case "dataset":
            dataset[name] = value
        case "source":
            params[name] = value
        case _:
            given = {"T_max": 5, "step_size": 5, "max_lr": 0.5, "base_lr": 0.1, "warmup_steps": 5}
            kind = {"max_lr": "cyclic", "warmup_steps": "warmup", "T_max": "cosine"}.get(
                name, "step"
            )
            training |= {"lr_scheduler": kind, "lr_scheduler_params": {**given, name: value}}
    return {"TrainingConfig": training, "DatasetConfig": dataset}


def test_a_value_under_the_name_of_a_secret_is_not_shown(tmp_path, capsys):
    old = {**TRAINING, "wandb_api_key": "k7Qp2ZtR9v", "backend_configs": {"password": "k7Qp2ZtR9v"}}
    path = _file(tmp_path, "old.json", json.dumps(old))
    for words in ([], ["--json"]):
        main(["migrate", str(path), *words])
        assert "k7Qp2ZtR9v" not in "".join(capsys.readouterr())


def test_a_key_cannot_end_the_comment_that_lists_it(tmp_path, capsys):
    old = {"TrainingConfig": {**TRAINING, "x\n[trainer]\nepochs = 1\x1b[2J": 1}}
    main(["migrate", str(_file(tmp_path, "old.json", json.dumps(old)))])
    said = capsys.readouterr().out
    assert "\nepochs = 1\\x1b" not in said
    assert "\x1b" not in said


def test_an_old_file_of_a_folder_that_cannot_be_read_is_named(tmp_path, capsys):
    _file(tmp_path, "good.json", json.dumps(TRAINING))
    _file(tmp_path, "twice.yaml", "circuit_depth: 1\ncircuit_depth: 2\n")
    _file(tmp_path, "other.json", "{ // settings of an editor\n}")
    found = migrate_paths(tmp_path)
    assert [(each.path.name, bool(each.problem)) for each in found] == [
        ("good.json", False), ("twice.yaml", True),
    ]  # fmt: skip
    assert main(["migrate", str(tmp_path)]) == 2
    assert "is there twice" in capsys.readouterr().err
