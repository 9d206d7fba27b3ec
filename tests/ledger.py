"""An append-only ledger of the steps of a training, and the checks of what it says.

Every step that a worker 0 takes is appended, with a digest of the parameters before and after, and
no line is ever changed: so steps that were lost with a killed process stay visible.
The steps that made the final parameters are the chain that ends in them: each begins with the
parameters with which the one before ended.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from qstore_ray.track.jsonl import read_records
from qstore_ray.train.callbacks.base import Callback
from qstore_ray.train.run.checkpoint import read_checkpoint


def digest(theta: Any) -> str:
    """The parameters, in sixteen digits."""
    return hashlib.sha256(theta.tobytes()).hexdigest()[:16]


class Applied(NamedTuple):
    """A batch that was applied: where, and the parameters before and after."""

    epoch: int
    batch: int
    before: str
    after: str


class AppendsSteps(Callback):
    """Appends every step to the ledger, in one write each."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_begin(self, run: Any) -> None:
        """An attempt begins with these parameters."""
        self._before = digest(run.state.theta)

    def on_batch_end(self, run: Any, batch: Any) -> None:
        """A step is done."""
        state, before = run.state, self._before
        self._before = digest(state.theta)
        line = json.dumps([state.epoch, state.step_in_epoch - 1, before, self._before]) + "\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


def read_ledger(path: Path) -> list[Applied]:
    """All steps, in the order in which they were appended; a torn last line is left out."""
    found = []
    for line in path.read_text().splitlines():
        try:
            found.append(Applied(*json.loads(line)))
        except ValueError:
            continue
    return found


def applied(ledger: list[Applied], first: str, last: str) -> list[Applied]:
    """The steps that lead from the first parameters to the last ones.

    Raises:
        AssertionError: none do, or a step had two outcomes.
    """
    by_end: dict[str, set[Applied]] = {}
    for each in ledger:
        by_end.setdefault(each.after, set()).add(each)
    assert last in by_end, "no step ended with the final parameters"
    chain: list[Applied] = []
    at = last
    while at != first or not chain:
        ways = by_end.get(at, set())
        assert len(ways) == 1, f"{len(ways)} steps ended with {at}: {sorted(ways)}"
        (step,) = ways
        assert len(chain) <= len(ledger), "the steps go round in a circle"
        chain.append(step)
        at = step.before
    return chain[::-1]


def check_run(run: Path, ledger: Path, theta: bytes, *, epochs: int, batches: int) -> None:
    """Each batch is applied once, metric steps never go back, no checkpoint is half visible.

    Args:
        theta: the final parameters.
        batches: of an epoch.
    """
    steps = read_ledger(ledger)
    last = hashlib.sha256(theta).hexdigest()[:16]
    chain = applied(steps, steps[0].before, last)
    wanted = [(epoch, batch) for epoch in range(epochs) for batch in range(batches)]
    assert [(step.epoch, step.batch) for step in chain] == wanted
    check_metrics(run, epochs)
    check_checkpoints(run)


def check_metrics(run: Path, epochs: int) -> None:
    """The steps of the metrics never go back, and each epoch is there once."""
    records = read_records(run / "metrics.jsonl")
    steps = [record["step"] for record in records if record["event"] in ("step", "epoch")]
    assert steps == sorted(steps), "the steps go back"
    found = [record["epoch"] for record in records if record["event"] == "epoch"]
    assert found == list(range(epochs))


def check_checkpoints(run: Path) -> None:
    """What has a manifest is whole: its arrays are there, with the digests that it names."""
    manifests = list((run / "checkpoints").glob("step-*/manifest.json"))
    assert manifests
    for manifest in manifests:
        read_checkpoint(manifest.parent)
