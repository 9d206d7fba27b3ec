"""Where ledgers are kept: on the gateway's node, one folder for each run on each device."""

from __future__ import annotations

import os
from pathlib import Path

from qstore_ray.backends.ibm.ledger.replay import LEDGER
from qstore_ray.files import expanded


def ledger_root(given: str | None = None) -> Path:
    """The folder of all ledgers: the given one, else one in the user's folder for state.

    `$XDG_STATE_HOME/qstore_ray/ibm`, by default `~/.local/state/qstore_ray/ibm`. A relative path is
    taken from `$XDG_STATE_HOME/qstore_ray`, so that a run is resumed from any folder. If there are
    ledgers at this path in the current folder, where they were before, these are taken.
    """
    state = expanded(os.environ.get("XDG_STATE_HOME") or "~/.local/state") / "qstore_ray"
    if given is None:
        return state / "ibm"
    path = expanded(given)
    is_of_earlier = not path.is_absolute() and any(path.glob(f"*/*/*/{LEDGER}"))
    return path.absolute() if is_of_earlier else state / path
