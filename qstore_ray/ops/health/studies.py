"""The stores of searches: each is opened and read, and nothing is created."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from qstore_ray.doctor.diagnosis import Diagnosis
from qstore_ray.errors import QStoreError
from qstore_ray.ops.health.scope import HealthScope
from qstore_ray.train.run.find import study_folders


def examine_studies(scope: HealthScope) -> Iterator[Diagnosis]:
    """Each store that cannot be read, then how many can.

    Raises:
        UsageError: the folder of the runs is no folder, or may not be read.
        StorageError: the object store cannot be used.
    """
    folders, readable = study_folders(str(scope.storage)), 0
    for folder in folders:
        try:
            _read(folder)
            readable += 1
        except QStoreError as error:
            yield Diagnosis.of_error(f"study {folder.name}", error)
    if folders:
        yield Diagnosis("studies", "ok", f"{readable} of {len(folders)} can be read")


def _read(folder: Path) -> None:
    from qstore_ray.tune.study.ownership import recorded_url
    from qstore_ray.tune.study.storage import study_names

    study_names(folder, recorded_url(folder))
