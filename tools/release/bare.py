"""The wheel in environments that have nothing else, on every supported Python of this machine.

Its dependencies come from its own metadata, as a user gets them, in the versions of the lock. So a
dependency that is not declared, a file that is not packed or a module that only a checkout has is
found before anyone installs it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.release.errors import ReleaseError
from tools.release.project import Project
from tools.release.steps import Steps


def pythons(minors: tuple[str, ...]) -> dict[str, Path | None]:
    """The interpreter of each minor version on this machine, None if it has none.

    Of PATH, and of pyenv, whose programs on PATH refuse versions that are not switched on.
    """
    return {minor: next(filter(None, map(_real, _candidates(minor))), None) for minor in minors}


def _candidates(minor: str) -> Iterator[Path]:
    if found := shutil.which(f"python{minor}"):
        yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob(f"versions/{minor}.*/bin/python{minor}"), reverse=True)


def _real(python: Path) -> Path | None:
    """The interpreter behind a program that is called Python; None if it does not run."""
    words = [str(python), "-I", "-c", "import sys; print(sys.executable)"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60.0)
    return Path(done.stdout.strip()) if done.returncode == 0 else None


def try_wheel(
    project: Project, wheel: Path, minors: tuple[str, ...], folder: Path, steps: Steps
) -> list[Path]:
    """Install and check the wheel on each Python; the Pythons of the environments.

    `ReleaseError` if an installation or a check fails, or no supported Python is here.
    """
    environments = []
    for minor, python in pythons(minors).items():
        if python is None:
            steps.say(f"           not tried on Python {minor}: it is not on this machine")
            continue
        with steps.step(f"installed and tried on Python {minor}"):
            environments.append(_tried(project, wheel, python, folder / minor))
    if not environments:
        raise ReleaseError(f"no Python {' or '.join(minors)} is here: install one")
    return environments


def _tried(project: Project, wheel: Path, python: Path, folder: Path) -> Path:
    """One environment; its Python."""
    inside = folder / "environment" / "bin" / "python"
    extras = f"[{','.join(project.extras)}]" if project.extras else ""
    lock = ["--constraints", str(project.root / project.lock)] if project.lock else []
    wanted = f"{project.name}{extras} @ {wheel.resolve().as_uri()}"
    uv = str(Path(sys.executable).with_name("uv"))
    call([uv, "venv", "--quiet", "--python", str(python), str(folder / "environment")])
    call([uv, "pip", "install", "--quiet", "--python", str(inside), *lock, wanted])
    if project.check:
        program = shutil.copy(project.root / project.check, folder)
        (folder / "work").mkdir()
        call([str(inside), "-I", str(program), project.version], cwd=folder / "work")
    return inside


def call(words: list[str], cwd: Path | None = None) -> str:
    """What a program prints. `ReleaseError` with its last words if it fails."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        words, cwd=cwd, env=clean, capture_output=True, text=True, check=False, timeout=1800.0
    )
    if done.returncode:
        raise ReleaseError(f"{' '.join(words)}:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
    return done.stdout
