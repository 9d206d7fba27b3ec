"""Transfer of a checkpoint from one trial to another, for population based training.

A trial with a bad score continues from the checkpoint of one with a good score. Ray Tune copies
the checkpoint; the trial finds it in `adopted/` of its run folder, and takes it instead of its
own. Killed at any moment in between, it has either the one or the other.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from qstore_ray.errors import CheckpointError
from qstore_ray.train.run.checkpoint import latest_checkpoint

_OWNER = "trial.txt"
ADOPTED = "adopted"
_UNFINISHED = ".adopted.part"


def pack(run_dir: Path, target: Path) -> None:
    """Copy the newest checkpoint of a run folder, and whose it is, into `target`.

    Raises:
        CheckpointError: no readable checkpoint exists.
    """
    found, _ = latest_checkpoint(run_dir / "checkpoints")
    if found is None:
        raise CheckpointError("the trial has no checkpoint yet", value=str(run_dir))
    shutil.copytree(found.path, target / found.path.name)
    (target / _OWNER).write_text(run_dir.name)


def unpack(source: Path, run_dir: Path) -> None:
    """Lay what `pack` wrote beside the checkpoints of `run_dir`, unless it came from there."""
    if (source / _OWNER).read_text() == run_dir.name:
        return  # a trial that was paused: it has its checkpoint
    part, place = run_dir / _UNFINISHED, run_dir / ADOPTED
    for old in (part, place):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(source, part)
    part.rename(place)


def adopt(run_dir: Path) -> None:
    """Put the checkpoint that was laid there, if any, in the place of the run's own."""
    shutil.rmtree(run_dir / _UNFINISHED, ignore_errors=True)
    place = run_dir / ADOPTED
    if place.exists():
        shutil.rmtree(run_dir / "checkpoints", ignore_errors=True)
        place.rename(run_dir / "checkpoints")
        (run_dir / "checkpoints" / _OWNER).unlink()
