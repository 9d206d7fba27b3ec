"""The advantage check of digits, ours and as an expert writes it with scikit-learn and PennyLane.

    python benchmarks/advice_peers.py                           in full
    python benchmarks/advice_peers.py --epochs 6 --share 2      a short trial, nothing is written

Both sides have the same 400 rows, folds, contenders and budgets of tuning (jobs/digits.toml, five
folds twice, four settings by three inner folds). Ours runs all ten folds. Theirs runs the first
fold of every contender (`peers/advice_pennylane.py`), and ten times that is compared; compiling
counts once. First the outputs of both circuits, with the same parameters, must agree to 1e-9.
Both may use all cores that this process may; the record says how many.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE / "peers"), str(HERE.parent)]

import numpy as np  # noqa: E402
from environments import make, python_of, versions  # noqa: E402
from record import write  # noqa: E402

from qstore_ray.advise.advantage.check import AdvantageReport, check_rows  # noqa: E402
from qstore_ray.advise.advantage.contenders import Prepared, prepare, twin_of  # noqa: E402
from qstore_ray.advise.meta_features import stratified_rows  # noqa: E402
from qstore_ray.advise.rows import training_rows  # noqa: E402
from qstore_ray.data.loader import DatasetLoader  # noqa: E402
from qstore_ray.job import JobConfig  # noqa: E402
from qstore_ray.learn.step import outputs_of  # noqa: E402

SEED, ROWS, FOLDS = 0, 400, 10
ENVIRONMENT = "pennylane-sklearn"
AGREEMENT, TARGET, MOST_MINUTES = 1e-9, 3.0, 10.0
_PEER = HERE / "peers" / "advice_pennylane.py"


def spec_of(config: JobConfig, prepared: Prepared, classes: int) -> dict[str, Any]:
    """The job as the peer reads it."""
    model, trainer = prepared.model, config.trainer
    template = model.circuit.template
    pca, scale = config.dataset.preprocessing
    ops = []
    for op in template.ops:
        terms = [(*angle.terms, angle.offset) for angle in op.angles]
        angles = [[term.kind, term.slot, term.scale, offset] for term, offset in terms]
        ops.append([op.gate, list(op.qubits), angles])
    observables = [
        [q for q in range(template.n_qubits) if term.z >> q & 1]
        for (term,) in (each.terms for each in model.observables)
    ]
    return {
        "n_qubits": template.n_qubits, "ops": ops, "observables": observables,
        "rows": template.n_rows, "params": template.n_params, "classes": classes,
        "repeats": template.n_rows // model.n_features, "batch_size": trainer.batch_size,
        "epochs": trainer.epochs, "learning_rate": trainer.learning_rate,
        "initial_spread": model.initial_spread,
        "components": pca.to_dict()["components"], "factor": scale.to_dict()["factor"],
    }  # fmt: skip


def disagreement(prepared: Prepared, answers: dict[str, Any], theta: np.ndarray) -> float:
    """The largest difference of outputs, of the model and of its twin."""
    backend = prepared.config.trainer.open_backend(threads=1)
    found = 0.0
    for name, each in (("model", prepared), ("twin", twin_of(prepared))):
        own = outputs_of(each.model, theta, each.x[:5], backend)
        found = max(found, float(np.abs(own - np.array(answers[name])).max()))
    return found


def ask(*words: str) -> dict[str, Any]:
    """The peer's answer to a command."""
    environment = {**os.environ, "JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"}
    environment.pop("PYTHONPATH", None)
    command = [str(python_of(ENVIRONMENT)), str(_PEER), *words]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def compared(report: AdvantageReport, theirs: dict[str, Any]) -> list[dict[str, Any]]:
    """CPU seconds of all ten folds, contender by contender."""
    rows = []
    for name, each in report.contenders.items():
        peer = theirs[name]
        scaled = FOLDS * peer["cpu_s"] + peer.get("compile_cpu_s", 0.0)
        rows.append({
            "contender": name, "ours_cpu_s": each.seconds, "peer_cpu_s": scaled,
            "ratio": scaled / each.seconds, "ours_first_fold": each.scores[0],
            "peer_first_fold": peer["score"], "peer": peer,
        })  # fmt: skip
    return rows


def main() -> None:
    """Compare, and write the result of a full run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, help="of every training, for a trial")
    parser.add_argument("--share", type=int, default=12, help="inner fits of 12 that a peer times")
    asked = parser.parse_args()
    changes = [] if asked.epochs is None else [f"trainer.epochs={asked.epochs}"]
    config = JobConfig.load(str(HERE.parent / "jobs" / "digits.toml"), changes)
    make(ENVIRONMENT)
    x, y = training_rows(DatasetLoader.load(config.dataset))
    picked = stratified_rows(y, ROWS, SEED)
    x, y = x[picked], y[picked]
    prepared = prepare(config, x, y, x[:1], y[:1])
    theta = prepared.model.initial(SEED)
    parts = prepared.model.split(theta)
    with tempfile.TemporaryDirectory(prefix="advice-peers-") as scratch:
        path = Path(scratch) / "digits.json"
        path.write_text(json.dumps(spec_of(config, prepared, int(y.max()) + 1)))
        np.savez(
            path.with_suffix(".npz"), x=x, y=y, features=prepared.x[:5], circuit=parts.circuit,
            scale=parts.input_scale, weights=parts.weights, bias=parts.bias,
        )  # fmt: skip
        difference = disagreement(prepared, ask("outputs", str(path)), theta)
        assert difference < AGREEMENT, f"the circuits differ by {difference:.2g}"
        began = time.perf_counter()
        theirs = ask("fold", str(path), str(asked.share))
        peer_fold_s = time.perf_counter() - began
    began = time.perf_counter()
    report = check_rows(config, x, y, seed=SEED, progress=lambda said: print(said, flush=True))
    ours_s = time.perf_counter() - began
    rows = compared(report, theirs)
    peer_s = sum(
        FOLDS * each["wall_s"] + each.get("compile_wall_s", 0.0) for each in theirs.values()
    )
    summary: dict[str, Any] = {
        "ours_wall_s": ours_s, "peer_wall_s": peer_s, "ratio": peer_s / ours_s,
        "cpu_ratio": sum(r["peer_cpu_s"] for r in rows) / sum(r["ours_cpu_s"] for r in rows),
        "cores": len(os.sched_getaffinity(0)),
        "target": TARGET, "most_minutes": MOST_MINUTES, "difference": difference,
        "peer_is": f"the first of {FOLDS} folds, times {FOLDS}; it took {peer_fold_s:.0f} s",
        "epochs": config.trainer.epochs, "verdict": report.verdict,
        "packages": versions(ENVIRONMENT),
    }  # fmt: skip
    if asked.epochs is None and asked.share == 12:
        write("advice_peers", SEED, rows, **summary)
    else:
        print(json.dumps(rows, indent=1), json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
