"""The data examples run as they stand, on files, a service and a stand-in of the hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.dataset_service import running
from tests.hub_stand_in import HubStandIn, parquet, png
from tests.keras_cache import WRITERS
from tests.real_digits import digits

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "data"
FASHION = ROOT.parent / "shared" / "data" / "fashion_mnist_600.npz"


def _run(script: str, *words: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script), *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "0", **environment},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_fashion_from_kerass_cache(tmp_path: Path) -> None:
    cache = tmp_path / "datasets"
    cache.mkdir()
    hashes = WRITERS["fashion_mnist"](cache)
    out = _run("fashion_keras.py", json.dumps(hashes), cwd=tmp_path, KERAS_HOME=str(tmp_path))
    assert "fashion: classification, 80 rows" in out
    assert "test 20" in out


def test_fashion_from_the_hub(tmp_path: Path) -> None:
    x, y = digits()
    images = [png(image) for image in x]
    hub = HubStandIn()
    train = parquet({"image": images[:60], "label": y[:60]})
    test = parquet({"image": images[60:], "label": y[60:]})
    commit = hub.add(
        "zalando-datasets/fashion_mnist",
        {
            "data/train-00000-of-00001.parquet": train,
            "data/test-00000-of-00001.parquet": test,
        },
    )
    try:
        out = _run("fashion_hub.py", cwd=tmp_path, HF_ENDPOINT=hub.url)
    finally:
        hub.close()
    assert "fashion: classification, 80 rows" in out
    assert commit in out


def test_fashion_from_a_service(tmp_path: Path) -> None:
    x, y = digits()
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    with running(tmp_path / "datasets") as url:
        out = _run("fashion_service.py", url, "rows.npz", cwd=tmp_path)
    assert "fashion: classification, 80 rows" in out


@pytest.mark.skipif(not FASHION.is_file(), reason="the Fashion-MNIST file is not on this machine")
def test_fashion_from_a_local_file(tmp_path: Path) -> None:
    out = _run("fashion_local.py", str(FASHION), cwd=tmp_path)
    assert "fashion: classification, 600 rows" in out
    assert "784 (28 x 28)" in out


def test_a_custom_source(tmp_path: Path) -> None:
    assert "moons: classification, 400 rows" in _run("custom_source.py", cwd=tmp_path)
