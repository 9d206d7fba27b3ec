"""What `qstore predict` writes: into which files, and several targets a row."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qstore_ray import DatasetLoader, ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.cli.app import main

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(RNG.random((40, 2)), columns=["a", "b"])
PLAIN = TrackConfig(mlflow=False, figures=False)


def _run(folder: Path, y: np.ndarray, task: str) -> str:
    dataset = DatasetLoader.from_arrays(TABLE, y, task=task)
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1),
        TrainerConfig(epochs=1, batch_size=16),
        name=task,
        storage=str(folder),
        track=PLAIN,
    )
    return str(trainer.fit(dataset).run_dir)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("runs")
    several = TABLE.to_numpy()
    return {
        "classification": _run(folder, np.arange(40) % 2, "classification"),
        "multilabel": _run(folder, (several > 0.5).astype(int), "multilabel"),
        "regression": _run(folder, several * 100.0, "regression"),
    }


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_several_targets_are_columns_of_csv(runs, task: str, tmp_path: Path, capsys):
    TABLE.to_csv(tmp_path / "p.csv", index=False)
    path = str(tmp_path / "p.csv")
    assert main(["predict", runs[task], path, "--json"]) == 0
    lines = [json.loads(line)["prediction"] for line in capsys.readouterr().out.splitlines()]
    for name in ("o.csv", "o.parquet"):
        assert main(["predict", runs[task], path, "--output", str(tmp_path / name)]) == 0
    written = pd.read_csv(tmp_path / "o.csv")
    assert list(written) == ["prediction_0", "prediction_1"]
    np.testing.assert_array_equal(written.to_numpy(), lines)
    held = pd.read_parquet(tmp_path / "o.parquet")["prediction"].tolist()
    np.testing.assert_array_equal(held, lines)


@pytest.mark.parametrize("way", ["p.csv", "./p.csv", "link.csv"])
def test_the_input_is_not_replaced(runs, way: str, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    TABLE.to_csv("p.csv", index=False)
    Path("link.csv").symlink_to("p.csv")
    before = Path("p.csv").read_bytes()
    for rows in ("p.csv", "p*.csv"):
        assert main(["predict", runs["classification"], rows, "--output", way]) == 2
        assert "would replace the input" in capsys.readouterr().err
    assert Path("p.csv").read_bytes() == before
    assert main(["predict", runs["classification"], "p.csv", "--output", "new.csv"]) == 0


@pytest.mark.parametrize("name", ["o.xlsx", "o.tsv", "o.csv.gz", "o.npy"])
def test_an_ending_of_another_format_is_refused(runs, name: str, tmp_path: Path, capsys):
    TABLE.to_csv(tmp_path / "p.csv", index=False)
    words = ["predict", runs["classification"], str(tmp_path / "p.csv")]
    assert main([*words, "--output", str(tmp_path / name)]) == 2
    assert ".csv, .jsonl or .parquet" in capsys.readouterr().err
    assert not (tmp_path / name).exists()
