"""Trains under a fault, kills the training at random steps, resumes it, and checks its ledger.

    python -m tests.chaos.kills FOLDER FAULT ROUNDS SEED

Each round is a run of its own: a child process trains, is killed by SIGKILL when its ledger has
grown by a random number of steps, and another one resumes, until one comes to the end. Then the
parameters are those of a run without fault or kill, and `tests/ledger.py` finds nothing wrong. This
process has one thread, so that it may fork, and everything is imported once. The last line of
output is a summary.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

from tests.chaos.driver import EPOCHS, STEPS, train
from tests.chaos.faults import FAULTS, Fault, no_fault
from tests.ledger import check_run

KILLS = 3
STREAMED = "streamed"
"""In place of a fault: the rows are streamed."""


def child(storage: Path, fault: Fault, seed: int, *, stream: bool) -> int:
    """The id of a process that trains, or resumes, to the end."""
    process = os.fork()
    if not process:
        status = 1
        try:
            fault(random.Random(seed), storage)
            (storage / "theta").write_text(train(storage, stream=stream))
            status = 0
        except BaseException:  # gate: QS104 because the process ends here, and this says why
            (storage / "error.txt").write_text(traceback.format_exc())
        finally:
            os._exit(status)
    return process


def steps_in(storage: Path) -> int:
    """Steps in the ledger so far."""
    path = storage / "ledger.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def killed(process: int, storage: Path, steps: int) -> bool:
    """Whether a process was killed, after so many steps more than now; False if it ended first."""
    wanted = steps_in(storage) + steps
    while steps_in(storage) < wanted:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            assert status == 0, (storage / "error.txt").read_text()
            return False
        time.sleep(0.0005)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return True


def round_of(storage: Path, fault: Fault, chance: random.Random, *, stream: bool) -> int:
    """How often a run was killed before it came to its end."""
    storage.mkdir()
    kills = 0
    while kills < KILLS:
        process = child(storage, fault, chance.randrange(2**32), stream=stream)
        if not killed(process, storage, chance.randrange(1, EPOCHS * STEPS // 2)):
            break
        kills += 1
    else:
        process = child(storage, fault, chance.randrange(2**32), stream=stream)
        _, status = os.waitpid(process, 0)
        assert status == 0, (storage / "error.txt").read_text()
    return kills


def main(folder: Path, fault: str, rounds: int, seed: int) -> None:
    """All rounds; one without fault or kill says what is right."""
    chance = random.Random(seed)
    whole = folder / "whole"
    whole.mkdir()
    stream = fault == STREAMED
    os.waitpid(child(whole, no_fault, 0, stream=stream), 0)
    right = (whole / "theta").read_text()
    kills = 0
    for number in range(rounds):
        storage = folder / str(number)
        kills += round_of(storage, FAULTS.get(fault, no_fault), chance, stream=stream)
        theta = (storage / "theta").read_text()
        assert theta == right, f"round {number} of seed {seed}: other parameters"
        check_run(
            storage / "run", storage / "ledger.jsonl", bytes.fromhex(theta),
            epochs=EPOCHS, batches=STEPS,
        )  # fmt: skip
    sys.stdout.write(json.dumps({"rounds": rounds, "kills": kills, "seed": seed}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
