"""Registries: one form for every family, members by name, of this package and of others."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import pytest

from qstore_ray.backends import BACKENDS
from qstore_ray.circuits.library.library import ANSATZE, ENCODINGS
from qstore_ray.config import Config
from qstore_ray.data.augment.config import AUGMENTATIONS
from qstore_ray.data.prepare.step_config import STEPS
from qstore_ray.data.sources.base import SOURCES
from qstore_ray.errors import ConfigError, MissingDependencyError, UnknownNameError
from qstore_ray.learn.gradients import GRADIENTS
from qstore_ray.learn.optimizers import OPTIMIZERS, get_optimizer
from qstore_ray.learn.schedules import SCHEDULES
from qstore_ray.registry import Registry
from qstore_ray.track.base import TRACKERS
from qstore_ray.train.callbacks import CALLBACKS
from qstore_ray.tune.samplers import SAMPLERS
from qstore_ray.tune.schedulers import SCHEDULERS
from tests.guides import DOCS

FAMILIES = (
    ANSATZE,
    AUGMENTATIONS,
    BACKENDS,
    CALLBACKS,
    ENCODINGS,
    GRADIENTS,
    OPTIMIZERS,
    SAMPLERS,
    SCHEDULERS,
    SCHEDULES,
    SOURCES,
    STEPS,
    TRACKERS,
)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.kind)
def test_every_built_in_member_is_found_and_knows_its_name(family: Registry):
    for name in family.built_in():
        assert family.name_of(family[name]) == name


def test_names_are_known_before_anything_is_imported():
    for module in [name for name in sys.modules if name.endswith("optimizers.qn_spsa")]:
        del sys.modules[module]
    assert "qn_spsa" in OPTIMIZERS
    assert list(OPTIMIZERS) == sorted(OPTIMIZERS.built_in())
    assert "qstore_ray.learn.optimizers.qn_spsa" not in sys.modules


def test_an_unknown_name_is_an_error_with_the_nearest_one():
    with pytest.raises(UnknownNameError, match="Did you mean 'adam'"):
        get_optimizer("adm", {})


def test_what_is_registered_is_known_and_the_same_pair_changes_nothing():
    family: Registry[type] = Registry("thing", {"one": "builtins:int"})
    family.register("two", str)
    family.register("two", str)
    assert dict(family) == {"one": int, "two": str}
    assert len(family) == 2
    assert family.name_of(str) == "two"
    assert family.name_of(bytes) is None
    with pytest.raises(ConfigError, match="a thing of this name exists"):
        family.register("one", bytes)
    family.unregister("two")
    assert "two" not in family


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that declares a schedule, installed as pip would leave it."""
    (tmp_path / "halves.py").write_text(
        "from qstore_ray.learn.schedules.constant import Constant\n"
        "\n\nclass Half(Constant):\n    pass\n"
        "\n\nclass NoSchedule:\n    pass\n"
    )
    info = tmp_path / "halves-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: halves\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[qstore_ray.schedules]\nhalf = halves:Half\nlost = halves:Lost\nnone = halves:NoSchedule\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return tmp_path


@pytest.mark.usefixtures("other_package")
def test_a_member_that_another_package_declares_is_one_of_the_family():
    assert {"half", "constant"} <= set(SCHEDULES)
    assert SCHEDULES["half"].__name__ == "Half"
    assert SCHEDULES.name_of(SCHEDULES["half"]) == "half"


def test_a_package_that_is_installed_or_removed_while_python_runs_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "half" not in SCHEDULES
    info = tmp_path / "halves-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[qstore_ray.schedules]\nhalf = halves:Half\n")
    assert "half" in SCHEDULES
    shutil.rmtree(info)
    assert "half" not in SCHEDULES


@pytest.mark.usefixtures("other_package")
def test_a_declared_member_that_cannot_be_imported_is_an_error_that_names_it():
    with pytest.raises(MissingDependencyError, match="halves:Lost") as caught:
        SCHEDULES["lost"]
    assert caught.value.value == "lost"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.kind)
def test_the_guide_names_the_group_of_every_family(family: Registry):
    assert f"| `{family.group}` |" in (DOCS / "extending.md").read_text("utf-8")


class Nothing(Config):
    """A class without any method of a family."""


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.kind)
def test_an_object_is_refused_where_a_class_is_registered(family: Registry):
    with pytest.raises(ConfigError, match="registered as a class") as caught:
        family.register("nothing", Nothing())
    assert "Nothing" in caught.value.fix
    assert "nothing" not in family


@pytest.mark.parametrize(
    ("family", "fix"),
    [
        (AUGMENTATIONS, "Add apply to Nothing, and derive it from Augmentation."),
        (BACKENDS, "Add check and evaluate to Nothing."),
        (GRADIENTS, "Add plan to Nothing."),
        (OPTIMIZERS, "Add init and update to Nothing."),
        (SAMPLERS, "Add points to Nothing."),
        (SCHEDULERS, "Add check, open and decides to Nothing, and derive it from Scheduler."),
        (SCHEDULES, "Add init and update to Nothing."),
        (SOURCES, "Add Params and read to Nothing, and derive it from SourceAdapter."),
        (STEPS, "Add fit and apply to Nothing, and derive it from Step."),
        (TRACKERS, "Add start, epoch and finish to Nothing."),
    ],
    ids=lambda value: value.kind if isinstance(value, Registry) else "",
)
def test_a_class_without_the_methods_of_its_family_is_refused(family: Registry, fix: str):
    with pytest.raises(ConfigError, match=f"{family.kind} has") as caught:
        family.register("nothing", Nothing)
    assert caught.value.fix == fix
    assert "nothing" not in family


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.kind)
def test_every_built_in_member_would_be_accepted_from_another_package(family: Registry):
    for name in family.built_in():
        family.register(f"{name} again", family[name])
        family.unregister(f"{name} again")


@pytest.mark.usefixtures("other_package")
def test_a_declared_member_without_the_methods_of_its_family_is_an_error_that_names_them():
    with pytest.raises(ConfigError, match="a schedule has init and update") as caught:
        SCHEDULES["none"]
    assert caught.value.fix == "Add init and update to NoSchedule."
