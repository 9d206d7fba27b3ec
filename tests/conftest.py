"""What every test runs under: fixed environment, repeatable Hypothesis, skips that say why."""

from __future__ import annotations

import gc
import os
import secrets
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ENVIRONMENT = {
    # Ray: no telemetry, authentication as in production but with a token of this session alone
    # (nothing is written to the home directory), never the hook that rebuilds `uv run` on workers.
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # As `ray_session` sets them where it starts Ray: no worker waits behind everything else on the
    # machine, and no actors beside the workers.
    "RAY_worker_niceness": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    # Ours: no test joins, or ends, a warm cluster of the one who runs them.
    "XDG_STATE_HOME": str(Path(tempfile.gettempdir()) / f"qstore-state-{secrets.token_hex(8)}"),
    # One thread: the same bits on every machine, and no oversubscription by several workers.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    # The width that output is wrapped at, in whatever terminal the tests run.
    "COLUMNS": "100",
    # No test may depend on, or talk to, a server outside this machine.
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
ABSENT = (
    "RAY_ADDRESS", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID",
    # Git sets these for its hooks and `rebase --exec`, and follows them instead of the folder that
    # it is called in: a test that makes a repository would commit to the one it runs from.
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY",
)  # fmt: skip

# The imports of a collection leave no garbage to speak of; see `pytest_collection_finish`.
gc.disable()

# Before any other import: BLAS, Ray and matplotlib read these once, when they are loaded.
os.environ.update(ENVIRONMENT)
for name in ABSENT:
    os.environ.pop(name, None)

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

# Which tests are fast, and the guard that keeps them so.
pytest_plugins = ("tests.tiers",)

# The same examples on every run, and no deadline: a busy machine is not a wrong answer.
settings.register_profile(
    "repeatable",
    max_examples=100 if "TEST_ALL" in os.environ else 50,  # set by `make test-all`
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")


class SkipReasons:
    """Fails the session when a test was skipped and nobody wrote why."""

    def __init__(self) -> None:
        self.silent: list[str] = []

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if text.removeprefix("Skipped").removeprefix(":").strip() in {"", "unconditional skip"}:
            self.silent.append(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.silent:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for nodeid in self.silent:
            terminalreporter.write_line(f"SKIPPED WITHOUT A REASON {nodeid}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SkipReasons(), "skip-reasons")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ray's tests take longest, so they come first."""
    items.sort(key=lambda item: item.path.parent.name != "ray")


def pytest_collection_finish() -> None:
    """What was imported stays: no later search for garbage goes through its millions of objects."""
    gc.freeze()
    gc.enable()


OWN_RAY = (
    "test_federation_driver_ray",
    "test_cluster_ray",
    "test_driver_ray",
    "test_join_ray",
    "test_tune_driver_ray",
)
"""These start Ray in processes of their own, and do not need the shared cluster."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where several processes test, each file goes to one of them.

    The files of `tests/ray` go there as two groups: no more than two clusters run at a time.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = Path(nodeid.partition("::")[0])
            if path.parent.name != "ray":
                return str(path)
            return "own Ray" if path.stem in OWN_RAY else "shared Ray"

    return ByGroup(config, log)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT as at a terminal; a shell ignores it in what it starts in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
