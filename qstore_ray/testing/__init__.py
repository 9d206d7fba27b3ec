"""The laws of each family, as classes of tests: what a member has to keep, ready to run on yours.

    from qstore_ray.testing import BackendLaws

    class TestMine(BackendLaws):
        @pytest.fixture
        def backend(self):
            return MyBackend()

pytest then runs every law on your member, the same that run on the members of this package. Each
class says which fixtures it asks for; those without a default have to be overridden.

    backends.py      BackendLaws      a backend: values, rows, gradients, refusals
    shots.py         SamplingLaws     a backend that takes shots: their mean, spread and keys
    gradients.py     GradientLaws     a gradient method on a backend
    optimizers.py    OptimizerLaws    an optimizer that steps by gradients
    schedules.py     ScheduleLaws     a schedule of the learning rate
    callbacks.py     CallbackLaws     a callback: neither parameters nor metrics change
    sources.py       SourceLaws       a source of data, through `DatasetLoader.load`
    steps.py         StepLaws         a step of preparation
    samplers.py      SamplerLaws      a sampler of a search
    schedulers.py    SchedulerLaws    a scheduler of a search
    trackers.py      TrackerLaws      a tracker, with a place to record in (RecordingPlace, Seen)
    strategies.py    circuits, observables and values that Hypothesis draws
    tune_loop.py     Ray Tune's loop with a scheduler, in one process

It needs pytest and Hypothesis: `pip install 'qstore-ray[testing]'`. To add a law, write it into the
class of the family; every member is then tested on it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from qstore_ray.errors import not_installed_error

try:
    import hypothesis  # noqa: F401 — only whether it is there
    import pytest
except ModuleNotFoundError as exc:
    raise not_installed_error(str(exc.name), "testing", what="testing a member") from exc

if TYPE_CHECKING:
    from qstore_ray.testing.backends import BackendLaws as BackendLaws
    from qstore_ray.testing.callbacks import CallbackLaws as CallbackLaws
    from qstore_ray.testing.gradients import GradientLaws as GradientLaws
    from qstore_ray.testing.optimizers import OptimizerLaws as OptimizerLaws
    from qstore_ray.testing.samplers import SamplerLaws as SamplerLaws
    from qstore_ray.testing.schedulers import SchedulerLaws as SchedulerLaws
    from qstore_ray.testing.schedules import ScheduleLaws as ScheduleLaws
    from qstore_ray.testing.shots import SamplingLaws as SamplingLaws
    from qstore_ray.testing.sources import SourceLaws as SourceLaws
    from qstore_ray.testing.steps import StepLaws as StepLaws
    from qstore_ray.testing.trackers import RecordingPlace as RecordingPlace
    from qstore_ray.testing.trackers import Seen as Seen
    from qstore_ray.testing.trackers import TrackerLaws as TrackerLaws

_EXPORTS = {
    "BackendLaws": "backends",
    "CallbackLaws": "callbacks",
    "GradientLaws": "gradients",
    "OptimizerLaws": "optimizers",
    "RecordingPlace": "trackers",
    "SamplerLaws": "samplers",
    "SamplingLaws": "shots",
    "ScheduleLaws": "schedules",
    "SchedulerLaws": "schedulers",
    "Seen": "trackers",
    "SourceLaws": "sources",
    "StepLaws": "steps",
    "TrackerLaws": "trackers",
}

__all__ = [
    "BackendLaws",
    "CallbackLaws",
    "GradientLaws",
    "OptimizerLaws",
    "RecordingPlace",
    "SamplerLaws",
    "SamplingLaws",
    "ScheduleLaws",
    "SchedulerLaws",
    "Seen",
    "SourceLaws",
    "StepLaws",
    "TrackerLaws",
]

# A failed assert of a law says what both sides were.
pytest.register_assert_rewrite(*(f"qstore_ray.testing.{module}" for module in _EXPORTS.values()))


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_EXPORTS[name]}"), name)
