"""What belongs to an extra says which one, if it is missing; nothing else needs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CASES = {
    "service": ("service", "fastapi", "import qstore_ray.data.service.server.app"),
    "pictures": (
        "images",
        "PIL",
        "from qstore_ray.data.files.pillow import load_pillow; load_pillow()",
    ),
    "resize": (
        "images",
        "skimage.transform",
        """
import numpy
from qstore_ray.data.prepare.steps.images import Resize
Resize(size=(2, 2), shape=(4, 4)).apply(numpy.zeros((1, 16)), {})
""",
    ),
    "remote": (
        "remote",
        "fsspec",
        "from qstore_ray.data.files.listing import find_files; find_files('memory://rows.csv')",
    ),
    "tensorboard": (
        "tensorboard",
        "tensorboardX",
        "from qstore_ray.track import tensorboard; tensorboard._load()",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_missing_extra_is_an_error_that_names_it(case: str, repository: Path):
    extra, package, code = CASES[case]
    program = f"""
import sys
sys.modules[{package!r}] = None
from qstore_ray.errors import MissingDependencyError
try:
    exec({code!r})
except MissingDependencyError as exc:
    print(exc.fix)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=repository, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == f"Run: pip install 'qstore-ray[{extra}]'"
