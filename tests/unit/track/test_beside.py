"""Which trackers leave the driver process is known before they start."""

from __future__ import annotations

from qstore_ray.track.beside import TrackerBeside, open_trackers_beside
from qstore_ray.track.config import TrackConfig


def test_a_tracker_of_this_package_leaves_the_driver():
    (tracker,) = open_trackers_beside(TrackConfig(mlflow=True))
    assert isinstance(tracker, TrackerBeside)


def test_what_the_sidecar_cannot_import_or_measure_stays():
    class OwnConfig(TrackConfig):
        """A class that has no name in another process."""

    for config in (OwnConfig(mlflow=True), TrackConfig(mlflow=True, mlflow_system_metrics=True)):
        (tracker,) = open_trackers_beside(config)
        assert not isinstance(tracker, TrackerBeside)
