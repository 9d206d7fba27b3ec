"""`qstore data`: on real data and on what is none."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

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


def test_a_profile_is_a_page_and_its_findings_are_printed(job, tmp_path, capsys) -> None:
    folder = tmp_path / "profile"
    assert main(["data", "profile", job, str(folder), "--json"]) == 0
    found = _json(capsys)
    assert Path(found["page"]) == folder / "profile.html"
    # Row 142 of the iris data equals row 101.
    assert any(101 in one["rows"] or 142 in one["rows"] for one in found["findings"])
    assert main(["data", "profile", job, str(folder)]) == 0
    assert str(folder / "profile.html") in capsys.readouterr().out


def test_a_service_is_not_opened_with_a_token_that_can_be_guessed(
    tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("QSTORE_DATA_TOKEN", "abc")
    assert main(["data", "serve", str(tmp_path)]) == 2
    assert "guessed" in capsys.readouterr().err
    monkeypatch.delenv("QSTORE_DATA_TOKEN")
    assert main(["data", "serve", str(tmp_path), "--host", "0.0.0.0"]) == 2
    told = capsys.readouterr().err
    assert "QSTORE_DATA_TOKEN" in told
    assert "are served" not in told


def test_a_port_that_is_taken_is_our_error_before_anything_is_said(tmp_path, capsys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["data", "serve", str(tmp_path / "datasets"), "--port", port]) == 4
    told = capsys.readouterr().err
    assert "cannot listen" in told
    assert port in told
    assert "are served" not in told


def test_the_help_of_the_commands_is_not_cut_off(capsys) -> None:
    assert main(["data", "--help"]) == 0
    shown = capsys.readouterr().out
    assert not [line for line in shown.splitlines()[1:] if line.endswith("...")]
    for command in ("list", "info", "prepare", "verify", "profile", "serve"):
        assert f"qstore data {command}" in shown


def test_the_service_runs_until_ctrl_c_and_ends_well(tmp_path, repository) -> None:
    words = [sys.executable, "-m", "qstore_ray", "data", "serve", "datasets", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    server = subprocess.Popen(
        words, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    assert server.stderr is not None
    url = re.search(r"http://127\.0\.0\.1:\d+", server.stderr.readline())
    assert url is not None
    # Listening already: this waits until the service is up, and with it its signal handlers.
    assert requests.get(f"{url[0]}/health", timeout=60).ok
    server.send_signal(signal.SIGINT)
    assert server.wait(20) == 0, server.stderr.read()
