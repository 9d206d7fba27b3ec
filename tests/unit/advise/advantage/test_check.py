"""The whole check on small data: it finds what was planted, and nothing where there is nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits

from qstore_ray import JobConfig
from qstore_ray.advise.advantage.check import check_advantage, check_rows
from qstore_ray.advise.advantage.contenders import KERNEL_SETTINGS, prepare, row_states
from qstore_ray.advise.advantage.kernels import classical_kernels, planted_labels
from qstore_ray.cli.app import main
from qstore_ray.errors import DataError, QStoreError, UsageError
from qstore_ray.learn.kernel.kernel import fidelities

RNG = np.random.default_rng(0)
WIDE = RNG.random((300, 3)) * np.pi


def job(dataset=None, **model):
    return JobConfig.from_dict(
        {
            "name": "check",
            "dataset": {
                "name": "iris", "source": "sklearn", "params": {"dataset": "iris"},
                "split": {"train": 0.8, "test": 0.2}, "stratify": True, **(dataset or {}),
            },
            "model": {"n_qubits": 3, "ansatz": "real_amplitudes", **model},
            "trainer": {"epochs": 8, "learning_rate": 0.1},
        }
    )  # fmt: skip


ZZ = job(encoding="zz")


def planted():
    config = ZZ
    y = np.arange(len(WIDE)) % 2
    prepared = prepare(config, WIDE, y, WIDE[:9], y[:9])
    states = row_states(prepared.model, prepared.x, seed=0)
    return planted_labels(fidelities(states, states), classical_kernels(WIDE)[5])


def test_it_finds_labels_that_were_engineered_from_the_kernel():
    found = check_rows(ZZ, WIDE, planted(), repeats=1, tuned=False)
    assert found.verdict == "evidence, simulable"
    assert "fits into memory" in found.reason
    kernel, best = found.contenders["kernel"].mean, found.contenders["rbf_svm"].mean
    assert kernel > best + 0.15


def test_it_finds_nothing_on_shuffled_labels_and_is_repeatable():
    y = np.random.default_rng(1).permutation(np.arange(len(WIDE)) % 2)
    one, again = (check_rows(ZZ, WIDE[:120], y[:120], repeats=1, tuned=False) for _ in range(2))
    assert one.verdict == "no evidence"
    scores = [{name: c.scores for name, c in each.contenders.items()} for each in (one, again)]
    assert scores[0] == scores[1]


def test_it_says_no_on_digits():
    x, y = load_digits(return_X_y=True)
    steps = [{"name": "pca", "components": 4}, {"name": "minmax", "feature_range": [0, 3]}]
    config = job(dataset={"preprocessing": steps}, n_qubits=4)
    found = check_rows(config, x[:200], y[:200] % 2, repeats=1, tuned=False)
    assert found.verdict == "no evidence"
    assert found.contenders["rbf_svm"].mean > found.contenders["model"].mean


@pytest.mark.slow
def test_every_contender_has_the_same_folds_and_budget():
    y = planted()[:80]
    brief = ZZ.model_copy(update={"trainer": ZZ.trainer.model_copy(update={"epochs": 1})})
    found = check_rows(brief, WIDE[:80], y, folds=2, repeats=1)
    assert {len(c.scores) for c in found.contenders.values()} == {2}
    inner = len(KERNEL_SETTINGS) * 3 * 40  # every setting embeds all training rows in inner folds
    assert found.contenders["kernel"].circuits == 2 * (inner + 80)
    assert found.contenders["model"].circuits == found.contenders["model_twin"].circuits
    assert found.contenders["mlp"].circuits == 0


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (WIDE[:9], np.arange(9) % 3, "a class has 3 rows"),
        (WIDE[:30], np.r_[np.zeros(28, int), 1, 1], "a class has 2 rows"),
    ],
)
def test_too_few_rows_are_said_plainly(x, y, said):
    with pytest.raises(DataError, match=said):
        check_rows(ZZ, x, y)


def test_what_cannot_be_checked():
    wide = {"dataset": "digits"}
    with pytest.raises(UsageError, match="14 qubits at most"):
        check_advantage(job(dataset={"params": wide, "preprocessing": [
            {"name": "pca", "components": 15}]}, n_qubits=15))  # fmt: skip
    with pytest.raises(QStoreError, match="at most 2"):
        check_advantage(job(n_qubits=2))


def test_the_command_prints_its_verdict(tmp_path, capsys):
    path = tmp_path / "job.toml"
    path.write_text(job(n_qubits=4).to_toml())
    words = ["advise", "advantage", str(path), "--repeats", "1", "--folds", "3", "--untuned"]
    assert main(words) == 0
    text, notes = capsys.readouterr()
    assert "verdict" in text
    assert "no evidence" in text
    assert "fold 3 of 3" in notes
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "no evidence"
    assert found["contenders"]["kernel_twin"]["circuits"] > 0
