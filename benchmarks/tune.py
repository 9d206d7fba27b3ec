"""A search on Ray Tune beside plain Optuna, what a trial costs besides its training, and ASHA.

1. The same 40 trials, drawn evenly from the space of jobs/digits_tune.toml, with the 60 epochs of
   jobs/digits.toml, each side a program of its own from its start to its end: `Tuner` (everything
   it leaves is on disk; trackers and figures off), `study.optimize` of Optuna in one process whose
   trainings have one thread, as those of the `Tuner` have, or use both cores, and two processes of
   Optuna on one journal, a core each. All train with `QuantumTrainer` in run folders.
2. What a trial costs that is not training, from the first trial's start to the last one's end:
   (places · wall − Σ seconds in the training loop) / trials.
3. ASHA against the same search without early ending: epochs trained, and the best value found.

Run: python benchmarks/tune.py [--trials 40] [--rounds 3] [--seeds 5]; 0 leaves 1 and 2, or 3, out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from record import write

JOB = Path(__file__).parents[1] / "jobs" / "digits_tune.toml"
OFF = ("track.mlflow=false", "track.figures=false", "tune.refit=false", "tune.points=[]")
LONG = "trainer.epochs=60"
PLACES = 2
OTHERS = (
    ("one process, one thread", 1, 1),
    ("one process, two threads", 1, 2),
    ("two processes", 2, 1),
)
"""How Optuna is run: name, processes, threads of a training."""


def job(folder: str, *overrides: str) -> Any:
    """The job with its study in `folder`."""
    from qstore_ray import JobConfig

    return JobConfig.load(JOB, [f"storage={json.dumps(folder)}", *OFF, *overrides])


def search(folder: str, trials: int, seed: int, scheduler: str) -> dict[str, Any]:
    """Our side: what the study found, and the times of its trials."""
    from qstore_ray.job import run_search

    plain = ('tune.scheduler="none"', "tune.scheduler_options={}")
    overrides = {"asha": (), "none": plain, "long": (*plain, LONG)}[scheduler]
    config = job(folder, f"tune.trials={trials}", f"tune.seed={seed}", *overrides)
    if scheduler == "long":
        same = config.tune.model_copy(update={"points": tuple(points(config, trials, seed))})
        config = config.model_copy(update={"tune": same})
    result = run_search(config, existing="replace")
    loops, epochs = 0.0, 0
    for trial in result.trials:
        loops += trial.epochs[-1]["seconds"]
        epochs += len(trial.epochs)
    return {
        "loops_s": loops,
        "epochs": epochs,
        "best": max(t.objectives.get("val_accuracy", 0.0) for t in result.trials),
        "trials": len(result.trials),
        "span_s": span(Path(folder) / config.name / "study.journal"),
    }


def points(config: Any, trials: int, seed: int) -> list[dict[str, Any]]:
    """The trials of a round: what is trained must not depend on who trains it."""
    rng, space = np.random.default_rng(seed), config.tune.space
    return [space.at(rng.random(len(space.order)).tolist()) for _ in range(trials)]


def span(journal: Path) -> float:
    """Seconds from the first trial's start to the last one's end, as the study recorded them."""
    import optuna

    backend = optuna.storages.journal.JournalFileBackend(str(journal))
    study = optuna.load_study(study_name=None, storage=optuna.storages.JournalStorage(backend))
    began = [t.datetime_start for t in study.get_trials() if t.datetime_start]
    ended = [t.datetime_complete for t in study.get_trials() if t.datetime_complete]
    return (max(ended) - min(began)).total_seconds()


def optimize(folder: str, trials: int, seed: int, threads: int) -> None:
    """Optuna's side: one process of `study.optimize` on the journal in `folder`."""
    import optuna

    from qstore_ray import DatasetLoader, QuantumTrainer
    from qstore_ray.train.request import RunRequest

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    config = job(folder, LONG)
    space = config.tune.space
    dataset = DatasetLoader.load(config.dataset).in_memory()

    def objective(trial: optuna.Trial) -> float:
        chosen = space.apply(config, space.suggest(trial))
        trainer = QuantumTrainer(
            chosen.model, chosen.trainer, name=f"trial-{trial.number:04d}",
            storage=folder, track=chosen.track,
        )  # fmt: skip
        return float(trainer.run(dataset, RunRequest(threads=threads)).metrics["val_accuracy"])

    sampler = optuna.samplers.TPESampler(
        multivariate=True, group=True, constant_liar=True, n_startup_trials=8, seed=seed
    )
    study = optuna.load_study(study_name="digits", storage=journal(folder), sampler=sampler)
    done = (optuna.trial.TrialState.COMPLETE,)
    study.optimize(objective, callbacks=[optuna.study.MaxTrialsCallback(trials, done)])


def journal(folder: str) -> Any:
    """Optuna's storage in `folder`."""
    import optuna

    path = str(Path(folder) / "study.journal")
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(path))


def prepare(folder: str, trials: int, seed: int) -> None:
    """Optuna's study with its trials in the queue; not timed, and once for both processes."""
    import optuna

    study = optuna.create_study(study_name="digits", storage=journal(folder), direction="maximize")
    for point in points(job(folder), trials, seed):
        study.enqueue_trial(point)


def run(*sides: list[str]) -> tuple[float, str]:
    """Seconds until programs that run side by side have ended, and what the first one printed."""
    began = time.perf_counter()
    running = [
        subprocess.Popen(
            [sys.executable, __file__, *side], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True,
        )
        for side in sides
    ]  # fmt: skip
    texts = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit(f"failed: {sides}")
    return time.perf_counter() - began, texts[0]


def side_by_side(trials: int, rounds: int) -> list[dict[str, Any]]:
    """All ways, in turns."""
    seconds: dict[str, list[float]] = {}
    overheads = []
    for seed in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            args = [folder, str(trials), str(seed)]
            took, said = run(["ours", *args, "long"])
            found = json.loads(said.splitlines()[-1])
            seconds.setdefault("ours", []).append(took)
            overheads.append((PLACES * found["span_s"] - found["loops_s"]) / trials)
        for name, processes, threads in OTHERS:
            with tempfile.TemporaryDirectory() as folder:
                prepare(folder, trials, seed)
                side = ["optuna", folder, str(trials), str(seed), str(threads)]
                seconds.setdefault(name, []).append(run(*[side] * processes)[0])
        print({name: round(values[-1], 1) for name, values in seconds.items()}, flush=True)
    rate = {name: [60 * trials / s for s in values] for name, values in seconds.items()}
    ratios = [
        {
            "what": f"over Optuna in {name}",
            "value": statistics.median(
                a / b for a, b in zip(rate["ours"], rate[name], strict=True)
            ),
            "plain": statistics.median(rate[name]),
            "target": target,
        }
        for (name, *_), target in zip(OTHERS, (">= 1.6", ">= 1.6", ">= 1.15"), strict=True)
    ]
    return [
        {"what": "Tuner, trials a minute", "value": statistics.median(rate["ours"])},
        *ratios,
        {"what": "seconds of a trial besides its training",
         "value": statistics.median(overheads), "target": "<= 0.15"},
    ]  # fmt: skip


def early_ending(trials: int, seeds: int) -> list[dict[str, Any]]:
    """ASHA over the same search without it, seed by seed."""
    shares, losses = [], []
    for seed in range(seeds):
        found = {}
        for scheduler in ("none", "asha"):
            with tempfile.TemporaryDirectory() as folder:
                said = run(["ours", folder, str(trials), str(seed), scheduler])[1]
                found[scheduler] = json.loads(said.splitlines()[-1])
        shares.append(found["asha"]["epochs"] / found["none"]["epochs"])
        losses.append(1 - found["asha"]["best"] / found["none"]["best"])
        print(f"seed {seed}: {shares[-1]:.2f} of the epochs, best {-losses[-1]:+.2%}", flush=True)
    return [
        {"what": "ASHA: share of the epochs", "value": statistics.mean(shares),
         "highest": max(shares), "target": "<= 0.4"},
        {"what": "ASHA: best value lower by", "value": statistics.mean(losses),
         "highest": max(losses), "target": "<= 0.01"},
    ]  # fmt: skip


def main() -> None:
    """All of it, or one side."""
    if len(sys.argv) > 1 and sys.argv[1] in ("ours", "optuna"):
        side, folder, trials, seed, last = sys.argv[1:6]
        if side == "ours":
            print(json.dumps(search(folder, int(trials), int(seed), last)))
        else:
            optimize(folder, int(trials), int(seed), int(last))
        return
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    if options.rounds:
        results = side_by_side(options.trials, options.rounds)
        write("tune", 0, results, trials=options.trials, rounds=options.rounds)
    if options.seeds:
        results = early_ending(options.trials, options.seeds)
        scheduler = job(".").tune.scheduler_options
        write("tune_asha", 0, results, trials=options.trials, seeds=options.seeds, **scheduler)


if __name__ == "__main__":
    main()
