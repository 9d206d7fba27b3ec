"""The table behind the advice: thousands of small trainings beside tuned classical models.

Each candidate of `qstore_ray.advise.candidates` is trained on each data set of `advice_data`, in
three stratified folds, by the loop that jobs are trained by; so are logistic regression, an SVM
with RBF kernel, gradient boosting and a small network, each tuned over four settings, on the same
folds. Seconds are CPU seconds of one thread, so that they do not depend on what else runs.

Every row is appended to `runs/advice_table/rows.jsonl` as soon as it is measured; a run that was
killed continues where it was. `--finish` writes the rows as `qstore_ray/advise/table.parquet`, and
where they come from as `benchmarks/results/advice_table.json`.

Run: python benchmarks/advice_table.py [--folds 3] [--finish]

`--data-sets`, `--candidates` and `--folder` measure a part of it into a folder, with a table beside
the rows: a trial, from which no result is written.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # before numpy is imported

import argparse
import importlib.metadata
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from advice_data import MAKERS, TableData, data_sets
from record import origin, write
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold

from qstore_ray.advise.candidates import SEED, Candidate, candidates
from qstore_ray.advise.measure.rivals import RIVALS, tune_rival
from qstore_ray.advise.measure.training import train_candidate
from qstore_ray.advise.meta_features import meta_features
from qstore_ray.advise.training_plan import TrainingPlan, plan_training
from qstore_ray.errors import QStoreError
from qstore_ray.simulate.cost import calibrate

ROOT = Path(__file__).parents[1]
PARTS = ROOT / "runs" / "advice_table" / "rows.jsonl"
TABLE = ROOT / "qstore_ray" / "advise" / "table.parquet"
FOLDS = 3
PACKAGES = ("numpy", "scikit-learn", "mlxtend", "pyarrow")


class Scope(NamedTuple):
    """What is measured: names of data sets and of models, folds, and where the rows are kept."""

    data_sets: tuple[str, ...]
    models: tuple[str, ...]
    folds: int
    parts: Path = PARTS


def read_rows(parts: Path) -> list[dict[str, Any]]:
    """The rows measured so far; a line that a killed run left unfinished is cut off."""
    if not parts.exists():
        return []
    whole, _, rest = parts.read_text().rpartition("\n")
    if rest:
        parts.write_text(whole + "\n" if whole else "")
    return [json.loads(line) for line in whole.splitlines()]


def measure(scope: Scope) -> None:
    """Measure what is missing, fold by fold, so that an early end leaves all data sets."""
    done = {(row["dataset"], row["fold"], row["model"]) for row in read_rows(scope.parts)}
    scope.parts.parent.mkdir(parents=True, exist_ok=True)
    sets = data_sets(scope.data_sets)
    with scope.parts.open("a") as file:
        for fold in range(scope.folds):
            for name, data in sets.items():
                missing = [m for m in scope.models if (name, fold, m) not in done]
                if not missing:
                    continue
                for row in rows_of(name, data, fold, missing):
                    file.write(json.dumps(row) + "\n")
                    file.flush()
                print(time.strftime("%H:%M:%S"), fold, name, len(missing), flush=True)


def rows_of(name: str, data: TableData, fold: int, missing: list[str]) -> Iterator[dict[str, Any]]:
    cut = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED % 2**31)
    train, test = list(cut.split(data.x, data.y))[fold]
    known = {candidate.name: candidate for candidate in candidates()}
    facts = {
        "dataset": name, "family": data.family, "fold": fold,
        "rows": len(data.y), "columns": data.x.shape[1], "train_rows": len(train),
    }  # fmt: skip
    for model in missing:
        candidate = known.get(model)
        try:
            found = (
                _rival(model, data, train, test)
                if candidate is None
                else _quantum(candidate, data, train, test, fold)
            )
        except QStoreError as exc:
            found = {"error": f"{type(exc).__name__}: {exc.message}"}
        kind = "classical" if candidate is None else "quantum"
        yield {"kind": kind, "model": model, **facts, **found}


def _scores(y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    return {
        "accuracy": float(np.mean(y == predicted)),
        "balanced_accuracy": float(balanced_accuracy_score(y, predicted)),
    }


def _rival(model: str, data: TableData, train: Any, test: Any) -> dict[str, Any]:
    found = tune_rival(model, data.x[train], data.y[train], data.x[test], seed=SEED % 2**31)
    settings = json.dumps(found.settings)
    return {**_scores(data.y[test], found.predicted), "seconds": found.seconds, "chosen": settings}


def _quantum(
    candidate: Candidate, data: TableData, train: Any, test: Any, fold: int
) -> dict[str, Any]:
    found = train_candidate(candidate, data.x[train], data.y[train], data.x[test], seed=fold)
    measured = found._asdict()
    predicted = measured.pop("predicted")
    return {**_scores(data.y[test], predicted), **measured}


def finish(scope: Scope, target: Path) -> list[dict[str, Any]]:
    """Write the table of the data sets and folds that are measured whole; its rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = read_rows(scope.parts)
    measured = Counter((row["dataset"], row["fold"]) for row in rows)
    rows = [row for row in rows if measured[row["dataset"], row["fold"]] == len(scope.models)]
    place = {name: number for number, name in enumerate(scope.models)}
    order = {name: number for number, name in enumerate(scope.data_sets)}
    rows.sort(key=lambda row: (row["fold"], order[row["dataset"]], place[row["model"]]))
    sets = data_sets(dict.fromkeys(row["dataset"] for row in rows))
    known = {candidate.name: candidate.as_dict() for candidate in candidates()}
    described = {name: meta_features(data.x, data.y).values for name, data in sets.items()}
    full = [{**known.get(r["model"], {}), **described[r["dataset"]], **r} for r in rows]
    columns = {
        name: [row.get(name) for row in full]
        for name in dict.fromkeys(name for row in full for name in row)
    }
    arrays = {name: pa.array(values) for name, values in (columns | planned(full)).items()}
    small = {n: c.cast(pa.float32()) if c.type == pa.float64() else c for n, c in arrays.items()}
    about = {
        **origin(), "seed": SEED, "folds": 1 + max(row["fold"] for row in rows),
        "qstore_ray": importlib.metadata.version("qstore-ray"),
        **{package: importlib.metadata.version(package) for package in PACKAGES},
    }  # fmt: skip
    table = pa.table(small).replace_schema_metadata({"about": json.dumps(about)})
    pq.write_table(table, target, compression="zstd", compression_level=19)
    return rows


def record(rows: list[dict[str, Any]]) -> None:
    """Write where the table comes from."""
    quantum = [row for row in rows if row["kind"] == "quantum"]
    write(
        "advice_table",
        SEED,
        per_data_set(rows),
        trainings=len(quantum),
        failed=sum("error" in row for row in quantum),
        data_sets=len({row["dataset"] for row in rows}),
        candidates=len(candidates()),
        cpu_seconds=sum(row.get("seconds", 0.0) for row in rows),
        bytes=TABLE.stat().st_size,
    )


def planned(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Steps and engine seconds of each quantum training, as this machine's cost model has them."""
    speed = calibrate()
    seen: dict[Any, TrainingPlan] = {}
    known = {candidate.name: candidate for candidate in candidates()}
    found: list[TrainingPlan | None] = []
    for row in rows:
        key = (row["model"], row["train_rows"], row["columns"], int(row["classes"]))
        if row["model"] not in known:
            found.append(None)
            continue
        if key not in seen:
            seen[key] = plan_training(known[row["model"]], *key[1:], speed)
        found.append(seen[key])
    return {
        name: [None if plan is None else getattr(plan, name) for plan in found]
        for name in TrainingPlan._fields
    }


def per_data_set(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best candidate and the best classical model of each data set, by mean accuracy."""
    found = []
    for name in dict.fromkeys(row["dataset"] for row in rows):
        own = [row for row in rows if row["dataset"] == name and "error" not in row]
        line: dict[str, Any] = {"dataset": name}
        for kind in ("quantum", "classical"):
            names = {row["model"] for row in own if row["kind"] == kind}
            means = {
                m: float(np.mean([r["accuracy"] for r in own if r["model"] == m]))
                for m in sorted(names)
            }
            best = max(means, key=lambda m: means[m])
            line |= {f"best_{kind}": best, f"best_{kind}_accuracy": round(means[best], 4)}
        found.append(line)
    return found


def main() -> None:
    """Measure, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folds", type=int, default=FOLDS)
    parser.add_argument("--finish", action="store_true", help="only write what was measured")
    parser.add_argument("--folder", type=Path, help="of a trial: rows.jsonl and table.parquet")
    parser.add_argument("--data-sets", nargs="+", choices=tuple(MAKERS), default=tuple(MAKERS))
    parser.add_argument("--candidates", type=int, default=len(candidates()), metavar="N")
    asked = parser.parse_args()
    whole = Scope(tuple(MAKERS), _models(len(candidates())), asked.folds)
    if asked.folder is None:
        if not asked.finish:
            measure(whole)
        record(finish(whole, TABLE))
        return
    chosen = tuple(asked.data_sets), _models(asked.candidates)
    trial = Scope(*chosen, asked.folds, asked.folder / PARTS.name)
    if not asked.finish:
        measure(trial)
    finish(trial, asked.folder / TABLE.name)


def _models(count: int) -> tuple[str, ...]:
    """Names of the first candidates, and of all classical models."""
    return (*(candidate.name for candidate in candidates()[:count]), *RIVALS)


if __name__ == "__main__":
    main()
