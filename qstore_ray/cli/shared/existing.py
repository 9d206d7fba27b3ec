"""`--resume` and `--fresh`, as `existing` says it in Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from qstore_ray.errors import UsageError

if TYPE_CHECKING:
    from qstore_ray.train.run.run_folder import Existing


def existing_of(kind: Literal["run", "study"], *, resume: bool, fresh: bool) -> Existing:
    """What to do with a run or a study of the same name.

    Raises:
        UsageError: both options were typed.
    """
    if resume and fresh:
        raise UsageError(
            "--resume and --fresh exclude each other",
            fix=f"--resume continues the {kind}, --fresh deletes it and starts again.",
        )
    if resume:
        return "resume"
    return "replace" if fresh else "error"
