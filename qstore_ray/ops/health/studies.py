"""The stores of searches: each is opened and read, and nothing is created."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from qstore_ray.doctor.database import locked_finding
from qstore_ray.doctor.diagnosis import Diagnosis
from qstore_ray.errors import QStoreError
from qstore_ray.files import expanded
from qstore_ray.ops.health.scope import HealthScope
from qstore_ray.train.run.find import study_folders


def examine_studies(scope: HealthScope) -> Iterator[Diagnosis]:
    """Each store that cannot be used, then how many can.

    Raises:
        UsageError: the folder of the runs is no folder, or may not be read.
        StorageError: the object store cannot be used.
    """
    folders, readable = study_folders(str(scope.storage)), 0
    asked: dict[str, Diagnosis | None] = {}
    for folder in folders:
        fault = _fault(folder, asked)
        if fault is None:
            readable += 1
        else:
            yield replace(fault, name=f"study {folder.name}")
    if folders:
        yield Diagnosis("studies", "ok", f"{readable} of {len(folders)} can be used")


def _fault(folder: Path, asked: dict[str, Diagnosis | None]) -> Diagnosis | None:
    """What is wrong with the store of a study; None if nothing is.

    Args:
        asked: database → what is wrong with it. Each is asked once: one that is locked or away
            keeps everybody waiting for seconds.
    """
    from qstore_ray.tune.study.ownership import recorded_url

    try:
        url = recorded_url(folder)
    except QStoreError as error:
        return Diagnosis.of_error("", error)
    if url is None:
        return _store_fault(folder, None)
    if url not in asked:
        asked[url] = _store_fault(folder, url)
    return asked[url]


def _store_fault(folder: Path, url: str | None) -> Diagnosis | None:
    from qstore_ray.tune.study.address import file_of
    from qstore_ray.tune.study.storage import study_names

    try:
        file = None if url is None else file_of(url)
        if file is not None and (locked := locked_finding("", expanded(file))) is not None:
            return locked
        study_names(folder, url)
    except QStoreError as error:
        return Diagnosis.of_error("", error)
    return None
