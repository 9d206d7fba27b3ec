"""`qstore data`: on real data and on what is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qstore_ray import DatasetLoader
from qstore_ray.cli.app import main

JOB = """
name = "flowers"
[dataset]
name = "iris"
source = "sklearn"
params = { dataset = "iris" }
"""


@pytest.fixture
def job(tmp_path: Path) -> str:
    path = tmp_path / "flowers.toml"
    path.write_text(JOB)
    return str(path)


def _json(capsys) -> dict:
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_list_names_every_source_and_its_parameters(capsys) -> None:
    assert main(["data", "list"]) == 0
    shown = capsys.readouterr().out
    for name in DatasetLoader.available():
        assert name in shown
    assert main(["data", "list", "--json"]) == 0
    assert "dataset" in _json(capsys)["sklearn"]["properties"]


def test_info_of_a_job_and_of_what_it_prepared_are_the_same(job, tmp_path, capsys) -> None:
    assert main(["data", "info", job]) == 0
    shown = capsys.readouterr().out
    assert "150 rows" in shown
    folder = str(tmp_path / "prepared")
    assert main(["data", "prepare", job, folder]) == 0
    capsys.readouterr()
    assert main(["data", "info", folder]) == 0
    assert capsys.readouterr().out == shown
    assert main(["data", "verify", folder, "--json"]) == 0
    verified = _json(capsys)
    assert verified["rows"] == {"train": 105, "val": 15, "test": 30}
    assert main(["data", "info", job, "--json"]) == 0
    assert _json(capsys)["fingerprint"] == verified["fingerprint"]


def test_a_change_of_the_seed_is_another_dataset(job, capsys) -> None:
    prints = []
    for seed in (0, 1):
        assert main(["data", "info", job, "--set", f"dataset.seed={seed}", "--json"]) == 0
        prints.append(_json(capsys)["fingerprint"])
    assert prints[0] != prints[1]


def test_verify_finds_a_damaged_file(job, tmp_path, capsys) -> None:
    folder = tmp_path / "prepared"
    assert main(["data", "prepare", job, str(folder)]) == 0
    data = bytearray((folder / "val.parquet").read_bytes())
    data[100] ^= 255
    (folder / "val.parquet").write_bytes(data)
    capsys.readouterr()
    assert main(["data", "verify", str(folder)]) == 3
    assert "val.parquet" in capsys.readouterr().err


def test_a_folder_without_a_dataset_and_changes_to_a_prepared_one(job, tmp_path, capsys) -> None:
    assert main(["data", "info", str(tmp_path)]) == 3
    assert "no saved dataset" in capsys.readouterr().err
    folder = str(tmp_path / "prepared")
    assert main(["data", "prepare", job, folder]) == 0
    assert main(["data", "info", folder, "--set", "dataset.seed=1"]) == 2
    assert main(["data", "prepare", job, folder]) == 3
    assert "not empty" in capsys.readouterr().err
