"""The uploads of worker 0: checkpoints as they are written, and the metrics in between."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from qstore_ray.deadline import join_patiently
from qstore_ray.errors import StorageError
from qstore_ray.train.run.origin import patiently, worker_mirror

if TYPE_CHECKING:
    from pathlib import Path

    from qstore_ray.storage.address import StorageAddress

_SECONDS_BETWEEN = 1.0


class Upload:
    """Brings the objects of a run to the state of its folder; metrics also by itself.

    Args:
        token: of the lease of the driver.
    """

    def __init__(self, run_dir: Path, origin: StorageAddress, token: str) -> None:
        self._mirror = worker_mirror(run_dir, origin, token)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._flush, name="qstore_ray-upload", daemon=True)
        self._thread.start()

    def push(self) -> None:
        """Upload everything; tried for a minute if the object store is away.

        Raises:
            StorageError: it stayed away, refuses, or another attempt has taken the run over.
        """
        patiently(self._mirror)

    def close(self) -> None:
        """Nothing more comes."""
        self._done.set()
        join_patiently(self._thread, "the object store of the run")

    def _flush(self) -> None:
        while not self._done.wait(_SECONDS_BETWEEN):
            with suppress(StorageError):  # the next `push` says it
                self._mirror.flush()
