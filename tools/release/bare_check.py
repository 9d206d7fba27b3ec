"""Tried by the Python of a bare environment: `python -I bare_check.py [VERSION]`, in a new folder.

The program, a training, the advice with its table, and the page with its files: each needs files
that a checkout always has and a wheel may lack. It imports nothing of this repository's tools.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from importlib.metadata import version
from pathlib import Path

QSTORE = str(Path(sys.executable).with_name("qstore"))
JOB = """\
name = "bare"

[dataset]
name = "digits"
source = "sklearn"
params = { dataset = "digits" }
preprocessing = [{ name = "pca", components = 8 }, { name = "scale", factor = 0.05 }]

[model]
encoding = "dense_angle"
ansatz = "strongly_entangling"
n_qubits = 4
layers = 2

[trainer]
epochs = 1
num_workers = 0
"""


def qstore(*words: str) -> str:
    """What a command of the program prints; its messages are shown if it fails."""
    done = subprocess.run(
        [QSTORE, *words], capture_output=True, text=True, check=False, timeout=900.0
    )
    if done.returncode:
        sys.exit(f"qstore {' '.join(words)}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def check_version(wanted: str) -> None:
    """The program says the version of the release."""
    found = qstore("--version").strip()
    if found != f"qstore {wanted}":
        sys.exit(f"qstore --version says {found!r}, not 'qstore {wanted}'")


def check_kernels() -> None:
    """The exact engine is the compiled one: they are optional when the package is built."""
    from qstore_ray.simulate import _kernels

    if not _kernels.__file__.endswith(".so"):
        sys.exit(f"no compiled kernels: {_kernels.__file__}")


def check_training() -> None:
    """One epoch, and the advice on the same job."""
    Path("job.toml").write_text(JOB, "utf-8")
    qstore("train", "job.toml", "--quiet")
    if not list(Path("runs").rglob("checkpoint*")):
        sys.exit("a training of one epoch left no checkpoint in the folder runs")
    qstore("advise", "recommend", "job.toml", "--json")


def check_page() -> None:
    """The dashboard serves its page and every file that the page asks for."""
    words = [QSTORE, "dashboard", "--port", "0", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            address, _, token = url.partition("/enter#token=")
            bearer = urllib.request.Request(  # noqa: S310 - http, on this machine
                address + "/session", method="POST", headers={"Authorization": f"Bearer {token}"}
            )
            browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            browser.open(bearer, timeout=60)
            page = browser.open(address + "/", timeout=60).read().decode()
            paths = re.findall(r'(?:src|href)="(/?[\w./-]+\.(?:js|css|svg))"', page)
            if len(paths) < 3:
                sys.exit(f"the dashboard serves a page without scripts: {page[:500]}")
            for path in paths:
                browser.open(f"{address}/{path.lstrip('/')}", timeout=60)
        finally:
            server.terminate()


if __name__ == "__main__":
    check_version(*(sys.argv[1:] or [version("qstore-ray")]))
    check_kernels()
    qstore("dashboard", "--help")
    check_training()
    check_page()
