"""Kills a federation at every one of its effects on the disk, goes on, and compares the ends.

    python tests/federation_kill_points.py FOLDER kill|full [EVERY]

As `kill_points.py` does for a training. The federation has a client that keeps its rows (so its key
and its sealed memory are written), one that answers in some rounds only, and one that joins. EVERY
takes each so many-th effect alone. The last line of output is a summary.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from qstore_ray.data.config import DatasetConfig
from qstore_ray.errors import DataError, QStoreError, RunExistsError
from qstore_ray.federated.client import LocalClient
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.hosts.sites import ClientSite
from qstore_ray.federated.rows import ClientRows
from qstore_ray.federated.trainer import FederatedTrainer
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track import follow
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.jsonl import read_records
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.run.checkpoint import latest_checkpoint
from qstore_ray.train.run.run_folder import Existing
from qstore_ray.train.run.writing import read_run_record
from tests.effects import Effect, Watch
from tests.kill_points import FAILED, child

ROUNDS = 3
_ROWS = 24
_UNCOUNTED = {"seconds": 0, "sent": 0, "received": 0}
"""Of a round that is repeated: who was away is not asked again."""


def _rows(seed: int) -> ClientRows:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(_ROWS, 2))
    return ClientRows(x, (x[:, 0] > 0).astype(int), ("no", "yes"))


def site(folder: Path) -> ClientSite:
    """A client that keeps its rows, in a file that exists, and makes its key itself."""
    data = DatasetConfig(
        name="site", source="local", params={"path": str(folder / "site.npz")},
        split={"train": 1.0},
    )  # fmt: skip
    return ClientSite(dataset=data, key_file=str(folder / "s" / "site.key"))


def federate(storage: Path, existing: Existing = "error") -> None:
    """The command: a small federation."""
    clients = {"a": _rows(0), "b": _rows(1), "site": site(storage.parent)}
    late = {"late": _rows(2)}
    if existing == "resume" and "late" in read_run_record(storage / "federation")["clients"]:
        clients |= late
    config = FederationConfig(
        rounds=ROUNDS, local_state="kept", privacy={
            "noise_multiplier": 0.1, "clip": 0.5, "noise": "seeded", "sampling": "shuffle",
        },
    )  # fmt: skip
    trainer = TrainerConfig(batch_size=12, learning_rate=0.1, schedule="constant")
    FederatedTrainer(
        ModelConfig(n_qubits=2, layers=1), trainer, config, storage=storage,
        track=TrackConfig(mlflow=False, figures=False),
    ).fit(clients, existing=existing, join=lambda number: late if number == 1 else {})  # fmt: skip


def once_more(storage: Path) -> None:
    """What a user does after a crash: the same command, with `--resume` if there is a run."""
    run = storage / "federation"
    found = (run / "run.json").exists()
    if found and read_run_record(run)["status"] == "finished":
        try:
            federate(storage, "resume")
        except RunExistsError:
            return
        raise AssertionError("a finished run was continued")
    federate(storage, "resume" if found else "error")


def end(storage: Path) -> dict[str, Any]:
    """All that a run ends with; what is sealed depends on its key and its id."""
    run = storage / "federation"
    found, problems = latest_checkpoint(run / "checkpoints")
    assert found is not None
    assert not problems
    metrics = read_records(run / "metrics.jsonl")
    steps = [r["step"] for r in metrics if r["event"] in ("round", "epoch")]
    assert steps == sorted(steps), "the rounds go back"
    record = read_run_record(run)
    arrays = found.arrays.items()
    return {
        "status": record["status"],
        "clients": {name: entry["round"] for name, entry in record["clients"].items()},
        "arrays": {name: a.tobytes() for name, a in arrays if not name.endswith(".sealed")},
        "rounds": [r | _UNCOUNTED for r in metrics if r["event"] in ("epoch", "round")],
        "journal": read_records(run / "rounds.jsonl"),
        "ended": metrics[-1]["event"],
        "privacy": (run / "privacy.json").read_text(),
        "files": sorted(str(path.relative_to(storage)) for path in storage.rglob("*")),
    }


class FederationEnumeration:
    """Every effect of a new run."""

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.storage, self.log = folder, folder / "s", folder / "log.txt"
        self.effects: Counter[str] = Counter()
        self.failures: list[str] = []
        self.log.touch()
        self._begin()
        listed = folder / "effects.json"

        def watched() -> None:
            watch = Watch(self.storage)
            federate(self.storage)
            listed.write_text(json.dumps(watch.seen))

        self._do(watched)
        self.expected = end(self.storage)
        self._found = [Effect(*fields) for fields in json.loads(listed.read_text())][::every]

    def kill(self) -> None:
        """Kill it everywhere."""
        for effect in self._found:
            for how in ("kill", "half") if effect.kind == "write" else ("kill",):
                self._try(effect, how)

    def fill(self) -> None:
        """Let the disk be full from every effect on that a full disk hinders."""
        for effect in self._found:
            if effect.kind in ("open", "write", "mkdir"):
                self._try(effect, "full")

    def _begin(self) -> None:
        shutil.rmtree(self.storage, ignore_errors=True)
        self.storage.mkdir()

    def _do(self, work: Any) -> None:
        assert child(work, self.log) == 0, self.log.read_text()

    def _try(self, effect: Effect, how: str) -> None:
        self.effects[f"{effect.kind} {Path(effect.path).name}"] += 1
        if problem := self._survives(effect, how):
            self.failures.append(f"{how}, {' '.join(map(str, effect))}: {problem}")

    def _survives(self, effect: Effect, how: str) -> str:
        def hindered() -> None:
            watch = Watch(self.storage, effect, how)
            try:
                federate(self.storage)
            except QStoreError as error:
                said = any(text in str(error) for text in ("No space left", "disk is full"))
                os._exit(error.exit_code + FAILED if watch.full and said else 1)

        self._begin()
        code = child(hindered, self.log)
        if code != (FAILED + 1 if how == "full" else -signal.SIGKILL):
            return f"ended with {code} {self.log.read_text()[-2000:] if code == 1 else ''}"
        try:
            self._do(lambda: once_more(self.storage))
            found = end(self.storage)
        except Exception as exc:  # gate: QS104 because one of hundreds; all are reported
            return f"{type(exc).__name__}: {str(exc)[-600:]}"
        differ = [name for name in self.expected if found[name] != self.expected[name]]
        return "; ".join(f"{name}: {found[name]!r}"[:600] for name in differ)


def main(folder: Path, how: str, every: int) -> None:
    """Enumerate, and print what was found."""
    follow._POLL_SECONDS = 0.001
    sound = LocalClient.train

    def train(own: Any, task: Any, memory: Any) -> Any:
        if own._name == "b" and task.round == 1:
            raise DataError("away for a round")
        return sound(own, task, memory)

    LocalClient.train = train  # type: ignore[method-assign]
    rows = _rows(3)
    np.savez(folder / "site.npz", x=rows.x, y=np.array(["no", "yes"])[rows.y])
    (folder / "first" / "s").mkdir(parents=True)
    shutil.copy(folder / "site.npz", folder / "first")
    federate(folder / "first" / "s")  # imports and compiles all that the children will need
    gc.freeze()
    began = time.monotonic()
    found = FederationEnumeration(folder, every)
    found.fill() if how == "full" else found.kill()
    seconds = round(time.monotonic() - began, 1)
    summary = {"effects": found.effects, "failures": found.failures, "seconds": seconds}
    sys.stdout.write(json.dumps(summary) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2], int((sys.argv[3:] or ["1"])[0]))
