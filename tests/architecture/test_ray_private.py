"""What we rely on inside Ray, beyond its public names: why its minor version is pinned."""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
from pathlib import Path

import pytest
import ray.tune
from ray._common.utils import get_default_ray_temp_dir, get_ray_address_file
from ray._private import auto_init_hook, ray_constants, services, worker
from ray._private.accelerators import get_accelerator_manager_for_resource
from ray._private.node import Node
from ray._private.parameter import RayParams
from ray._raylet import AuthenticationTokenLoader, Config
from ray.cluster_utils import Cluster
from ray.core.generated.node_manager_pb2 import PrestartWorkersRequest
from ray.train import UserCallback
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError
from ray.train.v2._internal.execution.controller.controller import TrainController
from ray.train.v2._internal.execution.scaling_policy import ScalingPolicy
from ray.train.v2._internal.execution.worker_group import RayTrainWorker, WorkerGroup
from ray.train.v2._internal.execution.worker_group.thread_runner import ThreadRunner
from ray.tune.experiment.config_parser import _create_trial_from_spec, _make_parser

from qstore_ray.cluster import find, start, supervisor
from qstore_ray.cluster.size import ClusterSize
from qstore_ray.train.ray.controller import (
    DataParallelTrainer,
    DriverTrainer,
    FixedWorkers,
    UncoordinatedPolicy,
)
from qstore_ray.train.ray.session import set_implicit_start
from qstore_ray.train.ray.side_effects import no_monitors, ray_is_lost
from qstore_ray.train.ray.workers import RunConfig, ScalingConfig
from qstore_ray.tune.driver import checks, experiment

_COPIED = {
    "_start_impl": "1f4c2b9acf4cc8d8",
    "_init_train_context_on_workers": "ef1e7879cd7c702e",
    "_get_worker_runtime_env": "f9e474ab7d7ff83a",
    "_get_poll_tasks": "82799561ff7667d3",
}


class _Callbacks:
    """The kinds of callbacks that a trainer starts with; Ray runs, or seems to run in an actor."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, actor: str | None) -> None:
        context = type("Context", (), {"get_actor_id": lambda self: actor})
        monkeypatch.setattr(ray, "get_runtime_context", context)
        self._storage = str(tmp_path)

    def of(self, trainer: type[DataParallelTrainer]) -> list[type]:
        made = trainer(
            lambda: None,
            scaling_config=ScalingConfig(num_workers=1),
            run_config=RunConfig(name="any", storage_path=self._storage),
        )
        return [type(callback) for callback in made._create_default_callbacks()]


@pytest.mark.parametrize("actor", [None, "a trial"])
def test_the_trainer_starts_without_rays_own_actors(tmp_path, monkeypatch, actor) -> None:
    callbacks = _Callbacks(tmp_path, monkeypatch, actor)
    usual = callbacks.of(DataParallelTrainer)
    spared = {DatasetsCallback} if actor else {DatasetsCallback, PlacementGroupCleanerCallback}
    assert spared < set(usual)
    assert callbacks.of(DriverTrainer) == [kind for kind in usual if kind not in spared]


def test_ray_trains_controller_can_run_in_this_process() -> None:
    made = inspect.getsource(DataParallelTrainer._initialize_and_run_controller)
    assert "controller.run.remote()" in made
    assert "controller.get_result.remote()" in made
    assert inspect.iscoroutinefunction(TrainController.run)
    started = inspect.getsource(TrainController._start_worker_group)
    assert "self.worker_group_cls.create(" in started


@pytest.mark.parametrize("name", _COPIED)
def test_the_workers_are_started_as_ray_starts_them(name: str) -> None:
    """We have a copy of each without what we spare: here is what they were copied from."""
    source = inspect.getsource(getattr(WorkerGroup, name))
    assert hashlib.sha256(source.encode()).hexdigest()[:16] == _COPIED[name], source


def test_a_worker_of_ray_train_answers_from_the_thread_that_it_started() -> None:
    assert WorkerGroup._worker_cls is RayTrainWorker
    assert "self._thread.start()" in inspect.getsource(ThreadRunner.run)
    assert ".training_thread_runner.is_running()" in inspect.getsource(RayTrainWorker.poll_status)
    polled = inspect.getsource(TrainController._poll_workers)
    assert "self._worker_group.poll_status(timeout=" in polled
    waited = inspect.getsource(WorkerGroup._poll_workers_and_collect_errors)
    assert "num_returns=len(poll_task_to_world_rank)" in waited


def test_ray_train_asks_the_coordinator_where_we_say_nothing() -> None:
    for name in ("after_controller_start", "_maybe_send_resource_request"):
        assert inspect.isfunction(getattr(ScalingPolicy, name))
        assert getattr(FixedWorkers, name) is getattr(UncoordinatedPolicy, name)
    policy = FixedWorkers(ScalingConfig(num_workers=3))
    policy.after_controller_start(None)
    assert policy.make_decision_for_non_running_worker_group().num_workers == 3
    policy.before_controller_abort()  # it has nothing to take back


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


def test_ray_starts_its_monitors_by_what_we_leave_out() -> None:
    """Its own test clusters have nodes without either, so nothing waits for them."""
    for name in ("start_monitor", "start_log_monitor"):
        started = inspect.getsource(Node.start_head_processes) + inspect.getsource(
            Node.start_ray_processes
        )
        assert started.count(f"self.{name}()") == 1
        assert list(inspect.signature(getattr(Node, name)).parameters) == ["self"]
    usual = Node.start_monitor, Node.start_log_monitor
    with no_monitors():
        assert Node.start_monitor is not usual[0]
        assert Node.start_log_monitor is not usual[1]
    assert (Node.start_monitor, Node.start_log_monitor) == usual


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
    assert not ray_is_lost(), "there is no Ray in this process"


def test_ray_starts_itself_unless_it_is_told_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "init", lambda: pytest.fail("a Ray was started"))
    usual = set_implicit_start(False)
    try:
        auto_init_hook.auto_init_ray()
    finally:
        assert set_implicit_start(usual) is False


# ---------------------------------------------------------------------------------- a warm cluster


def test_ray_starts_several_nodes_with_all_that_we_ask_of_it() -> None:
    source = inspect.getsource(supervisor._started)
    asked = {
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and str(node.value).isidentifier()
    } - {"GPU", True}
    assert len(asked) == 8, asked
    assert asked <= set(inspect.signature(RayParams.__init__).parameters)
    assert get_accelerator_manager_for_resource("GPU") is not None
    assert set(supervisor._NEEDED) == {"gcs_server", "raylet"}
    for name in ("address", "add_node", "list_all_nodes", "shutdown"):
        assert hasattr(Cluster, name)
    assert ClusterSize((1,), 80).cpus


def test_ray_stays_on_loopback_by_the_variable_that_we_set(monkeypatch) -> None:
    (name,) = find.LOOPBACK
    assert name == ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    monkeypatch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)
    assert services.get_node_ip_address() == "127.0.0.1"
    assert services.resolve_ip_for_localhost("127.0.0.1:1") == "127.0.0.1:1"


def test_ray_keeps_its_note_of_the_newest_address_in_our_folder(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert get_default_ray_temp_dir() == str(tmp_path / "ray")
    assert get_ray_address_file(None).startswith(str(tmp_path))


@pytest.mark.parametrize("name", ["RAY_preload_python_modules", "RAY_enable_worker_prestart"])
def test_ray_still_has_the_settings_of_its_compiled_part_that_we_make(name: str) -> None:
    assert name in start.SETTINGS
    raylet = Path(ray.__file__).parent / "core" / "src" / "ray" / "raylet" / "raylet"
    assert name.removeprefix("RAY_").encode() in raylet.read_bytes()


def test_ray_starts_workers_without_a_job_when_a_node_is_asked_for_some() -> None:
    asked = {"language", "num_workers", "keep_alive_duration_secs"}
    given = set(PrestartWorkersRequest.DESCRIPTOR.fields_by_name)
    assert given == asked | {"job_id", "runtime_env_info"}
    for name in ("node_ip_address", "node_manager_port"):
        assert isinstance(inspect.getattr_static(Node, name), property)


def test_ray_forgets_its_token_when_it_is_asked_to(monkeypatch) -> None:
    for token in ("a" * 32, "b" * 32):
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)
        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()
        assert token in AuthenticationTokenLoader.instance().get_token_for_http_header(True).get(
            "authorization", ""
        )
