"""Secrets of the environment are in no file of a run, and in nothing that is printed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from qstore_ray.cli.app import main
from tests.unit.cli.test_train import JOB

VARIABLES = (
    "RAY_AUTH_TOKEN", "QISKIT_IBM_TOKEN", "QSTORE_DATA_TOKEN", "HF_TOKEN", "WANDB_API_KEY",
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_STORAGE_KEY", "OTEL_EXPORTER_OTLP_HEADERS",
    "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN",
)  # fmt: skip
SECRETS = {name: f"planted{number:02d}5ecret7d1f3c9a5b" for number, name in enumerate(VARIABLES)}


def _holders(folder: Path) -> list[tuple[Path, str]]:
    """Files with a secret inside; an archive is opened."""
    found = []
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        contents = [path.read_bytes()]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                contents += [archive.read(name) for name in archive.namelist()]
        found += [
            (path, name)
            for name, secret in SECRETS.items()
            if any(secret.encode() in content for content in contents)
        ]
    return found


@pytest.mark.parametrize("learning_rate", ["0.1", "1e300"], ids=["succeeds", "fails"])
def test_no_secret_is_in_a_file_of_a_run_or_printed(learning_rate, tmp_path, monkeypatch, capfd):
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    job = tmp_path / "iris.toml"
    text = JOB.format(storage=tmp_path / "runs")
    job.write_text(f"{text}tensorboard = true\n", encoding="utf-8")
    code = main(["train", str(job), "--set", f"trainer.learning_rate={learning_rate}"])
    assert code == (0 if learning_rate == "0.1" else 1)
    if code == 0:
        run = str(tmp_path / "runs" / "iris")
        assert main(["export", run, "--output", str(tmp_path / "model.qsm")]) == 0
        assert main(["runs", "report", run]) == 0
        assert main(["doctor", str(job), "--json"]) in {0, 4}
    said = "".join(capfd.readouterr())
    assert [name for name, secret in SECRETS.items() if secret in said] == []
    assert len(list((tmp_path / "runs").rglob("*"))) > 5
    assert _holders(tmp_path) == []


def test_a_planted_secret_would_be_found(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.qsm", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("member", SECRETS["HF_TOKEN"] * 10)
    assert _holders(tmp_path) == [(tmp_path / "x.qsm", "HF_TOKEN")]
