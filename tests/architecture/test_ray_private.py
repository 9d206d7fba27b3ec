"""What we rely on inside Ray, beyond its public names: why its minor version is pinned."""

from __future__ import annotations

from pathlib import Path

from ray.train.v2._internal.callbacks.datasets import DatasetsCallback

from qstore_ray.train.ray_runner import DataParallelTrainer, RunConfig, ScalingConfig, _Trainer


def test_the_trainer_starts_without_rays_data_manager_and_with_all_else(tmp_path: Path) -> None:
    def callbacks(trainer: type[DataParallelTrainer]) -> list[type]:
        made = trainer(
            lambda: None,
            scaling_config=ScalingConfig(num_workers=1),
            run_config=RunConfig(name="any", storage_path=str(tmp_path)),
        )
        return [type(callback) for callback in made._create_default_callbacks()]

    usual = callbacks(DataParallelTrainer)
    assert DatasetsCallback in usual
    assert callbacks(_Trainer) == [kind for kind in usual if kind is not DatasetsCallback]
