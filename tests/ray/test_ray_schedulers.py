"""Schedulers in Ray Tune itself: it runs to its end, ends trials, and hands over their values."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune

from qstore_ray.errors import ResourceError
from qstore_ray.train.config import ClusterConfig, TrainerConfig
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.driver.capacity import room
from qstore_ray.tune.schedulers import get_scheduler
from qstore_ray.tune.space.space import Space

EPOCHS = 12
TRIALS = 8
SPACE = Space.from_dict(
    {
        "trainer.learning_rate": {"type": "float", "low": 1e-3, "high": 1.0, "log": True},
        "model.layers": {"type": "int", "low": 1, "high": 8},
    }
)


def _trainable() -> type[tune.Trainable]:
    """Defined here, so that it travels to Ray's workers by value."""
    close = math.log(0.1)

    class Climbing(tune.Trainable):
        """Its score grows by as much as the learning rate is close to 0.1."""

        def setup(self, config: dict[str, Any]) -> None:
            self.reset_config(config)
            self.epoch, self.score = 0, 0.0

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.rate = new_config["values"]["trainer.learning_rate"]
            self.epoch, self.score = 0, 0.0
            return True

        def step(self) -> dict[str, Any]:
            self.epoch += 1
            self.score += math.exp(-abs(math.log(self.rate) - close))
            return {
                "score": self.score,
                "epoch": self.epoch,
                "circuit_evaluations": 100 * self.epoch,
                "rate": self.rate,
                "done": self.epoch == EPOCHS,
            }

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            state = {"epoch": self.epoch, "score": self.score}
            Path(checkpoint_dir, "state.json").write_text(json.dumps(state))

        def load_checkpoint(self, checkpoint: str) -> None:
            state = json.loads(Path(checkpoint, "state.json").read_text())
            self.epoch, self.score = state["epoch"], state["score"]

    return Climbing


def _search(name: str, options: dict[str, Any], storage: Path) -> list[dict[str, Any]]:
    scheduler = get_scheduler(name, options)
    scheduler.check(SPACE, 1, EPOCHS, 1)
    points = [SPACE.at([(k + 0.5) / TRIALS, 0.5]) for k in reversed(range(TRIALS))]
    tuner = tune.Tuner(
        tune.with_resources(_trainable(), {"CPU": 0.5}),
        param_space={
            "number": tune.grid_search(list(range(TRIALS))),
            "name": "any",
            "values": tune.sample_from(lambda config: points[config["number"]]),
        },
        tune_config=tune.TuneConfig(
            metric="score",
            mode="max",
            scheduler=scheduler.open(SPACE, epochs=EPOCHS, seed=1),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(name=name, storage_path=str(storage), verbose=0),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = tuner.fit()
    assert not results.errors
    return [{**result.metrics, "values": result.config["values"]} for result in results]


BY_COST = {"resource": "circuit_evaluations", "grace_period": 150, "max_period": 900}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("none", {}, marks=pytest.mark.slow),
        pytest.param("asha", {}, marks=pytest.mark.slow),
        pytest.param("asha", BY_COST, marks=pytest.mark.slow),
        pytest.param("hyperband", {}, marks=pytest.mark.slow),
        pytest.param("median", {"grace_period": 2, "min_samples": 2}, marks=pytest.mark.slow),
        pytest.param("pbt", {"interval": 3}, marks=pytest.mark.slow),
        pytest.param("pb2", {"interval": 3}, marks=pytest.mark.slow),
    ],
)
def test_ray_runs_a_search_with_it_to_its_end(ray_cluster, tmp_path, name, options):
    trials = _search(name, options, tmp_path)
    epochs = [trial["epoch"] for trial in trials]
    assert len(trials) == TRIALS
    best = max(trials, key=lambda trial: trial["score"])
    assert best["epoch"] == (9 if options.get("resource") else EPOCHS)
    rates = {trial["values"]["trainer.learning_rate"] for trial in trials}
    assert all(SPACE.contains(trial["values"]) for trial in trials)
    given = {SPACE.at([(k + 0.5) / TRIALS, 0.5])["trainer.learning_rate"] for k in range(TRIALS)}
    if name in ("pbt", "pb2"):
        assert set(epochs) == {EPOCHS}
        assert rates != given, "some took over others' values"
        assert all(trial["rate"] == trial["values"]["trainer.learning_rate"] for trial in trials)
    else:
        assert rates == given
        assert (min(epochs) < max(epochs)) == (name != "none"), "the bad ones ended early"


def test_workers_that_would_wait_for_each_other_are_refused_with_the_clusters_numbers(ray_cluster):
    """Two workers of a CPU each beside their trial, on two CPUs: Ray would wait without end."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    config = TuneConfig(space=SPACE.to_dict(), trials=2)
    args = (ClusterConfig(), TrainerConfig(num_workers=2), ray.cluster_resources(), nodes)
    with pytest.raises(ResourceError) as caught:
        room(config.model_copy(update={"concurrency": 2}), *args)
    assert caught.value.field == "tune.concurrency"
    assert "a trial takes 2 CPU, there are 2 CPU: 1 fit at a time" in caught.value.message
    found = room(config, *args)
    assert found.concurrency == 1
    pieces = [*found.bundles, {"CPU": 1}, {"CPU": 1}]
    group = ray.util.placement_group(pieces)
    try:
        assert group.wait(30)
    finally:
        ray.util.remove_placement_group(group)
