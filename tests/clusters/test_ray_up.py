"""The files for `ray up` pass Ray's own check, and open nothing to the network by themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.clusters.manifests import ROOT

FILES = [ROOT / "clusters/ray-up-cloud.yaml", ROOT / "clusters/ray-up-ssh.yaml"]
either_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def _config(file: Path) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
    return config


@either_file
def test_ray_takes_the_file(file: Path):
    config = prepare_config(_config(file))  # type: ignore[no-untyped-call]
    validate_config(config)  # type: ignore[no-untyped-call]
    with pytest.raises(jsonschema.ValidationError, match="head_start_ray_command'"):
        validate_config({**config, "head_start_ray_command": []})  # type: ignore[no-untyped-call]


@either_file
def test_the_token_is_a_file_and_the_dashboard_stays_on_loopback(file: Path):
    config = _config(file)
    starts = config["head_start_ray_commands"] + config["worker_start_ray_commands"]
    assert all("RAY_AUTH_MODE=token" in line for line in starts)
    assert "--dashboard-host=127.0.0.1" in str(config["head_start_ray_commands"])
    assert "0.0.0.0" not in file.read_text("utf-8")
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert any("chmod 600 ~/.ray/auth_token" in line for line in config["setup_commands"])
    assert "qpu_gateway" in str(config.get("available_node_types", starts))


@either_file
def test_the_nodes_install_by_hash_from_locks_that_exist(file: Path):
    commands = _config(file)["setup_commands"]
    installs = [line for line in commands if "pip install" in line]
    assert installs
    for line in installs:
        assert "--require-hashes -r" in line or "--no-deps --no-build-isolation" in line
    for lock in re.findall(r"requirements-\w+\.lock", str(commands)):
        assert (ROOT / lock).is_file()


@either_file
def test_placeholders_are_explained(file: Path):
    """All of them, in the table of the guide."""
    guide = (ROOT / "docs/clusters.md").read_text("utf-8")
    for placeholder in set(re.findall(r"<[a-z0-9-]+>", file.read_text("utf-8"))):
        assert f"`{placeholder}`" in guide
