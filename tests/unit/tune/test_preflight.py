"""How many trials fit: by hand, and by laws over clusters that Hypothesis draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.errors import ConfigError, ResourceError
from qstore_ray.testing.search_spaces import NUMBERS
from qstore_ray.train.config import ClusterConfig, TrainerConfig
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.driver.capacity import Room, check_dashboard, needs_dashboard, room
from qstore_ray.tune.driver.checks import check_one_machine

MANY = 1000


def _room(
    nodes: Sequence[Mapping[str, float]], *, workers: int = 0, cpus: float = 1.0, **options
) -> Room:
    config = TuneConfig(**{"space": NUMBERS, "trials": MANY, **options})
    names = {name for node in nodes for name in node}
    available = {name: sum(node.get(name, 0.0) for node in nodes) for name in names}
    trainer = TrainerConfig(num_workers=workers)
    return room(config, ClusterConfig(cpus_per_worker=cpus), trainer, available, nodes)


def _refused(nodes: Sequence[Mapping[str, float]], **options) -> ResourceError:
    with pytest.raises(ResourceError) as caught:
        _room(nodes, **options)
    return caught.value


@pytest.mark.parametrize(
    ("nodes", "options", "concurrency"),
    [
        ([{"CPU": 8}], {}, 8),
        ([{"CPU": 3}, {"CPU": 3}], {"cpus_per_trial": 2}, 2),  # 6 CPUs, but not in pairs
        ([{"CPU": 1}], {"cpus_per_trial": 0.3}, 3),
        ([{"CPU": 8, "GPU": 1}], {"gpus_per_trial": 0.3}, 3),
        ([{"CPU": 8, "GPU": 2}], {"gpus_per_trial": 0.4}, 4),  # two of each GPU, not five of both
        ([{"CPU": 8, "GPU": 5}], {"gpus_per_trial": 2}, 2),
        ([{"CPU": 8, "qpu_gateway": 1}, {"CPU": 8}], {"resources": {"qpu_gateway": 0.25}}, 4),
        ([{"CPU": 8}], {"parts_at_once": 3, "seeds": 3}, 2),
        ([{"CPU": 8}], {"parts_at_once": 3, "seeds": 2}, 4),  # there are but two at once
        ([{"CPU": 4}] * 2, {"workers": 3}, 2),
        ([{"CPU": 4}] * 2, {"workers": 1}, 8),  # the trials themselves take none
        ([{"CPU": 2}], {"workers": 2}, 1),
        ([{"CPU": 2}], {"workers": 2, "cpus": 0.5}, 2),
        ([{"CPU": 8}], {"trials": 5}, 5),
        ([{"CPU": 8}], {"concurrency": 3}, 3),
    ],
)
def test_by_hand(nodes, options, concurrency):
    assert _room(nodes, **options).concurrency == concurrency


def test_what_tune_reserves_and_why_there_are_no_more():
    found = _room([{"CPU": 8, "GPU": 4}], gpus_per_trial=0.5, parts_at_once=2, seeds=4)
    assert found.bundles == [{"CPU": 1.0, "GPU": 0.5}, {"CPU": 1.0, "GPU": 0.5}]
    assert found.why == "a trial takes 2 CPU, 1 GPU, there are 8 CPU, 4 GPU"
    found = _room([{"CPU": 8, "q": 1}], workers=2, resources={"q": 0.25})
    assert found.bundles == [{"memory": 2**20, "q": 0.25}]
    assert found.why == "a trial takes 2 CPU, 0.25 q, there are 8 CPU, 1 q"
    assert _room([{"CPU": 8}], trials=2).why == "there are 2 trials"
    assert _room([{"CPU": 8}], concurrency=2).why == "concurrency is 2"


@pytest.mark.parametrize(
    ("nodes", "options", "field", "words"),
    [
        ([{"CPU": 2}], {"cpus_per_trial": 3}, "tune.cpus_per_trial", "Take 2 or less"),
        ([{"CPU": 2}] * 2, {"cpus_per_trial": 3}, "tune.cpus_per_trial", "Take 2 or less"),
        ([{"CPU": 2}], {"gpus_per_trial": 0.5}, "tune.gpus_per_trial", "gpus_per_trial = 0"),
        ([{"CPU": 2}], {"resources": {"q": 1}}, "tune.resources.q", "--resources='{\"q\": 1}'"),
        ([{"CPU": 2}], {"parts_at_once": 3, "seeds": 3}, "tune.parts_at_once", "fewer at once"),
        ([{"CPU": 2}], {"concurrency": 3}, "tune.concurrency", "concurrency = 2"),
        ([{"CPU": 2}], {"workers": 3}, "tune.workers_per_trial", "cpus_per_worker = 0.66"),
        ([{"CPU": 1}, {"CPU": 3}], {"workers": 5}, "tune.workers_per_trial", "worker = 0.75"),
        ([{"CPU": 1}] * 4, {"workers": 1, "cpus": 2}, "cluster.cpus_per_worker", "Take 1 or"),
        ([{"CPU": 4}], {"workers": 2, "resources": {"q": 1}}, "tune.resources.q", "--resources"),
        (
            [{"CPU": 4}],
            {"workers": 2, "concurrency": 3},
            "tune.concurrency",
            "concurrency = 2",
        ),
    ],
)
def test_what_has_no_room_is_refused_with_the_numbers(nodes, options, field, words):
    error = _refused(nodes, **options)
    assert error.field == field
    assert words in error.fix
    assert error.exit_code == 2


def test_the_deadlock_of_trials_that_wait_for_each_others_workers_is_refused():
    """Two trials, two workers of a CPU each, two CPUs: Ray itself waits without end."""
    assert _room([{"CPU": 2}], workers=2, trials=2).concurrency == 1
    error = _refused([{"CPU": 2}], workers=2, trials=2, concurrency=2)
    assert "a trial takes 2 CPU, there are 2 CPU: 1 fit at a time" in error.message
    error = _refused([{"CPU": 2}], workers=3)
    assert "3 workers of 1 CPUs takes 3 CPU, there are 2 CPU" in error.message


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"gpus_per_trial": 1.5}, "tune.gpus_per_trial"),
        ({"cpus_per_trial": 1e-5}, "tune.cpus_per_trial"),
        ({"resources": {"q": 1e-5}}, "tune.resources.q"),
    ],
)
def test_amounts_that_ray_cannot_hand_out_are_refused(options, field):
    with pytest.raises(ConfigError) as caught:
        _room([{"CPU": 8, "GPU": 8, "q": 8}], **options)
    assert caught.value.field == field
    assert caught.value.fix


def test_what_is_taken_by_others_does_not_count():
    config = TuneConfig(space=NUMBERS, trials=MANY)
    args = (config, ClusterConfig(), TrainerConfig())
    assert room(*args, {"CPU": 3.5}, [{"CPU": 8.0}]).concurrency == 3
    with pytest.raises(ResourceError) as caught:
        room(*args, {"CPU": 0.5}, [{"CPU": 8.0}])
    assert "there are 0.5 CPU" in caught.value.message


@pytest.mark.parametrize(("scheduler", "workers"), [("none", 2), ("asha", 0), ("asha", 2)])
def test_trials_with_workers_are_ended_early_only_with_a_dashboard(scheduler, workers):
    config = TuneConfig(space=NUMBERS, scheduler=scheduler)
    trainer = TrainerConfig(num_workers=workers)
    check_dashboard(config, trainer, dashboard=True)
    if not needs_dashboard(config, trainer):
        assert scheduler == "none" or not workers
        check_dashboard(config, trainer, dashboard=False)
        return
    with pytest.raises(ResourceError) as caught:
        check_dashboard(config, trainer, dashboard=False)
    assert (caught.value.field, caught.value.value) == ("tune.scheduler", "asha")
    assert "ray[default]" in caught.value.fix


# ------------------------------------------------------------------------------------------- laws

hundredths = st.integers(20, 300).map(lambda k: k / 100)
clusters = st.lists(
    st.fixed_dictionaries({"CPU": st.integers(1, 6), "q": st.integers(0, 3)}),
    min_size=1,
    max_size=4,
)


def _packs(pieces: list[dict[str, float]], nodes: list[dict[str, float]]) -> bool:
    """Whether equal pieces can be placed, by trying: one after another, wherever one fits."""
    free = [dict(node) for node in nodes]
    for piece in pieces:
        home = next((n for n in free if all(n[r] >= a - 1e-9 for r, a in piece.items())), None)
        if home is None:
            return False
        for name, amount in piece.items():
            home[name] -= amount
    return True


@given(clusters, hundredths, st.one_of(st.just(0.0), hundredths), st.integers(1, 3))
def test_trials_in_one_process_fit_and_one_more_would_not(nodes, cpus, gateway, parts):
    options = {"cpus_per_trial": cpus, "parts_at_once": parts, "seeds": parts}
    resources = {"resources": {"q": gateway}} if gateway else {}
    try:
        found = _room(nodes, **options, **resources)
    except ResourceError:
        piece = {"CPU": cpus, **({"q": gateway} if gateway else {})}
        assert not _packs([piece] * parts, nodes)
        return
    assert _packs(found.bundles * found.concurrency, nodes)
    assert not _packs(found.bundles * (found.concurrency + 1), nodes)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 3), st.integers(20, 200))
def test_workers_fit_and_those_of_one_trial_more_would_not(sizes, workers, hundredth):
    nodes, cpus = [{"CPU": size} for size in sizes], hundredth / 100
    try:
        count = _room(nodes, workers=workers, cpus=cpus).concurrency
    except ResourceError:
        count = 0
    assert _packs([{"CPU": cpus}] * (workers * count), nodes)
    assert not _packs([{"CPU": cpus}] * (workers * (count + 1)), nodes)


@pytest.mark.parametrize(
    ("storage", "machines", "refused"),
    [
        ("s3://bucket/runs", {"a", "b"}, True),
        ("s3://bucket/runs", {"a"}, False),  # however many nodes it runs
        ("/shared/runs", {"a", "b"}, False),
        ("file:///shared/runs", {"a", "b"}, False),
    ],
)
def test_checkpoints_of_an_object_store_are_not_handed_over_between_machines(
    storage: str, machines: set[str], refused: bool
) -> None:
    if not refused:
        check_one_machine("hyperband", storage, machines)
        return
    with pytest.raises(ConfigError, match="object store, and the cluster has 2 machines") as caught:
        check_one_machine("hyperband", storage, machines)
    assert caught.value.field == "tune.scheduler"
