"""What the machine of the one who releases must not change in a build."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tools.release.build import _only, _run

_C = """\
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#ifdef OF_THIS_MACHINE
#error "a flag of the environment"
#endif
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "fast", __FILE__, -1, NULL};
PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&module); }
"""
_PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "fast"
version = "1.0.0"
[tool.setuptools]
py-modules = []
[[tool.setuptools.ext-modules]]
name = "fast"
sources = ["fast.c"]
py-limited-api = true
[tool.distutils.bdist_wheel]
py-limited-api = "cp311"
"""


def _wheel(folder: Path) -> bytes:
    """The extension in the wheel that is built of a folder."""
    source = folder / "ein Ordner mit spa\u0308ces"
    source.mkdir(parents=True)
    (source / "fast.c").write_text(_C)
    (source / "pyproject.toml").write_text(_PYPROJECT)
    wheel = _only(_run(source, folder / "out", "wheel", 1_800_000_000), "*.whl")
    assert wheel.name.startswith("fast-1.0.0-cp311-abi3-")
    with zipfile.ZipFile(wheel) as archive:
        assert "fast.abi3.so" in archive.namelist()
    return wheel.read_bytes()


def test_settings_of_the_machine_do_not_reach_a_wheel(tmp_path, monkeypatch):
    """Such as -march=native, which ends with an illegal instruction on an older processor."""
    plain = _wheel(tmp_path / "plain")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".pydistutils.cfg").write_text("[build_ext]\ndefine = OF_THIS_MACHINE\n")
    (tmp_path / "extra.cfg").write_text("[build_ext]\ndefine = OF_THIS_MACHINE\n")
    for name, value in {
        "CFLAGS": "-DOF_THIS_MACHINE", "CPPFLAGS": "-DOF_THIS_MACHINE", "LDFLAGS": "-lnowhere",
        "DIST_EXTRA_CONFIG": str(tmp_path / "extra.cfg"), "HOME": str(tmp_path / "home"),
        "SOURCE_DATE_EPOCH": "1", "TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONHASHSEED": "7",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    assert _wheel(tmp_path / "set" / "deeper") == plain
