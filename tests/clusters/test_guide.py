"""The commands of docs/clusters.md and README.md: what they name exists, and kubectl takes them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests.clusters.manifests import ROOT, folders, kubectl, problems, render
from tests.guides import blocks_of

SHOWN = [*blocks_of("clusters.md", "console"), *blocks_of("../README.md", "console")]
COMMANDS = [
    line.removeprefix("$ ").partition("  #")[0].removesuffix("&").strip()
    for block in SHOWN
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("$ ")
]
KUBECTL = [command for command in COMMANDS if command.startswith("kubectl ")]


def test_every_path_in_a_command_exists():
    paths = re.findall(r"(?<![\w~/])(?:clusters|jobs)/[\w./-]+", "\n".join(COMMANDS))
    assert {path for path in paths if not (ROOT / path).exists()} == set()
    assert {"clusters/kuberay/overlays/cpu", "clusters/slurm.sh", "jobs/digits.toml"} <= set(paths)


def test_every_folder_that_is_applied_can_be_rendered():
    applied = {
        ROOT / words[words.index("-k") + 1] for words in map(shlex.split, KUBECTL) if "-k" in words
    }
    assert applied
    assert applied <= set(folders())


@pytest.mark.parametrize("command", [c for c in KUBECTL if "create secret" in c])
def test_a_secret_is_created_with_the_key_that_is_mounted(command: str, tmp_path: Path):
    (file := tmp_path / "secret").write_text("0123456789abcdef")
    words = [re.sub(r"=/path/to/.*", f"={file}", word) for word in shlex.split(command)[1:]]
    secret = yaml.safe_load(kubectl(*words, "--dry-run=client", "-o", "yaml"))
    assert problems({k: v for k, v in secret.items() if k != "metadata"} | {"metadata": {}}) == []
    optional = ROOT / "clusters/kuberay/components/serving/predictions.yaml"
    mounted = [
        volume["secret"]
        for manifest in (
            *render(ROOT / "clusters/kuberay/overlays/cpu"),
            *yaml.safe_load_all(optional.read_text("utf-8")),
        )
        for volume in _volumes(manifest)
        if volume.get("secret", {}).get("secretName") == secret["metadata"]["name"]
    ]
    assert mounted
    assert all(
        {item["key"] for item in volume["items"]} == set(secret["data"]) for volume in mounted
    )


def _volumes(part: object) -> list[dict[str, dict[str, object]]]:
    if isinstance(part, list):
        return [volume for value in part for volume in _volumes(value)]
    if not isinstance(part, dict):
        return []
    own = part.get("volumes", [])
    return [*own, *(volume for value in part.values() for volume in _volumes(value))]
