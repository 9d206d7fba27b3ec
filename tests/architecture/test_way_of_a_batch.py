"""The page of the architecture names every function between a user's call and the kernels."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from qstore_ray import (
    DatasetConfig,
    DatasetLoader,
    ModelConfig,
    QuantumTrainer,
    TrackConfig,
    TrainerConfig,
)
from qstore_ray.simulate.engines import native

if TYPE_CHECKING:
    import pytest

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"


def test_the_page_names_the_calls_of_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels, seen = native._sweep, list[list[str]]()

    def sweep(*args: Any, **options: Any) -> None:
        seen.append(_callers(sys._getframe(1)))
        kernels(*args, **options)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(native, "_sweep", sweep)
    iris = DatasetConfig(name="iris", params={"dataset": "iris"})
    QuantumTrainer(
        ModelConfig(n_qubits=4, layers=1),
        TrainerConfig(epochs=1, batch_size=16),
        track=TrackConfig(mlflow=False, figures=False),
    ).fit(DatasetLoader.load(iris))

    chain = re.search(r"`QuantumTrainer\.fit` → [^\n]+(\n[^\n]+)+", PAGE.read_text())
    assert chain
    named = [name.removeprefix("native.") for name in re.findall(r"`([^`]+)`", chain[0])]
    named = ["run" if name == "loop.run" else name for name in named]
    assert named[-1] == "_sweep"
    assert named[:-1] in seen


def _callers(frame: FrameType | None) -> list[str]:
    """Names of this package's functions that lead to a frame, outermost first."""
    names: list[str] = []
    while frame is not None:
        inside = frame.f_globals.get("__name__", "").startswith("qstore_ray.")
        if inside and not frame.f_code.co_name.startswith("<"):
            names.insert(0, frame.f_code.co_qualname)
        frame = frame.f_back
    return names
