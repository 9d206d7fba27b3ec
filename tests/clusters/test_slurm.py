"""The script for Slurm, with stand-ins of srun and scontrol that run everything on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.clusters.manifests import ROOT

SCRIPT = ROOT / "clusters/slurm.sh"
SRUN = '#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\nexec "$@"\n'
SCONTROL = "#!/bin/sh\necho one\necho two\n"
HOSTNAME = "#!/bin/sh\necho 127.0.0.1\n"
# `ray start`: a head listens, and both end on SIGTERM.
RAY = """#!{python}
import os, pathlib, signal, socket, sys
here = pathlib.Path(__file__).parent.parent
role = "head" if "--head" in sys.argv else "worker"
def end(*_):
    (here / "ended").open("a").write(role + "\\n")
    raise SystemExit(0)
signal.signal(signal.SIGTERM, end)
token = pathlib.Path(os.environ["RAY_AUTH_TOKEN_PATH"])
mode = token.stat().st_mode & 0o777
(here / role).write_text(f"{{mode:o}} {{len(token.read_text())}} {{sys.argv}}")
if role == "head":
    port = next(word for word in sys.argv if word.startswith("--port=")).partition("=")[2]
    listener = socket.create_server(("127.0.0.1", int(port)))
signal.pause()
"""
# The wait for the nodes is skipped, `qstore-resume` runs.
PYTHON = '#!/bin/sh\n[ "$1" = - ] && exit 0\nexec {python} "$@"\n'


def _program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    """The environment of a job of Slurm with two nodes."""
    bin_ = tmp_path / "bin"
    for name, text in [("srun", SRUN), ("scontrol", SCONTROL), ("hostname", HOSTNAME)]:
        _program(bin_, name, text)
    _program(bin_, "ray", RAY.format(python=sys.executable))
    _program(bin_, "python", PYTHON.format(python=sys.executable))
    return {
        **os.environ,
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "QSTORE_BIN": str(bin_),
        "QSTORE_PRIVATE": str(tmp_path / "private"),
        "SLURM_SUBMIT_DIR": str(ROOT),
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_CPUS_PER_TASK": "1",
    }


def _start(slurm: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", SCRIPT, "train", "job.toml", "--name", "digits", "--storage", str(folder)],
        env=slurm, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_the_job_has_a_cluster_with_a_token_and_leaves_nothing(
    slurm: dict[str, str], tmp_path: Path
):
    (qstore := tmp_path / "bin/qstore").write_text(
        '#!/bin/sh\nwhile [ ! -e worker ]; do sleep 0.05; done\necho "$RAY_ADDRESS $*"\nexit 4\n'
    )
    qstore.chmod(0o755)
    job = _start(slurm, tmp_path)
    out, _ = job.communicate(timeout=60)
    assert job.returncode == 4, out  # of the training
    port = 20000 + int(slurm["SLURM_JOB_ID"]) % 4000 * 3
    assert f"127.0.0.1:{port} train job.toml --name digits" in out
    head, worker = ((tmp_path / role).read_text() for role in ("head", "worker"))
    assert head.startswith("600 64 ")
    assert worker.startswith("600 64 ")
    assert "'--dashboard-host=127.0.0.1'" in head
    assert "--address=127.0.0.1" in worker
    assert (tmp_path / "ended").read_text().split() == ["worker", "head"]
    assert list((tmp_path / "private").iterdir()) == []


def test_the_end_of_the_time_stops_the_training_first(slurm: dict[str, str], tmp_path: Path):
    """Slurm signals the script alone; a training with its checkpoint written ends with 5."""
    (qstore := tmp_path / "bin/qstore").write_text(
        "#!/bin/bash\ntrap 'echo checkpoint; exit 5' TERM\ntouch running\n"
        "while true; do sleep 0.05; done\n"
    )
    qstore.chmod(0o755)
    job = _start(slurm, tmp_path)
    while not ((tmp_path / "running").exists() and (tmp_path / "worker").exists()):
        assert job.poll() is None
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)
    out, _ = job.communicate(timeout=60)
    assert job.returncode == 5, out
    assert "checkpoint" in out
    assert (tmp_path / "ended").read_text().split() == ["worker", "head"]
    assert list((tmp_path / "private").iterdir()) == []


def test_a_head_that_does_not_start_ends_the_job(slurm: dict[str, str], tmp_path: Path):
    _program(tmp_path / "bin", "ray", "#!/bin/sh\necho no memory >&2\nexit 3\n")
    job = _start(slurm, tmp_path)
    out, _ = job.communicate(timeout=60)
    assert job.returncode != 0
    assert "no memory" in out
    assert list((tmp_path / "private").iterdir()) == []


@pytest.mark.ray
@pytest.mark.slow
def test_a_real_ray_joins_both_nodes(slurm: dict[str, str], tmp_path: Path):
    """The worker count is what the driver sees by the token of the job."""
    for name, module in (("ray", "-m ray.scripts.scripts "), ("python", "")):
        _program(
            tmp_path / "bin", name, f'#!/bin/sh\nexec {sys.executable} {module}"$@"\n'
        )  # fmt: skip
    _program(
        tmp_path / "bin", "qstore",
        f"#!{sys.executable}\nimport ray\nray.init(log_to_driver=False)\n"
        "print('nodes', len(ray.nodes()), ray.cluster_resources()['CPU'])\n",
    )  # fmt: skip
    plain = {key: value for key, value in slurm.items() if not key.startswith("RAY_AUTH")}
    job = _start({**plain, "QSTORE_OBJECT_STORE": "90000000"}, tmp_path)
    out, _ = job.communicate(timeout=170)
    assert job.returncode == 0, out
    assert "nodes 2 2.0" in out
    assert not Path(f"/tmp/ray-{slurm['SLURM_JOB_ID']}").exists()
