"""What becomes of real files: every circuit text and every table below some folders, one by one.

A circuit (`.qasm`, `.qasm2`, `.qasm3`) is loaded; where Qiskit reads it too, it has no parameters,
and it is narrow enough, its state is compared with Qiskit's. A table or another data file is
loaded, a small model is trained on it for one epoch in this process, and scored on its test rows.

The verdict of a file is one of

    equal     the state is Qiskit's (overlap at least 1 − 1e-9)
    loaded    a circuit that cannot be compared; the note says why
    trained   a data file; the note has the line that describes its columns, and the scores
    refused   an error of ours, which says what was wrong and what to type instead
    WRONG     another state than Qiskit's
    RAW       an exception that is not ours: a fault, whatever the file

The exit code is 1 where a file is WRONG or RAW. A file `real_files.toml` in a folder may say more
of its data files, as the keys of a dataset's configuration:

    ["titanic.csv"]
    columns = { label = "survived", exclude = ["alive"] }

Without a folder, the files that installed packages bring are tried (scikit-learn, mlxtend).

Run: python benchmarks/real_files.py [FOLDER …] [--most-qubits 12]
"""

from __future__ import annotations

import argparse
import importlib.resources
import sys
import tempfile
import time
import tomllib
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qstore_ray import DatasetConfig, DatasetLoader, ModelConfig, QuantumTrainer, TrainerConfig
from qstore_ray.backends import open_backend
from qstore_ray.backends.base import Bindings
from qstore_ray.circuits.load import load_circuit
from qstore_ray.errors import QStoreError

CIRCUITS = (".qasm", ".qasm2", ".qasm3")
TABLES = (".csv", ".tsv", ".arff", ".parquet", ".jsonl", ".data", ".svm", ".libsvm", ".npz", ".h5")
SETTINGS = "real_files.toml"
MOST_ANGLES = 4
SEED = 3

# A line of counts and class names, then the rows.
TITLED: dict[str, Any] = {"header": False, "skip_lines": 1}
# What the files of installed packages do not say of themselves.
IN_WHEELS: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "sklearn": (
        "datasets/data",
        {
            "iris.csv": {"params": TITLED, "columns": {"label": "f4"}},
            "wine_data.csv": {"params": TITLED, "columns": {"label": "f13"}},
            "breast_cancer.csv": {"params": TITLED, "columns": {"label": "f30"}},
            "linnerud_exercise.csv": {"columns": {"label": "Jumps"}, "task": "regression"},
            "linnerud_physiological.csv": {"columns": {"label": "Pulse"}, "task": "regression"},
        },
    ),
    "mlxtend": (
        "data/data",
        {
            "wine.csv": {"params": {"header": False}, "columns": {"label": "f0"}},
            "boston_housing.csv": {
                "params": {"header": False},
                "columns": {"label": "f13"},
                "task": "regression",
            },
        },
    ),
}


@dataclass(frozen=True)
class Verdict:
    """What became of one file."""

    file: str
    verdict: str
    seconds: float
    note: str


def judge_folder(
    folder: Path, settings: Mapping[str, dict[str, Any]] | None = None, most_qubits: int = 12
) -> Iterator[Verdict]:
    """The verdict of every file below `folder`; `settings` say more of its data files."""
    said = dict(settings or {})
    if (folder / SETTINGS).is_file():
        said |= tomllib.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix.lower() in CIRCUITS + TABLES:
            name = str(path.relative_to(folder))
            yield _judge(path, name, said.get(name, {}), most_qubits)


def _judge(path: Path, name: str, settings: dict[str, Any], most_qubits: int) -> Verdict:
    began = time.perf_counter()
    try:
        if path.suffix.lower() in CIRCUITS:
            verdict, note = _circuit(path, most_qubits)
        else:
            verdict, note = "trained", _table(path, settings)
    except QStoreError as exc:
        verdict, note = "refused", f"{type(exc).__name__}: {exc}"
    except Exception as exc:  # gate: QS104 because it is what the benchmark looks for
        place = traceback.extract_tb(exc.__traceback__)[-1]
        verdict = "RAW"
        note = f"{type(exc).__name__}: {exc} ({Path(place.filename).name}:{place.lineno})"
    return Verdict(name, verdict, time.perf_counter() - began, " ".join(note.split()))


def _circuit(path: Path, most_qubits: int) -> tuple[str, str]:
    circuit = load_circuit(str(path))
    template = circuit.template
    size = f"{template.n_qubits} qubits, {len(template.ops)} gates"
    if template.n_params or template.n_rows:
        return "loaded", f"{size}, {template.n_rows} features, {template.n_params} parameters"
    if template.n_qubits > most_qubits:
        return "loaded", f"{size}: too wide to compare"
    theirs, why = _qiskit_state(path)
    if theirs is None:
        return "loaded", f"{size}; {why}"
    backend = open_backend("statevector", {})
    ours = backend.states(template, Bindings(np.zeros((1, 0)), np.zeros(0)))[0]
    if len(theirs) != len(ours):
        return "WRONG", f"{size}, Qiskit has {len(theirs).bit_length() - 1} qubits"
    overlap = float(abs(np.vdot(theirs, ours)))
    return ("equal" if overlap > 1 - 1e-9 else "WRONG"), f"{size}, overlap 1 − {1 - overlap:.1e}"


def _qiskit_state(path: Path) -> tuple[np.ndarray | None, str]:
    """Qiskit's own state of the file, or why it has none."""
    from qiskit import qasm2, qasm3
    from qiskit.exceptions import QiskitError
    from qiskit.quantum_info import Statevector

    text = path.read_text(encoding="utf-8-sig")
    try:
        if "OPENQASM 2" in text:
            found = qasm2.loads(
                text,
                include_path=(str(path.parent), *qasm2.LEGACY_INCLUDE_PATH),
                custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS,
            )
        else:
            found = qasm3.loads(text)
        found.remove_final_measurements()
        return np.asarray(Statevector(found)), ""
    except (QiskitError, TypeError, AttributeError, IndexError, ValueError) as exc:
        return None, f"Qiskit does not read it: {str(exc)[:80]}"


def _table(path: Path, settings: dict[str, Any]) -> str:
    told = dict(settings)
    params = {"path": str(path), **told.pop("params", {})}
    steps = told.pop("preprocessing", [{"name": "impute"}, {"name": "standard"}])

    def load(extra: list[dict[str, Any]]) -> Any:
        config = DatasetConfig(
            name="real", source="local", params=params, preprocessing=[*steps, *extra], **told
        )
        return DatasetLoader.load(config)

    dataset = load([])
    if dataset.schema.n_features > MOST_ANGLES:
        dataset = load([{"name": "pca", "components": MOST_ANGLES}])
    with tempfile.TemporaryDirectory() as storage:
        result = QuantumTrainer(
            ModelConfig(n_qubits=max(1, dataset.schema.n_features), layers=1),
            TrainerConfig(epochs=1, num_workers=0, seed=SEED),
            name="real",
            storage=storage,
        ).fit(dataset)
    scores = {k: v for k, v in result.metrics.items() if k.startswith("test_")}
    shown = ", ".join(f"{name.removeprefix('test_')} {value:.3g}" for name, value in scores.items())
    table = dataset.schema.table
    return f"{shown}; {table.line() if table else dict(dataset.provenance)}"


def _wheels(most_qubits: int) -> Iterator[Verdict]:
    for package, (folder, settings) in IN_WHEELS.items():
        with importlib.resources.as_file(importlib.resources.files(package) / folder) as found:
            for verdict in judge_folder(found, settings, most_qubits):
                yield Verdict(f"{package}/{verdict.file}", *list(asdict(verdict).values())[1:])


def main() -> None:
    """Judge every file, print the table, write `results/real_files.json`."""
    from record import write

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--most-qubits", type=int, default=12)
    args = parser.parse_args()
    made = (
        (v for folder in args.folders for v in judge_folder(folder, None, args.most_qubits))
        if args.folders
        else _wheels(args.most_qubits)
    )
    verdicts = []
    for verdict in made:
        verdicts.append(verdict)
        print(f"{verdict.verdict:8} {verdict.seconds:6.2f} s  {verdict.file}  {verdict.note[:160]}")
    counts = Counter(verdict.verdict for verdict in verdicts)
    print(", ".join(f"{count} {name}" for name, count in counts.most_common()))
    if not args.folders:
        write("real_files", SEED, [asdict(verdict) for verdict in verdicts], **counts)
    sys.exit(1 if counts["WRONG"] + counts["RAW"] else 0)


if __name__ == "__main__":
    main()
