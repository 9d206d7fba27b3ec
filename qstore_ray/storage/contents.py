"""Which files the folder of a run or a study has, who writes them, and in which order.

What a reader must not see half of is written in the order of the folder's own laws: the files of a
checkpoint before its manifest, the metrics and the kept models before the checkpoint that implies
them, the record of the run last. Files whose names begin with a dot belong to this machine alone.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Final

from qstore_ray.files import is_there

RECORD: Final = "run.json"
"""The file that says that a folder is a run's."""
STUDY: Final = "study.journal"
"""The file of a study that is kept in its own folder."""
STUDY_RECORD: Final = "study.json"
"""The file of the folder of a study that is kept in a database."""
METRICS: Final = "metrics.jsonl"

_MANIFEST, _CHECKPOINTS = "manifest.json", "checkpoints/"
_LOCAL: Final = frozenset({"stop", "adopted"})
_TRIAL: Final = re.compile(r"(trial-\d{4,}|refit)/")
_SEALED: Final = re.compile(r"((?:checkpoints|models)/[^/]+)/[^/]+")


def turn(key: str) -> tuple[bool, bool, bool, bool, str]:
    """Sorts keys into the order in which they are written."""
    name = key.rpartition("/")[2]
    return (
        key == RECORD,
        key.startswith(_CHECKPOINTS),
        name == "index.json",
        name == _MANIFEST,
        key,
    )


def manifest_of(key: str) -> str:
    """The key of the manifest beside an object."""
    return str(PurePosixPath(key).with_name(_MANIFEST))


def is_manifest(key: str) -> bool:
    """Whether other objects count only if this one is there."""
    return key.rpartition("/")[2] == _MANIFEST


def needed_manifest(key: str) -> str | None:
    """The key of the manifest that an object is nothing without; None for most."""
    found = _SEALED.fullmatch(key)
    return None if found is None else f"{found[1]}/{_MANIFEST}"


def is_hidden(key: str) -> bool:
    """Whether a key is of this machine alone, or would lead out of a folder."""
    return any(not part or part.startswith(".") for part in key.split("/"))


def is_local(key: str) -> bool:
    """Whether a file says something to a process of this machine alone."""
    return is_hidden(key) or key.partition("/")[0] in _LOCAL


def is_of_a_trial(key: str, *, but: tuple[str, ...]) -> bool:
    """Whether a file below a study's folder is written by a trial, as into any run.

    Args:
        but: what the study's driver writes into the run folders.
    """
    found = _TRIAL.match(key)
    return found is not None and key[found.end() :].partition("/")[0] not in but


def is_study(folder: Path) -> bool:
    """Whether a folder of this machine is a study's."""
    return is_there(folder / STUDY) or is_there(folder / STUDY_RECORD)
