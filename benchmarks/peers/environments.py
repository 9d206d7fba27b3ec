"""The virtual environments of the peers: one for each set of packages, made when it is missing.

The peers' packages would fight over versions in one environment, and none of them is needed to use
qstore_ray. Each environment is kept in `.envs/<name>` until its table entry changes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = HERE / ".envs"
ROOT = HERE.parents[1]
OWN = "own"

_JAX = ("jax==0.10.2", "jaxlib==0.10.2", "numpy==2.4.6", "scipy==1.17.1")
PACKAGES: dict[str, tuple[str, ...]] = {
    "pennylane": ("pennylane==0.45.1", "pennylane-lightning==0.45.0", *_JAX),
    # The protocol of the advantage check, as scikit-learn and PennyLane give it.
    "pennylane-sklearn": ("pennylane==0.45.1", "scikit-learn==1.9.1", *_JAX),
    "tensorcircuit": ("tensorcircuit-ng==1.10.0", *_JAX),
    "quimb": ("quimb==1.16.0", "cotengra==0.8.3", "autoray==0.11.0", *_JAX),
    "qulacs": ("qulacs==0.6.14", "numpy==2.4.6", "scipy==1.17.1"),
    "qiskit": (
        "qiskit==2.6.2",
        "qiskit-aer==0.18.2",
        "qiskit-machine-learning==0.9.1",
        "numpy==2.4.6",
        "scipy==1.17.1",
    ),
    "jax": _JAX,
    "qiskit-ibm": (
        "qiskit==2.6.2",
        "qiskit-ibm-runtime==0.51.0",
        "qiskit-machine-learning==0.9.1",
        "numpy==2.4.6",
        "scipy==1.17.1",
    ),
    # The plugin takes no newer client. Without a pin, uv tries releases that cannot be built.
    "pennylane-qiskit": (
        "pennylane==0.45.1",
        "pennylane-qiskit==0.45.0",
        "qiskit==2.3.0",
        "qiskit-aer==0.17.2",
        "qiskit-ibm-runtime==0.45.1",
        "ibm-platform-services==0.77.1",
        "numpy==2.4.6",
        "scipy==1.17.1",
    ),
    # Accountants of differential privacy. Its pin attrs<24 does not join our lock.
    "dp-accounting": ("dp-accounting==0.6.0",),
    # Flower, with what a client of ours imports. Its simulations pin an older Ray than ours.
    "flower": (
        "flwr[simulation]==1.42.0",
        "numpy==2.4.6",
        "pydantic==2.14.3",
        "cryptography==50.0.2",
        "xxhash==4.1.0",
        "scikit-learn==1.9.1",
    ),
    # The usual way to private training of a circuit. torch's wheel for CPUs alone is enough: it is
    # taken from the folder that UV_FIND_LINKS names, if it is there.
    "opacus": (
        "pennylane==0.45.1",
        "pennylane-lightning==0.45.0",
        "opacus==1.6.0",
        "torch==2.13.0",
        "numpy==2.4.6",
        "scipy==1.17.1",
    ),
}


class InstallError(RuntimeError):
    """An environment could not be made; the text is what the installer said."""


def python_of(name: str) -> Path:
    """The interpreter of an environment; `own` is the one that runs this program."""
    return Path(sys.executable) if name == OWN else FOLDER / name / "bin" / "python"


def make(name: str) -> float:
    """Make the environment unless it is there; the seconds it took.

    Raises:
        InstallError: the packages could not be installed.
    """
    if name == OWN:
        return 0.0
    folder, stamp = FOLDER / name, FOLDER / name / "packages.json"
    wanted = json.dumps(PACKAGES[name])
    if stamp.exists() and stamp.read_text() == wanted:
        return 0.0
    began = time.perf_counter()
    shutil.rmtree(folder, ignore_errors=True)
    uv = ROOT / ".venv" / "bin" / "uv"
    python = str(python_of(name))
    if uv.exists():
        _run([str(uv), "venv", "--quiet", "--python", sys.executable, str(folder)])
        _run([str(uv), "pip", "install", "--quiet", "--python", python, *PACKAGES[name]])
    else:
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([python, "-m", "pip", "install", "--quiet", *PACKAGES[name]])
    stamp.write_text(wanted)
    return time.perf_counter() - began


def versions(name: str) -> dict[str, str]:
    """Every package of the environment with its version."""
    code = (
        "import importlib.metadata as m, json, platform; "
        "print(json.dumps({'python': platform.python_version()} "
        "| {d.name.lower().replace('_', '-'): d.version for d in m.distributions()}))"
    )
    found = json.loads(_run([str(python_of(name)), "-c", code]))
    return dict(sorted(found.items()))


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no message"]
        raise InstallError(f"{Path(command[0]).name}: {said[-1][:300]}")
    return done.stdout
