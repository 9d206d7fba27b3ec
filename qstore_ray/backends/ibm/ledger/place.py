"""Where ledgers are kept: on the gateway's node, one folder for each run on each device."""

from __future__ import annotations

import os
from pathlib import Path

from qstore_ray.files import expanded


def ledger_root(given: str | None = None) -> Path:
    """The folder of all ledgers: the given one, else one in the user's folder for state.

    `$XDG_STATE_HOME/qstore_ray/ibm`, by default `~/.local/state/qstore_ray/ibm`.
    """
    if given is not None:
        return expanded(given)
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return expanded(f"{state}/qstore_ray/ibm")
