"""The Python of the README runs as it stands there; tests/ray has what needs a cluster."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

from qiskit.circuit import ParameterVector, QuantumCircuit

if TYPE_CHECKING:
    import pytest

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def _circuit() -> QuantumCircuit:
    x, p = ParameterVector("x", 4), ParameterVector("p", 8)
    circuit = QuantumCircuit(4)
    for qubit in range(4):
        circuit.ry(x[qubit], qubit)
        circuit.ry(p[qubit], qubit)
    for qubit in range(4):
        circuit.cx(qubit, (qubit + 1) % 4)
        circuit.ry(p[4 + qubit], qubit)
    return circuit


def test_the_quick_starts_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Load, train and score in five lines; a circuit of one's own in two more."""
    first, second, _ = BLOCKS
    assert len(ast.parse(first).body) <= 5
    assert len(ast.parse(second).body) == 2
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"my_qiskit_circuit": _circuit}
    exec(first, names)  # the README's own lines
    assert names["result"].metrics["test_accuracy"] > 0.8  # type: ignore[attr-defined]
    assert "accuracy" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path.parent)
    exec(second, names)  # the README's own lines
    assert names["result"].metrics["test_accuracy"] > 0.6  # type: ignore[attr-defined]
