"""What is declared is what is imported, and the lock files say the same as pyproject.toml."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import qstore_ray
from tests.architecture.source import MODULES, ROOT, imported

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, SETUPTOOLS = PYPROJECT["project"], PYPROJECT["tool"]["setuptools"]
EXTRAS = PROJECT["optional-dependencies"]
USUAL = ("images", "object-store", "remote", "service", "tensorboard")
LOCKS = {
    "requirements.lock": ("cpu", "dev", *USUAL),
    "requirements-cpu.lock": ("cpu", *USUAL),  # of the image
    "requirements-gpu.lock": ("gpu", *USUAL),
}
PIN = re.compile(r"^([a-z0-9._-]+)==(\S+)(?: ; (.+?))? \\$", re.MULTILINE)

every_lock = pytest.mark.parametrize("lock", LOCKS)


def _requirements(*extras: str) -> list[Requirement]:
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in EXTRAS[extra])]
    return [Requirement(text) for text in texts]


def _pins(lock: str) -> dict[str, set[Version]]:
    pins: dict[str, set[Version]] = {}
    for name, version, _ in PIN.findall((ROOT / lock).read_text(encoding="utf-8")):
        pins.setdefault(name, set()).add(Version(version))
    return pins


def test_what_is_imported_is_declared():
    declared = {canonicalize_name(r.name) for r in _requirements(*EXTRAS)}
    distributions = packages_distributions()
    missing = {
        f"{module.path}:{line} {name}"
        for module in MODULES
        for name, line in imported(module.nodes)
        if (package := name.partition(".")[0]) not in sys.stdlib_module_names
        and package not in {"qstore_ray", "pydantic_core"}
        and not declared & {canonicalize_name(d) for d in distributions.get(package, [package])}
    }
    assert missing == set()


@every_lock
def test_a_lock_satisfies_the_declared_dependencies(lock: str):
    pins = _pins(lock)
    wrong = [
        str(requirement)
        for requirement in _requirements(*LOCKS[lock])
        if not (versions := pins.get(canonicalize_name(requirement.name)))
        or not all(requirement.specifier.contains(version) for version in versions)
    ]
    assert wrong == []


@every_lock
def test_a_lock_pins_every_package_by_hash(lock: str):
    text = (ROOT / lock).read_text(encoding="utf-8")
    entries = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(entries) == len(PIN.findall(text)) > 100
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.parametrize(
    "lock",
    [
        *LOCKS,
        "requirements-audit.lock",
        "requirements-build.lock",
        "requirements-docs.lock",
        "requirements-release.lock",
        "requirements-uv.lock",
    ],
)
def test_a_lock_names_no_address_and_no_path_of_a_machine(lock: str):
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert re.findall(r"\S*(?:://|file:|index-url|find-links| /\w)\S*", text) == []


def test_the_two_wheels_of_aer_are_never_locked_together():
    assert [{"qiskit-aer", "qiskit-aer-gpu"} & set(_pins(lock)) for lock in LOCKS] == [
        {"qiskit-aer"},
        {"qiskit-aer"},
        {"qiskit-aer-gpu"},
    ]


def test_the_version_is_in_one_place_and_heads_the_changelog():
    """After a release, a checkout is the development version of the next one: 0.1.1.dev0."""
    assert "version" in PROJECT["dynamic"]
    assert SETUPTOOLS["dynamic"]["version"] == {"attr": "qstore_ray.__version__"}
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first = re.findall(r"^## \[([^]]+)\]", changelog, re.MULTILINE)[0]
    assert first == qstore_ray.__version__.removesuffix(".dev0")


def test_every_source_of_the_kernels_is_shipped_and_built_again_when_it_changes():
    """Else a change of one is not compiled, and the old kernels run."""
    folder = "qstore_ray/simulate/engines/native"
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.[ch]")}
    module = SETUPTOOLS["ext-modules"][0]
    assert sources == {*module["sources"], *module["depends"]}
    assert f"recursive-include {folder} " in (ROOT / "MANIFEST.in").read_text(encoding="utf-8")
    watched = f"$(wildcard {folder}/*.* {folder}/*/*.*)"
    assert watched in (ROOT / "Makefile").read_text(encoding="utf-8")
