"""What we rely on inside Ray, beyond its public names: why its minor version is pinned."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest
import ray.tune
from ray._private import auto_init_hook, services, worker
from ray._private.node import Node
from ray.train import UserCallback
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError
from ray.tune.experiment.config_parser import _create_trial_from_spec, _make_parser

from qstore_ray.train.ray.session import head_is_gone, set_implicit_start
from qstore_ray.train.ray.workers import DataParallelTrainer, RunConfig, ScalingConfig, _Trainer
from qstore_ray.tune.driver import checks, experiment


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


# ------------------------------------------------------------------------------------------- tune


def test_tune_makes_a_trial_with_the_id_and_the_values_that_it_is_given() -> None:
    ray.tune.register_trainable("any", lambda config: None)
    spec = {"run": "any", "config": {"values": {"a": 1}}}
    trial = _create_trial_from_spec(spec, _make_parser(), trial_id="trial-0007")
    assert trial.trial_id == "trial-0007"
    assert trial.config == {"values": {"a": 1}}
    trial.set_config({"values": {"a": 2}})
    assert trial.config["values"] == {"a": 2}
    assert trial.get_error() is None


def test_tune_runs_with_all_that_we_ask_of_it() -> None:
    source = inspect.getsource(experiment._tune)
    (call,) = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "ray.tune.run"
    ]
    given = {keyword.arg for keyword in call.keywords}
    assert len(given) > 5
    assert given <= set(inspect.signature(ray.tune.run).parameters)


@pytest.mark.parametrize("name", experiment._SETTINGS)
def test_tune_still_reads_the_settings_that_we_make(name: str) -> None:
    """Each is asked for somewhere by its name, or by a constant of this name."""
    asks = re.compile(rf"(getenv|environ\.get|env_\w+|bool_env)\(\s*\"?{name}\b", re.MULTILINE)
    root = Path(ray.__file__).parent
    files = [f for part in ("tune", "air", "train") for f in (root / part).rglob("*.py")]
    used = (file for file in files if "tests" not in file.relative_to(root).parts)
    assert any(asks.search(file.read_text(encoding="utf-8")) for file in used)


def test_ray_keeps_the_address_of_its_dashboard_where_we_look() -> None:
    assert isinstance(inspect.getattr_static(Node, "webui_url"), property)
    assert hasattr(ray._private.worker.global_worker, "node")
    assert not checks._has_dashboard(), "there is no Ray in this process"


# --------------------------------------------------------------------------------- a Ray of our own


def test_ray_starts_its_processes_by_what_we_put_in_its_place() -> None:
    source = inspect.getsource(services.start_ray_process)
    assert source.count("Popen(") == source.count("ConsolePopen(") == 1
    assert "process_group" not in source


def test_ray_prints_what_its_processes_report_where_we_put_silence() -> None:
    source = inspect.getsource(worker.connect)
    assert source.count("target=listen_error_messages,") == 1
    assert source.count("args=(worker, worker.threads_stopped),") == 1
    assert "print_to_stdstream" in inspect.getsource(worker.listen_error_messages)


def test_ray_train_tells_of_failed_workers_before_it_starts_them_again() -> None:
    asked = inspect.signature(UserCallback.after_exception).parameters
    assert list(asked) == ["self", "run_context", "worker_exceptions"]
    assert WorkerHealthCheckFailedError("no", error := ValueError()).health_check_failure is error


def test_ray_says_which_of_its_processes_have_ended() -> None:
    assert list(inspect.signature(Node.dead_processes).parameters) == ["self"]
    assert not head_is_gone(), "there is no Ray in this process"


def test_ray_starts_itself_unless_it_is_told_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "init", lambda: pytest.fail("a Ray was started"))
    usual = set_implicit_start(False)
    try:
        auto_init_hook.auto_init_ray()
    finally:
        assert set_implicit_start(usual) is False
