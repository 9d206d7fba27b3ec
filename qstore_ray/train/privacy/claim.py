"""The claim of a private run: `privacy.json` in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from qstore_ray.errors import RunError
from qstore_ray.learn.privacy.statement import PrivacyStatement
from qstore_ray.track.base import write_atomically

_NAME: Final = "privacy.json"


def write_statement(run_dir: Path, said: PrivacyStatement) -> None:
    """Write the claim into the run folder.

    Raises:
        RunError: the folder cannot be written to.
    """
    write_atomically(run_dir / _NAME, said.model_dump_json(indent=1))


def read_statement(run_dir: Path) -> PrivacyStatement | None:
    """The claim of the run in this folder; None if it makes none.

    Raises:
        RunError: the file is damaged.
    """
    try:
        return PrivacyStatement.model_validate_json((run_dir / _NAME).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as exc:
        raise RunError(
            f"{_NAME} is damaged ({type(exc).__name__})",
            field="run",
            value=str(run_dir),
            fix="Train it again with existing='replace'.",
        ) from exc
