"""Without PyTorch its layer says what to install, and nothing else needs it."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
sys.modules["torch"] = None
import qstore_ray
from qstore_ray.errors import MissingDependencyError
try:
    import qstore_ray.torch
except MissingDependencyError as exc:
    print(exc.field, exc.fix)
"""


def test_the_layer_without_torch_says_what_to_install(repository):
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=repository, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == 'torch Install it with `pip install "qstore-ray[torch]"`.'
