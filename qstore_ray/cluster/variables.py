"""Whether the workers of the warm cluster have the variables by which an object store is reached.

They are those of the shell that started the cluster. A worker that lacks the keys of this process,
or its endpoint, would fail at its first read, or ask the cloud's own service.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from qstore_ray.cluster.record import ClusterRecord
from qstore_ray.errors import BackendError
from qstore_ray.storage.address import StorageAddress

_PROC: Final = Path("/proc")
_NAMES: Final = {
    "s3": (
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"),
        *("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_ALLOW_HTTP"),
        *("AWS_REGION", "AWS_DEFAULT_REGION"),
    ),
    "gs": ("GOOGLE_APPLICATION_CREDENTIALS",),
    "az": ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_USE_AZURE_CLI"),
}


def check_variables(record: ClusterRecord, address: StorageAddress) -> None:
    """Compare the variables of this process with those of the cluster; nothing is kept or shown of
    their values. Where the system does not say what the cluster has, nothing is checked.

    Raises:
        BackendError: the cluster lacks some, or has others.
    """
    theirs = _environment(record.pid)
    if theirs is None:
        return
    names = _NAMES[address.scheme]
    wrong = [name for name in names if os.environ.get(name, "") != theirs.get(name, "")]
    if not wrong:
        return
    raise BackendError(
        f"the workers of the warm cluster would not reach {address} as this process does: it was "
        f"started with other values of {', '.join(wrong)}, or without",
        field="storage",
        value=str(address),
        fix="Call stop_cluster(), and start it again where these variables are set; or take a Ray "
        "of this run alone: cluster.address = 'local'.",
    )


def _environment(pid: int) -> dict[str, str] | None:
    with suppress(OSError):
        pairs = (_PROC / str(pid) / "environ").read_bytes().decode(errors="replace").split("\0")
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    return None
